#!/bin/sh
# Which Python makes the environment? Prints its name: $PYTHON if set, else the first suitable one on the PATH.
set -eu

suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    suitable "$PYTHON" && echo "$PYTHON" && exit 0
    echo "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13: set PYTHON to one that is." >&2
    exit 1
fi
for name in python3.13 python3.12 python3.11 python3; do
    if suitable "$name"; then
        echo "$name"
        exit 0
    fi
done
echo "No Python 3.11, 3.12 or 3.13 found: install one, or name it with 'make PYTHON=/path/to/python ...'." >&2
exit 1
