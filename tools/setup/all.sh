#!/bin/sh
# Sets up everything once; returns at once while nothing that it depends on has changed.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
setup=$root/tools/setup
cache=$root/.cache

# The virtual environment holds absolute paths, so the checkout's own place is in the stamp too.
stamp() {
    {
        cat "$root/pyproject.toml" "$setup"/*
        echo "$root" "$(readlink -f /usr/bin/python3)" "${MICROPYTHON:-}"
    } | sha256sum
}

is_current() {
    [ -x "$root/.venv/bin/python" ] && [ "$(cat "$cache/setup.stamp" 2>/dev/null)" = "$(stamp)" ]
}

is_current && exit 0

mkdir -p "$cache" 2>/dev/null || true
if ! [ -w "$cache" ]; then
    echo "setup: $cache cannot be written by $(id -un), so nothing can be set up." \
        "Make it yours: sudo chown -R $(id -un) '$root'" >&2
    exit 1
fi

# Two calls side by side would set up the same files; the second one waits for the first.
(
    flock 9
    is_current && exit 0
    "$setup/packages.sh"
    "$setup/python.sh"
    "$setup/programs.sh"
    stamp >"$cache/setup.stamp"
    echo "setup: ready"
) 9>"$cache/setup.lock"
