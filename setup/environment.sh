#!/bin/sh
# Does .venv hold what the given requirement files ask for? Makes it so, and does nothing when they have not changed.
# Usage: environment.sh REQUIREMENTS...
set -eu
cd "$(dirname "$0")/.."

if ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(sh setup/python.sh)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        echo "$python cannot make virtual environments yet: Debian keeps that part in a package of its own."
        sh setup/apt.sh "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    echo "Creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

for file in "$@"; do
    stamp=.venv/installed-$file
    wanted=$(cat "$file" constraints.txt | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Installing $file (the first time this takes some minutes)"
        .venv/bin/python -m pip install --disable-pip-version-check -r "$file" -c constraints.txt
        echo "$wanted" >"$stamp"
    fi
done

# The checkout itself, so that scripts in any folder find it and .venv/bin/pointmcd is a command.
stamp=.venv/installed-checkout
wanted=$( (pwd && cat pyproject.toml) | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "Linking this checkout into .venv"
    .venv/bin/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
    echo "$wanted" >"$stamp"
fi
