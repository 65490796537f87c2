"""The unmodified mpremote and esptool at a simulated board, in the states a technician meets."""

import asyncio
import hashlib
import math
import os
import subprocess
import sys
import tty
from contextlib import asynccontextmanager

import pytest
from tests.support.boards import files_of

from feltpost_tools.sim import interpreter
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.chipflash import BOOTLOADER, micropython
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.flash import Torn
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.world import World

START_US = 1_700_000_000_000_000
WAIT_S = 20
TOOL_WAIT_S = 60
MAC = bytes.fromhex("020046500001")
RAW = b"raw REPL; CTRL-B to exit\r\n>"
PROMPT = b">>> "
CONTENT = bytes(range(256)) * 20


class Bench:
    """A board on a bench, with the tools of a technician."""

    def __init__(self, board, folder):
        self.board = board
        self.folder = folder
        self._fd = None

    async def tool(self, *arguments):
        """Run a tool's command line; return its exit code and all that it printed."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TOOL_WAIT_S,
            cwd=self.folder,
        )
        return done.returncode, done.stdout.decode()

    async def mpremote(self, *arguments):
        code, printed = await self.tool("mpremote", "connect", self.board.line.path, *arguments)
        assert code == 0, printed
        return printed

    async def esptool(self, *arguments, after="no-reset"):
        port = ["--port", self.board.line.path, "--before", "no-reset", "--after", after]
        return await self.tool("esptool", *port, *arguments)

    async def printed(self, text, times=1):
        """Wait until the board has printed a text so many times; return all that it has."""
        async with asyncio.timeout(WAIT_S):
            while True:
                seen = (self.board.folder / "console.log").read_bytes()
                if seen.count(text) >= times:
                    return seen
                await asyncio.sleep(0.01)  # the console has no event

    async def exchange(self, sent, awaited):
        """Send bytes by hand; return what comes up to what is awaited."""
        if self._fd is None:
            self._fd = os.open(self.board.line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._fd)
        os.write(self._fd, sent)
        seen = b""
        more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, more.set)
        async with asyncio.timeout(WAIT_S):
            while awaited not in seen:
                await more.wait()
                more.clear()
                # Byte by byte, so that nothing is taken that belongs to the next exchange.
                while awaited not in seen:
                    try:
                        seen += os.read(self._fd, 1)
                    except BlockingIOError:
                        break
        asyncio.get_running_loop().remove_reader(self._fd)
        return seen

    async def into_loader(self):
        """Press the buttons; return when the loader has greeted."""
        begun = (self.board.folder / "console.log").read_bytes().count(b"waiting for download")
        self.board.press_reset(boot_held=True)
        await self.printed(b"waiting for download", begun + 1)

    def hang_up(self):
        if self._fd is not None:
            os.close(self._fd)


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    """A firmware that only prints that it runs."""
    folder = tmp_path_factory.mktemp("firmware")
    (folder / "source" / "feltpost").mkdir(parents=True)
    (folder / "source" / "feltpost" / "__init__.py").touch()
    (folder / "source" / "main.py").write_text("print('main runs')\n")
    return Image(folder / "image", folder / "source")


@pytest.fixture
def on_bench(firmware, tmp_path):
    """Return a function that runs a coroutine function with a board that has just been started."""

    @asynccontextmanager
    async def make():
        world = World(SharedClock(tmp_path / "clock", START_US), math.inf)
        hardware = Hardware(MAC, 96, {}, journal_blocks=4)
        board = Board("node", tmp_path / "node", hardware, firmware, interpreter.find(), world)
        board.install({})
        board.line.plug()
        bench = Bench(board, tmp_path)
        try:
            yield bench
        finally:
            bench.hang_up()
            await board.close()

    def go(script, power=True):
        async def run():
            async with make() as bench:
                if power:
                    await bench.board.power_on()
                    await bench.printed(PROMPT)
                await script(bench)

        asyncio.run(run())

    return go


def test_mpremote_copies_verifies_lists_and_removes_files(on_bench, tmp_path):
    async def script(bench):
        source = tmp_path / "slot"
        (source / "inner").mkdir(parents=True)
        (source / "data.bin").write_bytes(CONTENT)
        (source / "inner" / "hello.py").write_text("print('hello')\n")
        await bench.mpremote("resume", "fs", "cp", "-r", "slot", ":")
        seen = await bench.mpremote(
            *("resume", "fs", "sha256sum", ":slot/data.bin", "+", "fs", "cat", ":main.py"),
            *("+", "fs", "mkdir", ":new", "+", "fs", "rm", ":slot/inner/hello.py"),
            *("+", "fs", "ls", ":", "+", "fs", "tree", ":slot", "+", "eval", "6 * 7"),
        )
        assert hashlib.sha256(CONTENT).hexdigest() in seen
        assert "print('main runs')" in seen
        assert "new/" in seen and ".shims" not in seen
        assert "hello.py" not in seen.partition("tree :slot")[2]
        assert "42" in seen
        # Copied again, what is there already is left alone: the tool can trust what it read.
        written = bench.board.chip.files.operations
        await bench.mpremote("resume", "fs", "cp", "-r", "slot/data.bin", ":slot/data.bin")
        assert bench.board.chip.files.operations == written
        await bench.board.power_off()
        files = files_of(bench.board)
        assert files["slot/data.bin"] == CONTENT
        assert "slot/inner/hello.py" not in files

    on_bench(script)


def test_mpremote_mounts_runs_resets_and_sets_the_clock(on_bench, tmp_path):
    async def script(bench):
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "there.py").write_text("print('from the computer')\n")
        seen = await bench.mpremote("resume", "mount", "here", "exec", "import there")
        assert "from the computer" in seen
        assert "from the computer" in await bench.mpremote("run", "here/there.py")
        seen = await bench.mpremote("rtc", "--set", "+", "rtc", "+", "exec", "import time")
        year = int(await bench.mpremote("resume", "eval", "__import__('time').gmtime()[0]"))
        assert year >= 2026 and f"({year}, " in seen
        starts = (await bench.printed(b"main runs")).count(b"main runs")
        # The soft reset of the raw prompt leaves main.py out; a hard one doesn't.
        assert "after" in await bench.mpremote("soft-reset", "exec", "print('after')")
        assert (await bench.printed(b"main runs")).count(b"main runs") == starts
        await bench.mpremote("resume", "reset")
        await bench.printed(b"main runs", starts + 1)

    on_bench(script)


def test_raw_paste_holds_the_sender_to_its_window(on_bench):
    async def script(bench):
        await bench.exchange(b"\r\x03\r\x01", RAW)
        assert await bench.exchange(b"\x05A\x01", b"\x80\x00\x01") == b"R\x01\x80\x00\x01"
        # Nothing is granted for the first 127 bytes, a window for the 128th.
        await bench.exchange(b"#" * 127 + b"\n", b"\x01")
        assert await bench.exchange(b"print(1)\x04", b">") == b"\x041\n\x04\x04>"
        # Any other command letter is unknown, and a plain raw program still runs.
        assert await bench.exchange(b"\x05B\x01", b">") == b"R\x00>"
        assert await bench.exchange(b"print(2)\x04", b">") == b"OK2\n\x04\x04>"

    on_bench(script)


def test_ctrl_c_stops_what_runs_and_soft_resets_run_what_a_board_runs(on_bench):
    async def script(bench):
        await bench.exchange(b"\r\x03\r\x01", RAW)
        write = b"with open('boot.py', 'w') as f: f.write('print(\"boot runs\")')\x04"
        await bench.exchange(write, b"\x04\x04>")
        await bench.exchange(b"print('begun')\nwhile True: pass\x04", b"begun\n")
        seen = await bench.exchange(b"\x03", b"\x04>")
        assert b'File "<stdin>", line 2' in seen
        assert seen.endswith(b"KeyboardInterrupt: \n\x04>")
        assert b"repl.py" not in seen
        # While it works on files, it is stopped too, and the files stay whole.
        loop = b"print('begun')\nwhile True:\n with open('x', 'w') as f: f.write('x' * 999)\x04"
        for _ in range(5):
            await bench.exchange(loop, b"begun\n")
            assert b"KeyboardInterrupt" in await bench.exchange(b"\x03", b"\x04>")
        seen = await bench.exchange(b"print(open('x').read() in ('', 'x' * 999))\x04", b"\x04\x04>")
        assert b"True" in seen
        seen = await bench.exchange(b"\x04", RAW)
        assert b"boot runs" in seen and b"main runs" not in seen
        seen = await bench.exchange(b"raise SystemExit(3)\x04", RAW)
        assert b"soft reboot\r\n" in seen
        await bench.exchange(b"\x02", PROMPT)
        seen = await bench.exchange(b"\x04", PROMPT)
        assert b"boot runs" in seen and b"main runs" in seen
        # Paste mode takes what would be several lines.
        await bench.exchange(b"\x05", b"=== ")
        seen = await bench.exchange(b"for i in range(3):\r    print(i * 7)\r\x04", b"14")
        await bench.exchange(b"\r", PROMPT)

    on_bench(script)


@pytest.mark.parametrize("stub", [(), ("--no-stub",)], ids=["stub", "rom"])
def test_esptool_brings_a_blank_board_to_life(on_bench, tmp_path, stub):
    image = tmp_path / "micropython.bin"
    image.write_bytes(micropython("1.26.1"))

    async def script(bench):
        board = bench.board
        board.enrol(b"\x01", bytes(16))
        board.chip.blank()
        await board.power_on()
        await bench.printed(b"invalid header: 0xffffffff")
        assert board.in_boot_loop
        await bench.into_loader()
        code, printed = await bench.esptool(*stub, "write-flash", "-p", hex(BOOTLOADER), image)
        assert code == 0, printed
        assert "ESP32-D0WD-V3 (revision v3.1)" in printed
        assert MAC.hex(":") in printed
        assert "Hash of data verified." in printed
        if stub:
            code, printed = await bench.esptool(*stub, "read-mac", after="soft-reset")
            assert code == 0, printed
        else:
            board.press_reset()
        await bench.printed(b"Performing initial setup")
        await bench.printed(PROMPT)
        assert not board.in_loader
        seen = await bench.mpremote(
            "exec", "import os, sys; print(sys.implementation[1], os.listdir())"
        )
        assert "(1, 26, 1, '') ['boot.py']" in seen
        # What was flashed has no partition for a journal. It reaches from the bootloader to the
        # application, as the builds for download do, so it has wiped NVS on its way.
        assert "journal" not in board.chip.partitions()
        assert board.nvs.get("feltpost/key") is None

    on_bench(script, power=False)


def test_esptool_reads_erases_and_refuses(on_bench, tmp_path):
    async def script(bench):
        board = bench.board
        board.enrol(b"\x01", bytes(16))
        await bench.into_loader()
        code, printed = await bench.esptool("flash-id")
        assert code == 0 and "Detected flash size: 4MB" in printed, printed
        code, printed = await bench.esptool("read-flash", "0x8000", "0x3000", "dump")
        assert code == 0, printed
        assert (tmp_path / "dump").read_bytes() == board.chip.get(0x8000, 0x3000)
        (tmp_path / "other").write_bytes(b"other")
        code, printed = await bench.esptool("verify-flash", "0x8000", "other")
        assert code != 0 and "digest mismatch" in printed, printed
        code, printed = await bench.esptool("erase-flash")
        assert code == 0, printed
        assert set(board.chip.get(0, 4 << 20)) == {0xFF}
        assert board.nvs.get("feltpost/key") is None
        assert board.in_loader

    on_bench(script)


def test_the_buttons_work_in_deep_sleep(on_bench):
    async def script(bench):
        board = bench.board
        sleep = "import machine; machine.RTC().memory(b'kept'); machine.deepsleep()"
        await bench.mpremote("resume", "exec", "--no-follow", sleep)
        while not board.in_deep_sleep:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
        await bench.into_loader()
        code, printed = await bench.esptool("--no-stub", "read-mac")
        assert code == 0 and MAC.hex(":") in printed, printed
        board.press_reset()
        await bench.printed(PROMPT, 2)
        cause = "import machine; print(machine.reset_cause(), machine.RTC().memory())"
        assert "1 b''" in await bench.mpremote("resume", "exec", cause)

    on_bench(script)


def test_a_new_interpreter_leaves_files_and_key(on_bench, tmp_path):
    image = tmp_path / "micropython.bin"
    image.write_bytes(micropython("1.25.0", journal_blocks=4)[: 0x8000 - BOOTLOADER])
    app = tmp_path / "app.bin"
    app.write_bytes(micropython("1.25.0")[0x10000 - BOOTLOADER :])

    async def script(bench):
        board = bench.board
        board.enrol(b"\x01", bytes(16))
        board.chip.put(BOOTLOADER, micropython("1.19.1", journal_blocks=4))
        await board.power_on()
        assert b"MicroPython v1.19.1" in await bench.printed(PROMPT)
        # The cable comes out in the middle of the writing, once.
        await bench.into_loader()
        board.line.unplug_after(1000)
        pieces = hex(BOOTLOADER), image, "0x10000", app
        code, printed = await bench.esptool("--no-stub", "write-flash", "-p", *pieces)
        assert code != 0, printed
        assert not board.line.plugged
        board.line.plug()
        await bench.into_loader()
        code, printed = await bench.esptool("write-flash", "-p", *pieces)
        assert code == 0, printed
        board.press_reset()
        seen = await bench.printed(b"main runs", 2)
        assert b"MicroPython v1.25.0" in await bench.printed(b"MicroPython v1.25.0")
        assert b"initial setup" not in seen
        assert board.nvs.get("feltpost/key") == bytes(16)

    on_bench(script, power=False)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        (0x1000, b"invalid header: 0x00000000"),
        (0x1020, b"csum err"),
        (0x8000, b"partition table"),
        (0x10030, b"No bootable app"),
    ],
)
def test_a_bad_image_loops(on_bench, address, complaint):
    async def script(bench):
        board = bench.board
        board.chip.put(address, bytes(4))
        if address == 0x10030 or address == 0x1020:
            board.chip.put(address, b"\x5a")
        await board.power_on()
        await bench.printed(complaint, 2)
        assert board.in_boot_loop and board.running
        await board.power_off()
        assert not board.running

    on_bench(script, power=False)


@pytest.mark.parametrize("torn", [Torn.NOTHING, Torn.PREFIX, Torn.BITS])
def test_power_cuts_while_mpremote_copies_leave_the_old_file(on_bench, tmp_path, torn):
    async def script(bench):
        (tmp_path / "kept").write_bytes(CONTENT)
        (tmp_path / "new").write_bytes(CONTENT[::-1])
        await bench.mpremote("resume", "fs", "cp", "kept", ":kept")
        for operation in (2, 11):
            bench.board.chip.files.cut_at(operation, torn, seed=operation)
            copying = asyncio.create_task(
                bench.tool("mpremote", "connect", bench.board.line.path, "fs", "cp", "new", ":new")
            )
            await asyncio.wait_for(bench.board.died.wait(), WAIT_S)
            # Else mpremote waits for a board that says nothing.
            bench.board.line.unplug()
            code, _ = await copying
            assert code != 0
            bench.board.line.plug()
            await bench.board.power_on()
            digest = await bench.mpremote("resume", "fs", "sha256sum", ":kept")
            assert hashlib.sha256(CONTENT).hexdigest() in digest
        await bench.mpremote("resume", "fs", "cp", "new", ":new")
        await bench.board.power_off()
        assert files_of(bench.board)["new"] == CONTENT[::-1]

    on_bench(script)


def test_a_full_flash_is_told_and_loses_nothing(on_bench, tmp_path):
    async def script(bench):
        (tmp_path / "kept").write_bytes(CONTENT)
        await bench.mpremote("resume", "fs", "cp", "kept", ":kept")
        fill = (
            "n = 0\nblock = bytes(4096)\n"
            "for blocks in (16, 1):\n"
            " try:\n"
            "  while True:\n"
            "   with open('filling%d' % n, 'wb') as file:\n"
            "    for _ in range(blocks): file.write(block)\n"
            "   n += 1\n"
            " except OSError as error: print(error)\n"
        )
        assert (await bench.mpremote("resume", "exec", fill)).count("28") == 2
        code, printed = await bench.tool(
            "mpremote", "connect", bench.board.line.path, "resume", "fs", "cp", "kept", ":other"
        )
        assert code != 0 and "No space left on device" in printed, printed
        await bench.mpremote(
            "soft-reset", "fs", "rm", ":filling0", "+", "fs", "cp", "kept", ":other"
        )
        await bench.board.power_off()
        files = files_of(bench.board)
        assert files["kept"] == files["other"] == CONTENT

    on_bench(script)
