"""The power of a board, switched at its USB hub by uhubctl (https://github.com/mvp/uhubctl)."""

import asyncio
import shutil

from feltpost_tools.errors import FeltpostError, MissingTool
from feltpost_tools.hil.inventory import PowerSwitch

_SWITCH_S = 30.0


async def switch(which: PowerSwitch, on: bool) -> None:
    """Switch a port of a hub on or off. Raises MissingTool, and FeltpostError with its words."""
    program = shutil.which("uhubctl")
    if program is None:
        raise MissingTool(
            what="uhubctl",
            why="the board's power is switched with it;",
            how="run: sudo apt-get install uhubctl",
        )
    state = "on" if on else "off"
    process = await asyncio.create_subprocess_exec(
        *(program, "-l", which.hub, "-p", str(which.port), "-a", state),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_SWITCH_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        said = b"it did not end"
    if process.returncode:
        words = said.decode(errors="replace").strip()
        raise FeltpostError(
            f"uhubctl can't switch port {which.port} of hub {which.hub} {state}: {words}. "
            "See whether `uhubctl` lists the hub, and docs/hardware-in-the-loop.md on its rights."
        )
