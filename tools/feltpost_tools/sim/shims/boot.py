"""Starts a simulated board: puts the shims in place, mounts its flash, runs what a board runs.

That is boot.py, then main.py, then the prompt. After a soft reboot from the raw prompt main.py is
left out and the raw prompt comes back, as on a board; the simulator says so in the environment.
"""

import builtins
import os
import sys

import _asyncio_sim
import _os
import _sys
import sim_micropython

sys.modules["micropython"] = sim_micropython
sys.modules["_asyncio"] = _asyncio_sim
sys.modules["os"] = _os
sys.modules["sys"] = _sys

import asyncio.core  # noqa: E402

_asyncio_sim.core = asyncio.core

import time  # noqa: E402

import _flash  # noqa: E402
import repl  # noqa: E402
import vfs  # noqa: E402

_SHIMS = "/.shims"
_SOFT_RESET = 64
_SOFT_RESET_RAW = 66

# What MicroPython's inisetup.py puts on a file system that it has made.
_BOOT_PY = "# This file is executed on every boot (including wake-boot from deepsleep)\n"


def _mount():
    # As MicroPython's _boot.py and inisetup.py (ports/esp32/modules): what is blank is formatted,
    # what can't be mounted is left to whoever reads the console.
    device = _flash.Flash()
    builtins.open = device.open
    shims = vfs.VfsPosix(os.getenv("FELTPOST_SHIMS"))
    vfs.umount("/")
    vfs.mount(shims, _SHIMS)
    sys.path[:] = ["", ".frozen", _SHIMS]
    try:
        vfs.mount(vfs.VfsLfs2(device), "/")
    except OSError:
        _make(device)
    os.chdir("/")


def _make(device):
    block = bytearray(4096)
    device.readblocks(0, block)
    while block != b"\xff" * len(block):
        print("The filesystem appears to be corrupted.")
        time.sleep(3)
    print("Performing initial setup")
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/")
    with open("boot.py", "w") as file:
        file.write(_BOOT_PY)


def _run(name, scope):
    # Return whether the script is through; False after SystemExit, which means a soft reboot.
    try:
        try:
            with open(name) as file:
                code = compile(file.read(), name, "exec")
        except OSError:
            return True
        exec(code, scope)
    except SystemExit:
        return False
    except BaseException as error:
        repl.show(error)
    return True


def _start(raw):
    # Return whether the board is to be at the raw prompt after the soft reboot that ended it.
    try:
        sim_micropython.kbd_intr(3)
        _mount()
    except KeyboardInterrupt as interrupt:
        repl.show(interrupt)
    # As on a board, the application shares its globals with the prompt.
    scope = {"__name__": "__main__"}
    if not _run("boot.py", scope) or not (raw or _run("main.py", scope)):
        return repl.reboot(raw)
    return repl.run(scope, raw)


sys.exit(_SOFT_RESET_RAW if _start(os.getenv("FELTPOST_RAW") == "1") else _SOFT_RESET)
