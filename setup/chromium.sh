#!/bin/sh
# Is there a Chromium for the browser tests? Installs the system's one when root; without one those tests are skipped.
set -eu

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
echo "The browser tests need Chromium, which is not here."
sh "$(dirname "$0")/apt.sh" chromium || echo "Going on without it: the browser tests will be skipped."
