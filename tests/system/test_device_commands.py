"""The commands that look at boards, as a person runs them."""

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys
import termios

import pytest
import typer
from tests.support.bench import KEY_ID, MAC, PROMPT, started
from typer.testing import CliRunner

from feltpost_tools import board_doctor_cli, boards_cli


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
