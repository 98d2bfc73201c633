#!/bin/sh
# Can the browser tests drive a Chromium? Installs what is missing when root; without it those tests are skipped.
set -eu
cd "$(dirname "$0")/.."

missing=
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing=chromium
# Playwright brings its driver, but not the one library which that loads.
.venv/bin/python -m playwright --version >/dev/null 2>&1 || missing="$missing libatomic1"
[ -z "$missing" ] && exit 0

echo "The browser tests need what is not here: $missing"
# shellcheck disable=SC2086  # one word per package is what apt-get wants
sh setup/apt.sh $missing || echo "Going on without it: the browser tests will be skipped."
