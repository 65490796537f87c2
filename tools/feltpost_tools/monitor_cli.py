"""The command ``feltpost monitor``: shows what a board says, and passes on what is typed."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import serial
import typer

from feltpost_tools.device import console, ports, rights
from feltpost_tools.errors import FeltpostError
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption
from feltpost_tools.monitor import FRAME_SILENCE_S, Screen
from feltpost_tools.one_board import PortOption

# Ctrl-] and Ctrl-X.
_END_KEYS = (b"\x1d", b"\x18")
_CHUNK = 4096
_AGAIN_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(
        help=_(
            "Show what a board says, and pass on what is typed. Ctrl-C stops the application and "
            "gives the prompt, Ctrl-D there starts it again; Ctrl-] or Ctrl-X ends this."
        )
    )(monitor)


def monitor(
    name: PortOption = None,
    frames: Annotated[
        bool, typer.Option("--frames", help=_("Show each CoAP message as a line."))
    ] = False,
    lang: LanguageOption = None,
) -> None:
    """Show what a board says, and pass on what is typed."""
    try:
        port = ports.only([name] if name else [])
        typer.echo(
            _("{port}: Ctrl-C gives the prompt, Ctrl-] or Ctrl-X ends.").format(port=port.path)
        )
        with _terminal():
            asyncio.run(_Monitor(port.path, frames).run())
    except FeltpostError as error:
        typer.echo(f"feltpost: {error}", err=True)
        sys.exit(2)


@contextmanager
def _terminal() -> Iterator[None]:
    # Have keys passed at once, unseen and without meaning, and everything as before afterwards.
    if not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    now = termios.tcgetattr(fd)
    now[0] &= ~(termios.ICRNL | termios.IXON)
    now[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(fd, termios.TCSADRAIN, now)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class _Monitor:
    def __init__(self, port: str, frames: bool) -> None:
        self._port = port
        self._screen = Screen(_write, frames)
        self._line: serial.Serial | None = None
        self._more = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        # Show the line until a key or a signal ends it; a port that goes away may come back.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ended.set)
        if sys.stdin.isatty():
            loop.add_reader(sys.stdin.fileno(), self._typed)
        showing = asyncio.create_task(self._show())
        ended = asyncio.create_task(self._ended.wait())
        await asyncio.wait((showing, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        showing.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await showing
        finally:
            if self._line:
                self._line.close()

    async def _show(self) -> None:
        self._line = self._open()
        while True:
            try:
                await self._follow(self._line)
            except OSError:
                self._screen.note(_("[{port} is gone; waiting for it]").format(port=self._port))
            self._line.close()
            self._line = await self._opened_again()
            self._screen.note(_("[{port} is back]").format(port=self._port))

    async def _follow(self, line: serial.Serial) -> None:
        # Raises OSError once the port is gone.
        loop = asyncio.get_running_loop()
        loop.add_reader(line.fileno(), self._more.set)
        try:
            while True:
                wait_s = FRAME_SILENCE_S if self._screen.in_frame else None
                try:
                    await asyncio.wait_for(self._more.wait(), wait_s)
                except TimeoutError:
                    self._screen.silence()
                    continue
                self._more.clear()
                self._screen.feed(line.read(_CHUNK))
        finally:
            loop.remove_reader(line.fileno())

    def _open(self) -> serial.Serial:
        try:
            return serial.Serial(self._port, console.BAUD, timeout=0, exclusive=True)
        except OSError:
            raise rights.unavailable(self._port) from None

    async def _opened_again(self) -> serial.Serial:
        while True:
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(FeltpostError):
                return self._open()

    def _typed(self) -> None:
        keys = os.read(sys.stdin.fileno(), _CHUNK)
        if not keys or any(key in keys for key in _END_KEYS):
            self._ended.set()
        elif self._line and self._line.is_open:
            with contextlib.suppress(OSError):
                self._line.write(keys)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
