"""What a board is doing, as the tools find it out."""

import asyncio
from pathlib import Path

import pytest
from tests.support.bench import KEY, KEY_ID, MAC, STARTED, started

from feltpost_tools import board_doctor
from feltpost_tools.device import state
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.device.state import Doing


def test_an_application_is_looked_at_and_runs_again(on_boards):
    async def script(bench):
        await started(bench)
        seen = await state.find_out(bench.port)
        assert (seen.doing, seen.chip, seen.mac) == (Doing.APPLICATION, "ESP32", MAC)
        assert (seen.feltpost, seen.key_id, seen.has_key) == ("0.1.0", KEY_ID, True)
        assert seen.has_journal and not seen.safe_mode and seen.configuration_fault is None
        assert seen.files == ()
        await bench.printed(STARTED, 2)
        # Neither as text nor as bytes has the key come out.
        assert KEY not in bench.console() and KEY.hex().encode() not in bench.console()
        assert board_doctor.of_state(seen) == []

    on_boards(script)


def test_files_of_others_are_seen(at_prompt):
    async def script(bench):
        await Mpremote(bench.port).run("open('/project.py', 'w').close()", timeout_s=10)
        assert (await state.find_out(bench.port)).files == ("project.py",)

    at_prompt(script)


def test_safe_mode_is_told(on_boards):
    async def script(bench):
        await started(bench)
        ten_bad_boots = (
            "import machine, os, struct\n"
            "os.chdir('/slots/' + open('/current').read())\n"
            "from feltpost.retained import HEALTH, Retained\n"
            "Retained(machine.RTC().memory, True).put(HEALTH, struct.pack('<BB', 10, 0))\n"
        )
        board = Mpremote(bench.port)
        await board.run(ten_bad_boots, timeout_s=10)
        await board.hard_reset()
        await bench.printed(STARTED, 2)
        seen = await state.find_out(bench.port)
        assert seen.safe_mode
        assert any("safe mode" in finding.seen for finding in board_doctor.of_state(seen))

    on_boards(script)


@pytest.mark.parametrize(
    ("spoil", "doing", "means"),
    [
        (lambda board: None, Doing.PROMPT, "not enrolled"),
        (lambda board: board.install({"links": []}), Doing.PROMPT, "does not know its links"),
        (lambda board: board.chip.blank(), Doing.BOOT_LOOP, "MicroPython is missing"),
        (lambda board: board.chip.put(0x8000, bytes(4)), Doing.BOOT_LOOP, "damaged"),
    ],
    ids=["no key", "no links", "blank", "bad table"],
)
def test_what_is_wrong_is_told(on_boards, spoil, doing, means):
    async def script(bench):
        spoil(bench.board)
        await bench.board.power_on()
        seen = await state.find_out(bench.port)
        assert seen.doing is doing
        assert any(means in finding.means for finding in board_doctor.of_state(seen))

    on_boards(script)


def test_a_board_that_waits_in_its_loader_stays_there(on_boards):
    async def script(bench):
        await bench.board.power_on()
        await bench.into_loader()
        seen = await state.find_out(bench.port)
        assert (seen.doing, seen.chip, seen.mac) == (Doing.LOADER, "ESP32", MAC)
        assert bench.board.in_loader

    on_boards(script)


def test_a_board_in_deep_sleep_is_left_alone(at_prompt):
    async def script(bench):
        board = bench.board
        sleep = "import machine; machine.RTC().memory(b'unsent'); machine.deepsleep()"
        running = asyncio.create_task(Mpremote(bench.port).run(sleep, timeout_s=20))
        while not board.in_deep_sleep:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        seen = await state.find_out(bench.port)
        assert seen.doing is Doing.SILENT and board.in_deep_sleep
        assert b"unsent" in board.rtc.read()
        assert "deep sleep" in board_doctor.of_state(seen)[0].means

    at_prompt(script)


def test_brown_outs_are_told(at_prompt):
    # A board that sends no frames: one that is cut short would take the message with it.
    async def script(bench):
        looking = asyncio.create_task(state.find_out(bench.port))
        # Once the line is open: what comes before is lost.
        while not processes_with_open(bench.port):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
        bench.board.brown_out()
        seen = await looking
        assert seen.brown_outs == 1
        assert "supply" in board_doctor.of_state(seen)[0].means

    at_prompt(script)


def processes_with_open(port):
    """Return whether this process has the port open."""
    device = str(Path(port).resolve())
    links = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    # The simulated board holds it open as well.
    return links.count(device) > 1
