"""A simulated board in a process of its own, at a port as a real one is; and the hub it hangs on.

    python -m tests.support.held_board FOLDER             holds it until stdin ends
    python -m tests.support.held_board -l HUB -p PORT -a on|off     what uhubctl does

The second form finds the board by the environment variable HELD_BOARD, its folder.
"""

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path

from feltpost_tools.sim import interpreter, kit
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.rig import shared_recording
from feltpost_tools.sim.trace import Trace
from feltpost_tools.sim.world import World

MAC = bytes.fromhex("020046500201")
_HEAP_KIB = 160
_JOURNAL_BLOCKS = 64


async def hold(folder: Path) -> None:
    """Hold a board that comes with MicroPython and nothing else, in real time."""
    trace = Trace.load(shared_recording())
    clock = SharedClock(folder / "clock", int(trace.start * 1e6))

    def environment(quantity: str, now_us: int) -> float:
        return trace.value(quantity, now_us / 1e6)

    parts = kit.parts("held", environment, lambda sampled: None)
    hardware = Hardware(MAC, _HEAP_KIB, parts, journal_blocks=_JOURNAL_BLOCKS)
    image = Image(folder / "image")
    world = World(clock, speed=1)
    board = Board("held", folder / "board", hardware, image, interpreter.find(), world)

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"on\n":
            await board.power_on()
        else:
            await board.power_off()
        writer.close()

    hub = await asyncio.start_unix_server(switch, folder / "hub")
    board.line.plug()
    await board.power_on()
    print(board.line.path, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    hub.close()
    await board.close()


def use_hub(state: str) -> None:
    """Switch the board on or off, and wait until it is."""
    with socket.socket(socket.AF_UNIX) as hub:
        hub.connect(str(Path(os.environ["HELD_BOARD"]) / "hub"))
        hub.sendall(state.encode() + b"\n")
        hub.recv(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("-l")
    parser.add_argument("-p")
    parser.add_argument("-a", choices=["on", "off"])
    arguments = parser.parse_args()
    if arguments.a:
        use_hub(arguments.a)
    else:
        asyncio.run(hold(arguments.folder))


if __name__ == "__main__":
    main()
