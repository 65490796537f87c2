#!/bin/sh
# Provides real MicroPython, 32-bit as on the ESP32 where the machine can run it, and mosquitto,
# unpacked from Debian 13's packages into .cache where the machine does not have them.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cache=$root/.cache
native=$(dpkg --print-architecture)

# Package lists left by a call that was broken off may name packages that are gone by now.
rm -rf "$cache/apt"

# provide ARCHITECTURE DIRECTORY PACKAGE: fetches the package unless it is there, and writes
# DIRECTORY/PACKAGE. These programs need a newer C library than Debian 12 has, so each is started
# by the loader that came with it.
provide() {
    [ -x "$2/$3" ] && return 0
    echo "setup: fetching Debian 13's $3 ($1) into ${2#"$root/"}"
    "$root/tools/setup/unpack.sh" "$1" "$2/root" "$3" || return 1
    loader=$(cd "$2/root" && ls -d usr/lib*/ld-linux*.so.*)
    libraries=$(cd "$2/root" && ls -d usr/lib/*-linux-gnu*)
    program=$(cd "$2/root" && ls -d usr/*bin/"$3")
    cat >"$2/$3" <<LAUNCHER
#!/bin/sh
# Written by tools/setup/programs.sh.
here=\$(readlink -f "\$0")
root=\${here%/*}/root
exec "\$root/$loader" --library-path "\$root/$libraries" "\$root/$program" "\$@"
LAUNCHER
    chmod +x "$2/$3"
}

recent_enough() {
    "$1" -c 'import sys; sys.exit(sys.implementation[1] < (1, 25))' >/dev/null 2>&1
}

provide_micropython() {
    own=$cache/micropython/64
    narrow=
    case $native in
        amd64) narrow=i386 ;;
        arm64) narrow=armhf ;;
        i386 | armhf) own=$cache/micropython/32 ;;
    esac

    if ! recent_enough micropython &&
        ! { provide "$native" "$own" micropython && recent_enough "$own/micropython"; }; then
        rm -rf "$own"
        echo "setup: MicroPython 1.25 or later is missing, which runs the firmware on simulated" \
            "boards. Install the package micropython where your system has 1.25, or build it" \
            "(ports/unix) and set MICROPYTHON=/path/to/micropython." >&2
        exit 1
    fi

    [ -n "$narrow" ] || return 0
    board=$cache/micropython/32
    if ! { provide "$narrow" "$board" micropython && recent_enough "$board/micropython"; }; then
        rm -rf "$board"
        echo "setup: there is no 32-bit MicroPython ($narrow) that runs on this machine, so the" \
            "simulated boards use the 64-bit one"
    fi
}

if [ -n "${MICROPYTHON:-}" ]; then
    recent_enough "$MICROPYTHON" || {
        echo "setup: MICROPYTHON=$MICROPYTHON does not start or is older than 1.25, which the" \
            "firmware needs. Name a newer one, or unset MICROPYTHON to have one fetched." >&2
        exit 1
    }
else
    provide_micropython
fi

if ! PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null &&
    ! provide "$native" "$cache/mosquitto" mosquitto; then
    echo "setup: mosquitto is missing, the broker that the demo and the tests use." \
        "Run this as root, then try again: apt-get install mosquitto" >&2
    exit 1
fi

rm -rf "$cache/apt"
