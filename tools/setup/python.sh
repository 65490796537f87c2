#!/bin/sh
# Makes .venv from the system's Python and installs Feltpost in it, editable, with all extras;
# lays out the firmware's type stubs in .cache/stubs.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
venv=$root/.venv

# Scripts in a virtual environment name its interpreter by an absolute path. After the checkout
# has moved, or the system's Python has been upgraded, they start nothing.
if ! grep -qs "$venv/bin/python" "$venv/bin/pip" ||
    [ "$("$venv/bin/python" --version 2>&1)" != "$(/usr/bin/python3 --version)" ]; then
    echo "setup: creating the virtual environment .venv"
    /usr/bin/python3 -m venv --clear "$venv"
fi

echo "setup: installing Feltpost and the Python packages it needs into .venv"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --editable "${root}[dev]"; then
    echo "setup: pip could not install what pyproject.toml lists; its message above says why." \
        "It needs a way to the Python package index (pip config set global.index-url …," \
        "or the https_proxy variable). Then try again." >&2
    exit 1
fi

# The stubs replace Python's own standard library for the type checker. Beside the gateway's
# packages in .venv they could not be told apart from those, hence a directory of their own.
"$venv/bin/python" - "$root/.cache/stubs" <<'PYTHON'
import shutil
import sys
from importlib.metadata import files
from pathlib import Path

target = Path(sys.argv[1])
shutil.rmtree(target, ignore_errors=True)
for distribution in ("micropython-stdlib-stubs", "micropython-esp32-stubs"):
    for file in files(distribution) or ():
        if file.suffix == ".pyi" or file.name == "VERSIONS":
            (target / file.parent).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target / file)
PYTHON
