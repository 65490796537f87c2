"""What tests ask of simulated boards."""

import asyncio
import tempfile
from pathlib import Path

from feltpost_tools.sim import interpreter, littlefs
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.flash import BLOCK_BYTES


async def at_rest(board: Board) -> None:
    """Wait until the board has nothing to do: what it sampled is in its journal then."""
    while not board.at_rest:  # noqa: ASYNC110 - it is, at every turn of the loop but a few
        await asyncio.sleep(0)


def files_of(board: Board) -> dict[str, bytes]:
    """Return what is on the board's file system, by path; it must have no power."""
    with tempfile.TemporaryDirectory() as temporary:
        image, target = Path(temporary) / "image", Path(temporary) / "files"
        target.mkdir()
        size = board.chip.files.blocks * BLOCK_BYTES
        image.write_bytes(board.chip.get(board.chip.files_start, size))
        littlefs.extract(interpreter.find(), image, target)
        return {
            path.relative_to(target).as_posix(): path.read_bytes()
            for path in target.rglob("*")
            if path.is_file()
        }
