"""Starts a simulated board: puts the shims in place, runs main.py, then gives the prompt.

After a soft reboot from the raw prompt main.py is left out and the raw prompt comes back, as on a
board; the simulator says so in the environment.
"""

import os
import sys

import _asyncio_sim
import sim_micropython

sys.modules["micropython"] = sim_micropython
sys.modules["_asyncio"] = _asyncio_sim

import asyncio.core  # noqa: E402

_asyncio_sim.core = asyncio.core

import repl  # noqa: E402
import vfs  # noqa: E402

_SHIMS = "/.shims"

# From here on the board sees its own file system and no other. The shims that the application
# imports later are on one of their own.
_flash = vfs.VfsPosix(os.getcwd())
_shims = vfs.VfsPosix(os.getenv("FELTPOST_SHIMS"))
vfs.umount("/")
vfs.mount(_flash, "/")
vfs.mount(_shims, _SHIMS)
os.chdir("/")
sys.path[:] = ["", ".frozen", _SHIMS]

_SOFT_RESET = 64
_SOFT_RESET_RAW = 66


def _main():
    # As on a board, the application shares its globals with the prompt.
    scope = {"__name__": "__main__"}
    if _raw:
        return scope
    try:
        with open("main.py") as file:
            code = compile(file.read(), "main.py", "exec")
        exec(code, scope)
    except KeyboardInterrupt as interrupt:
        sys.print_exception(interrupt)
    except SystemExit:
        raise
    except BaseException as error:
        sys.print_exception(error)
    return scope


_raw = os.getenv("FELTPOST_RAW") == "1"
sys.exit(_SOFT_RESET_RAW if repl.run(_main(), _raw) else _SOFT_RESET)
