"""A simulated board on a bench: it has MicroPython, a small firmware, and its cable plugged in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from feltpost_tools.sim import interpreter
from feltpost_tools.sim.board import Board, Hardware
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.world import World

START_US = 1_700_000_000_000_000
MAC = bytes.fromhex("020046500001")
JOURNAL_BLOCKS = 4
CONFIGURATION: dict[str, object] = {"links": [{"kind": "serial"}], "sensors": []}
KEY_ID, KEY = b"\x01\x02\x03\x04", bytes(range(0x70, 0x80))
PROMPT = b">>> "
STARTED = b"feltpost 0.1.0: journal"
"""What a board prints when its application begins."""
_WAIT_S = 20
# The hour that the watchdog leaves somebody at the prompt must not be over at once.
_SPEED = 60


class Bench:
    """The board, and what a technician sees of it."""

    def __init__(self, board: Board):
        self.board = board

    @property
    def port(self) -> str:
        """Return the name of its port."""
        return str(self.board.line.path)

    def console(self) -> bytes:
        """Return all that it has printed so far."""
        return (self.board.folder / "console.log").read_bytes()

    async def printed(self, text: bytes, times: int = 1) -> bytes:
        """Wait until it has printed a text so many times; return all that it has printed."""
        async with asyncio.timeout(_WAIT_S):
            while self.console().count(text) < times:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        return self.console()

    async def into_loader(self) -> None:
        """Press the buttons; return once the loader in its ROM has greeted."""
        greetings = self.console().count(b"waiting for download")
        self.board.press_reset(boot_held=True)
        await self.printed(b"waiting for download", greetings + 1)


def small_firmware(folder: Path, main: str) -> Image:
    """Return the image of a firmware that is a main.py and an empty package."""
    source = folder / "source"
    (source / "feltpost").mkdir(parents=True)
    (source / "feltpost" / "__init__.py").touch()
    (source / "main.py").write_text(main)
    return Image(folder / "image", source)


@asynccontextmanager
async def on_bench(
    firmware: Image, folder: Path, configuration: dict[str, object] | None = None
) -> AsyncIterator[Bench]:
    """Give a board that has no power yet; its name is the folder's."""
    world = World(SharedClock(folder / "clock", START_US), _SPEED)
    hardware = Hardware(MAC, 96, {}, journal_blocks=JOURNAL_BLOCKS)
    board = Board("node", folder / "node", hardware, firmware, interpreter.find(), world)
    board.install(configuration or {})
    board.line.plug()
    try:
        yield Bench(board)
    finally:
        await board.close()


async def started(bench: Bench) -> None:
    """Enrol the board, start it, and wait until its application runs."""
    bench.board.enrol(KEY_ID, KEY)
    await bench.board.power_on()
    await bench.printed(STARTED)
