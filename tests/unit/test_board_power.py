"""A simulated board's power states: what each reset, deep sleep and loss of power leaves."""

import asyncio
import math
from contextlib import asynccontextmanager

import pytest

from feltpost_tools.sim import interpreter
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.rtc import RTC_BYTES, RtcMemory, WriteTorn
from feltpost_tools.sim.world import World

START_US = 1_700_000_000_000_000
# Each start prints its cause, how many RTC memory remembers, and the time; then it takes a step.
PROGRAM = """
import machine, time
rtc = machine.RTC()
steps = rtc.memory()
print("start", machine.reset_cause(), machine.wake_reason(), len(steps), time.time())
rtc.memory(steps + b"x")
def fed_until(end_s):
    watchdog = machine.WDT(timeout=2000)
    while time.time() < end_s:
        time.sleep(1)
        watchdog.feed()
    time.sleep(100_000)
def busy():
    machine.WDT(timeout=1000)
    while True:
        pass
STEPS = (
    lambda: machine.deepsleep(3_600_000),
    machine.reset,
    lambda: fed_until(3_700),
    busy,
    machine.soft_reset,
)
if len(steps) < len(STEPS):
    try:
        STEPS[len(steps)]()
    finally:
        print("handled")
print("idle")
"""


def output(board):
    return (board.folder / "console.log").read_text().splitlines()


@asynccontextmanager
async def board_with(program, folder):
    """A board, without power, that runs a program of its own."""
    firmware = folder / "firmware"
    (firmware / "feltpost").mkdir(parents=True)
    (firmware / "feltpost" / "__init__.py").touch()
    (firmware / "main.py").write_text(program)
    world = World(SharedClock(folder / "clock", START_US), math.inf)
    image = await asyncio.to_thread(Image, folder / "image", firmware)
    hardware = Hardware(bytes(6), 64, {})
    board = Board("node", folder / "node", hardware, image, interpreter.find(), world)
    board.install({})
    try:
        async with asyncio.timeout(30):
            yield board
    finally:
        await board.close()


async def idle(board, times):
    """Wait until the program has taken all steps so many times."""
    while output(board).count("idle") < times:  # noqa: ASYNC110 - the console has no event
        await asyncio.sleep(0.01)


def test_what_each_reset_leaves_and_what_a_loss_of_power_takes(tmp_path):
    async def run():
        async with board_with(PROGRAM, tmp_path) as board:
            await board.power_on()
            await idle(board, 1)
            board.reset()
            await idle(board, 2)
            board.brown_out()
            await idle(board, 3)
            return output(board)

    lines = asyncio.run(run())
    starts = [
        [int(word) for word in line.partition("start ")[2].split()]
        for line in lines
        if "start " in line
    ]
    assert [start[:3] for start in starts] == [
        [1, 0, 0],
        [4, 4, 1],
        [2, 0, 2],
        [3, 0, 3],
        [3, 0, 4],
        [5, 0, 5],
        [3, 0, 6],
        [1, 0, 7],
    ]
    times_s = [start[3] for start in starts]
    assert times_s[:2] == [0, 3600]
    # The watchdog was fed until 3,700 s, and bit two seconds after.
    assert 3701 <= times_s[3] <= 3703
    assert times_s[:7] == sorted(times_s[:7])
    assert times_s[7] == 0
    # Only a soft reset lets the program clean up.
    assert lines.count("handled") == 1


def test_power_off_in_deep_sleep_and_while_booting(tmp_path):
    async def run():
        async with board_with("import machine\nmachine.deepsleep(1000)\n", tmp_path) as board:
            for turns in range(0, 60, 6):
                await board.power_on()
                for _ in range(turns):
                    await asyncio.sleep(0.001)
                await board.power_off()
                assert not board.running

    asyncio.run(run())


def test_a_reset_in_the_middle_of_a_write_to_rtc_memory():
    rtc = RtcMemory()
    rtc.write(b"old" * 100)
    rtc.tear_at(2, 30)
    rtc.write(b"mid" * 100)
    with pytest.raises(WriteTorn):
        rtc.write(b"new" * 100)
    assert rtc.read() == b"new" * 10 + b"mid" * 90
    rtc.write(b"end")
    assert (rtc.read(), rtc.writes) == (b"end", 3)
    with pytest.raises(ValueError, match="too long"):
        rtc.write(bytes(RTC_BYTES + 1))
    rtc.lose()
    assert rtc.read() == b""
