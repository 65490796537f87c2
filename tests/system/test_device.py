"""Reaching boards: the prompt, the ROM's loader, and what a board is doing, with the real tools."""

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import typer
from tests.support.bench import MAC, on_bench
from typer.testing import CliRunner

from feltpost_tools import board_doctor, board_doctor_cli, boards_cli
from feltpost_tools.device import micropython_image, partitions, state
from feltpost_tools.device.loader import RomLoader
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.device.state import Doing
from feltpost_tools.errors import (
    FlashFull,
    NoAnswer,
    NotAtPrompt,
    PortLost,
    PortUnavailable,
    ScriptFailed,
    TookTooLong,
    WouldLoseFiles,
    WrongChip,
)
from feltpost_tools.sim.chipflash import BOOTLOADER, micropython

PROMPT = b">>> "
CONFIGURATION = {"links": [{"kind": "serial"}], "sensors": []}
KEY_ID, KEY = b"\x01\x02\x03\x04", bytes(range(0x70, 0x80))
STARTED = b"feltpost 0.1.0: journal"
SECRET = "correct-horse-battery"


@pytest.fixture
def on_boards(firmware, tmp_path):
    """Return a function that runs a coroutine function with so many boards, without power."""

    def go(script, count=1, configuration=CONFIGURATION):
        async def run():
            async with AsyncExitStack() as stack:
                benches = []
                for i in range(count):
                    folder = tmp_path / f"bench-{i}"
                    folder.mkdir()
                    bench = on_bench(firmware, folder, configuration)
                    benches.append(await stack.enter_async_context(bench))
                await script(*benches)

        asyncio.run(run())

    return go


@pytest.fixture
def at_prompt(on_boards):
    """Return a function that runs a coroutine function with a board at the prompt, for no key."""

    def go(script):
        async def run(bench):
            await bench.board.power_on()
            await bench.printed(PROMPT)
            await script(bench)

        on_boards(run)

    return go


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "micropython.bin"
    path.write_bytes(micropython("1.26.1"))
    return micropython_image.read(path)


async def started(bench):
    """Enrol the board, start it, and wait until its application runs."""
    bench.board.enrol(KEY_ID, KEY)
    await bench.board.power_on()
    await bench.printed(STARTED)


def processes_at(port):
    """Return the command lines and environments of the tools that work at a port."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(port) in line:
            found.append(line)
    return found


# The prompt


def test_scripts_run_and_their_failures_are_told(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        assert await board.run("print('a')\nprint('b', end='')", timeout_s=10) == "a\nb"
        assert await board.run("kept = 1", timeout_s=10) == ""
        assert await board.run("print(kept)", timeout_s=10) == "1\n"
        with pytest.raises(ScriptFailed, match="NameError") as caught:
            await board.run("print('x')\nprint(kept)", timeout_s=10, soft_reset=True)
        assert caught.value.traceback.endswith("NameError: name 'kept' isn't defined")
        # mpremote's exit code is 0 there.
        with pytest.raises(ScriptFailed, match="before its end"):
            await board.run("raise SystemExit(3)", timeout_s=10)

    at_prompt(script)


def test_a_secret_in_a_script_is_seen_by_nobody(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        wait = f"secret = '{SECRET}'\nimport time\ntime.sleep(1)\nraise ValueError"
        running = asyncio.create_task(board.run(wait, timeout_s=20))
        while not (seen := processes_at(bench.port)):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.01)
        assert SECRET.encode() not in b"".join(seen)
        with pytest.raises(ScriptFailed) as caught:
            await running
        assert SECRET not in f"{caught.value}{vars(caught.value)}"
        assert SECRET.encode() not in bench.console()

    at_prompt(script)


def test_a_script_that_takes_too_long_is_ended_with_its_tool(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        with pytest.raises(TookTooLong):
            await board.run("while True: pass", timeout_s=0.5)
        assert not processes_at(bench.port)
        assert await board.run("print(1)", timeout_s=10) == "1\n"

    at_prompt(script)


def test_folders_are_copied_once(at_prompt, tmp_path):
    source = tmp_path / "source"
    (source / "inner" / "most").mkdir(parents=True)
    (source / "a.py").write_text("a = 1\n")
    (source / "inner" / "most" / "b c.bin").write_bytes(bytes(range(256)) * 3)

    async def script(bench):
        board = Mpremote(bench.port)
        told = []
        await board.copy(source, "/new/slot", timeout_s=30, progress=told.append)
        assert told == ["a.py", "inner/most/b c.bin"]
        written = bench.board.chip.files.operations
        await board.copy(source, "/new/slot", timeout_s=30)
        assert bench.board.chip.files.operations == written
        read = "print(open('/new/slot/inner/most/b c.bin', 'rb').read() == bytes(range(256)) * 3)"
        assert await board.run(read, timeout_s=10) == "True\n"

    at_prompt(script)


def test_a_full_flash_is_told(at_prompt, tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_bytes(bytes(20_000))
    fill = (
        "block = bytes(4096)\n"
        "for size in (16, 1):\n"
        " try:\n"
        "  for n in range(999):\n"
        "   with open('filling%d-%d' % (size, n), 'wb') as file:\n"
        "    for _ in range(size): file.write(block)\n"
        " except OSError: pass\n"
    )

    async def script(bench):
        board = Mpremote(bench.port)
        await board.run(fill, timeout_s=60)
        with pytest.raises(FlashFull):
            await board.copy(tmp_path / "big", "/", timeout_s=60)

    at_prompt(script)


def test_a_port_that_goes_away_or_is_taken_is_told(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        bench.board.line.unplug_after(200)
        with pytest.raises(PortLost):
            await board.run("for _ in range(99): print('x' * 20)", timeout_s=20)
        with pytest.raises(PortUnavailable, match="no such port"):
            await board.run("print(1)", timeout_s=20)
        bench.board.line.plug()
        waiting = asyncio.create_task(board.run("while True: pass", timeout_s=5))
        while not processes_at(bench.port):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.01)
        await bench.printed(b"raw REPL", 2)
        with pytest.raises(PortUnavailable, match="in use by"):
            await Mpremote(bench.port).run("print(1)", timeout_s=5)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert not processes_at(bench.port)

    at_prompt(script)


def test_boards_without_a_prompt_are_told_in_time(on_boards):
    async def script(silent, looping):
        looping.board.chip.blank()
        await looping.board.power_on()
        async with asyncio.timeout(15):
            errors = await asyncio.gather(
                *(
                    Mpremote(bench.port).run("print(1)", timeout_s=60)
                    for bench in (silent, looping)
                ),
                return_exceptions=True,
            )
        assert isinstance(errors[0], NoAnswer)
        assert isinstance(errors[1], NotAtPrompt) and "invalid header" in errors[1].said

    on_boards(script, count=2)


# The loader


def test_a_blank_board_gets_micropython_and_a_journal(on_boards, image):
    async def script(bench):
        board = bench.board
        board.chip.blank()
        board.enrol(KEY_ID, KEY)
        await board.power_on()
        await bench.into_loader()
        told = []
        chip = await RomLoader(bench.port).write(image, progress=lambda *done: told.append(done))
        assert (chip.name, chip.mac, chip.flash_bytes) == ("ESP32", MAC, 4 << 20)
        assert told and told[-1][0] == told[-1][1]
        await bench.printed(b"Performing initial setup")
        await bench.printed(PROMPT)
        journal = board.chip.partitions()["journal"]
        assert (journal.offset, journal.size) == (3 << 20, 1 << 20)
        # The key is where it was, and the firmware finds the journal.
        assert board.nvs.get("feltpost/key") == KEY
        seen = await state.find_out(bench.port)
        assert seen.has_journal and seen.micropython == (1, 26, 1) and seen.feltpost is None

    on_boards(script)


def test_a_newer_micropython_keeps_files_and_key(on_boards, image):
    async def script(bench):
        board = bench.board
        board.chip.put(BOOTLOADER, micropython("1.24.0", journal_blocks=4))
        await started(bench)
        seen = await state.find_out(bench.port)
        assert seen.micropython == (1, 24, 0)
        assert any("too old" in finding.means for finding in board_doctor.of_state(seen))
        await bench.printed(STARTED, 2)
        # The cable comes out in the middle; then again, to the end.
        await bench.into_loader()
        board.line.unplug_after(2000)
        with pytest.raises(PortLost):
            await RomLoader(bench.port).write(image)
        board.line.plug()
        await bench.into_loader()
        await RomLoader(bench.port).write(image)
        await Mpremote(bench.port).hard_reset()
        await bench.printed(STARTED, 3)
        assert b"initial setup" not in bench.console()
        assert (await state.find_out(bench.port)).micropython == (1, 26, 1)

    on_boards(script)


def test_files_are_not_lost_without_consent(on_boards, firmware, tmp_path):
    async def script(bench):
        board = bench.board
        # As MicroPython is downloaded, with a file system up to the end of the flash.
        board.chip.blank()
        board.chip.put(BOOTLOADER, micropython("1.26.1"))
        await board.power_on()
        await bench.printed(b"Performing initial setup")
        await bench.printed(PROMPT)
        await bench.into_loader()
        with pytest.raises(WouldLoseFiles):
            await RomLoader(bench.port).add_journal()
        assert "journal" not in board.chip.partitions()
        await bench.into_loader()
        await RomLoader(bench.port).add_journal(lose_files=True)
        await bench.printed(b"Performing initial setup", 2)
        await bench.printed(PROMPT, 2)
        assert (await state.find_out(bench.port)).has_journal
        # It is done once: there is nothing to lose any more.
        await bench.into_loader()
        written = board.chip.chip.operations
        await RomLoader(bench.port).add_journal()
        assert board.chip.chip.operations == written

    on_boards(script)


def test_an_image_for_another_chip_is_refused_before_anything_is_written(on_boards, tmp_path):
    # An ESP32-C3 has its bootloader at the very beginning.
    data = bytearray(b"\xff" * BOOTLOADER + micropython("1.26.1"))
    data[:BOOTLOADER] = data[BOOTLOADER : 2 * BOOTLOADER]
    data[12] = micropython_image.CHIPS["ESP32-C3"].number
    (tmp_path / "c3.bin").write_bytes(data)
    image = micropython_image.read(tmp_path / "c3.bin")

    async def script(bench):
        await bench.board.power_on()
        await bench.into_loader()
        written = bench.board.chip.chip.operations
        with pytest.raises(WrongChip, match="has the chip ESP32"):
            await RomLoader(bench.port).write(image)
        assert bench.board.chip.chip.operations == written

    on_boards(script)


# What a board is doing


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


# The commands


@pytest.fixture
def commands():
    """Return a function that runs a command as a person would; in a thread."""
    app = typer.Typer()
    boards_cli.register(app)
    board_doctor_cli.register(app)

    async def run(*arguments):
        return await asyncio.to_thread(CliRunner().invoke, app, [str(each) for each in arguments])

    return run


def test_boards_are_listed(on_boards, commands):
    async def script(running, waiting):
        await started(running)
        await waiting.board.power_on()
        ports = ["--port", running.port, "--port", waiting.port]
        result = await commands("boards", "--json", *ports)
        assert result.exit_code == 0, result.output
        first, second = json.loads(result.stdout)
        assert (first["state"], first["mac"]) == ("application", MAC.hex(":"))
        assert (first["feltpost"], first["key_id"]) == ("0.1.0", KEY_ID.hex())
        assert (second["state"], second["key_id"]) == ("prompt", None)
        result = await commands("boards", "--port", "/nowhere")
        assert result.exit_code == 2 and "/nowhere" in result.output

    on_boards(script, count=2)


def test_the_doctor_ends_with_one_where_something_is_wrong(on_boards, commands):
    async def script(well, ill):
        await started(well)
        await ill.board.power_on()
        good = await commands("doctor", "--port", well.port)
        bad = await commands("doctor", "--port", ill.port)
        assert (good.exit_code, "No fault" in good.output) == (0, True), good.output
        assert (bad.exit_code, "no key on the board" in bad.output) == (1, True), bad.output

    on_boards(script, count=2)


MONITOR = """
import typer
from feltpost_tools import monitor_cli
app = typer.Typer()
monitor_cli.register(app)
app()
"""


class Terminal:
    """A person's terminal, with the monitor in it."""

    def __init__(self, *arguments):
        self._master, slave = pty.openpty()
        self._slave = slave
        self._before = self._settings()
        self.process = subprocess.Popen(
            [sys.executable, "-c", MONITOR, *arguments], stdin=slave, stdout=slave, stderr=slave
        )
        os.set_blocking(self._master, False)

    async def expect(self, text):
        """Wait for a text on the screen; return all up to there."""
        seen = b""
        more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._master, more.set)
        async with asyncio.timeout(20):
            while text not in seen:
                await more.wait()
                more.clear()
                with contextlib.suppress(BlockingIOError):
                    seen += os.read(self._master, 4096)
        asyncio.get_running_loop().remove_reader(self._master)
        return seen

    def type(self, keys):
        os.write(self._master, keys)

    async def end(self):
        """Wait until the monitor has ended; return whether the terminal is as it was."""
        code = await asyncio.to_thread(self.process.wait, 20)
        restored = self._settings() == self._before
        os.close(self._master)
        os.close(self._slave)
        return code == 0 and restored

    def _settings(self):
        return termios.tcgetattr(self._slave)


def test_the_monitor_shows_logs_gives_the_prompt_and_ends(on_boards):
    async def script(bench):
        await started(bench)
        terminal = Terminal("--port", bench.port, "--frames")
        seen = await terminal.expect(b"CON")
        assert b"Ctrl-]" in seen and b"\xc0" not in seen
        terminal.type(b"\x03")
        await terminal.expect(PROMPT)
        terminal.type(b"6 * 7\r")
        await terminal.expect(b"42")
        # A cable that is out for a while is waited for.
        bench.board.line.unplug()
        await terminal.expect(b"is gone")
        bench.board.line.plug()
        await terminal.expect(b"is back")
        terminal.type(b"\r\x04")
        await terminal.expect(b"soft reboot")
        terminal.type(b"\x1d")
        assert await terminal.end()

    on_boards(script)


def test_the_firmware_finds_the_journal_by_the_name_that_the_table_gives_it():
    assert partitions.JOURNAL == "journal"
