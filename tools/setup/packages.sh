#!/bin/sh
# packages.sh [PACKAGE...]: installs the Debian packages that everything else is built on, and those
# that are named, where they are missing.
#
# mosquitto is not among them on purpose: its package starts a system service that takes port
# 1883 and comes back after each reboot, which nobody asks for who only wants to see a demo.
# programs.sh unpacks it into .cache instead, unless the machine has it already.
set -eu

wanted="python3 python3-venv debian-archive-keyring $*"
set --
for package in $wanted; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || set -- "$@" "$package"
done

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
    echo "setup: installing the Debian packages $*"
    as_root apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -y --no-install-recommends install "$@" >/dev/null
}

if [ $# -gt 0 ] && ! install "$@"; then
    echo "setup: the Debian packages $* are missing and could not be installed from" \
        "here; the message above says why." \
        "Run this as root, then try again: apt-get install $*" >&2
    exit 1
fi

if ! /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: Feltpost needs Python 3.11 or later and this machine has" \
        "$(/usr/bin/python3 --version). Use Debian 12 or later." >&2
    exit 1
fi
