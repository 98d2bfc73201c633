#!/bin/sh
# Does Open3D find its system libraries? Installs those of packages.txt when it does not.
set -eu
cd "$(dirname "$0")/.."

reason() {
    .venv/bin/python -c 'import open3d' 2>&1 >/dev/null | tail -n 1
}

.venv/bin/python -c 'import open3d' >/dev/null 2>&1 && exit 0
echo "Open3D does not import yet: $(reason)"
# shellcheck disable=SC2046  # one word per package is what apt-get wants
sh setup/apt.sh $(cat packages.txt)
.venv/bin/python -c 'import open3d' >/dev/null 2>&1 && exit 0
echo "Open3D still does not import: $(reason)" >&2
exit 1
