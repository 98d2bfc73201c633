#!/bin/sh
# How do Debian packages get onto this machine? Installs them when root, else prints the one command and fails.
# Usage: apt.sh PACKAGE...
set -eu

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing system packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
    exit 0
fi
if command -v apt-get >/dev/null; then
    echo "Run this once, then try again:" >&2
else
    echo "These are the names on Debian and Ubuntu; install your system's own, then try again:" >&2
fi
echo "    sudo apt-get install -y $*" >&2
exit 1
