"""One run of MicroPython as a process: what a simulated board's processor does from boot to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_CHUNK = 65_536

# How often to look whether it waits, and how long at most before it is interrupted all the same.
_LOOK_S = 0.001
_COMPUTES_S = 0.2


class Processor:
    """The process, its console as two pipes, and the channel on which its shims ask for hardware.

    on_output is given what it prints, on_message what comes from the channel.
    """

    def __init__(self, on_output: Callable[[bytes], None], on_message: Callable[[bytes], None]):
        self._on_output = on_output
        self._on_message = on_message
        self._process: asyncio.subprocess.Process | None = None
        self._channel: socket.socket | None = None
        self._stdin = self._stdout = -1
        self._interrupting: asyncio.Task[None] | None = None
        # What is to come once it has been interrupted.
        self._held: list[Callable[[], None]] = []

    async def start(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        """Start it in that folder; what it writes to stderr goes to stderr.log there."""
        inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        stdin_read, self._stdin = os.pipe()
        self._stdout, stdout_write = os.pipe()
        with (folder / "stderr.log").open("ab") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env={**environment, "FELTPOST_CHANNEL": str(inside.fileno())},
                stdin=stdin_read,
                stdout=stdout_write,
                stderr=stderr,
                pass_fds=(inside.fileno(),),
            )
        inside.close()
        os.close(stdin_read)
        os.close(stdout_write)
        outside.setblocking(False)
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        # Open from here on; before, reading its output would have waited for some.
        self._channel = outside
        loop = asyncio.get_running_loop()
        loop.add_reader(outside, self._receive)
        loop.add_reader(self._stdout, self.collect_output)

    @property
    def open(self) -> bool:
        """Whether it runs, and can be told something."""
        return self._channel is not None

    async def end(self) -> int:
        """Wait until it has ended; return its exit code, once all that it printed is taken in."""
        assert self._process is not None
        assert self._channel is not None
        code = await self._process.wait()
        if self._interrupting:
            self._interrupting.cancel()
        self.collect_output()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._channel)
        loop.remove_reader(self._stdout)
        self._channel.close()
        self._channel = None
        os.close(self._stdin)
        os.close(self._stdout)
        return code

    def kill(self) -> None:
        """End it at once, as a reset or a lost supply does: no handler of the application runs."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in it, as soon as it waits for something.

        MicroPython raises it from its signal handler. In the middle of a garbage collection that
        would leave the heap locked for good, which happens to no board. What never waits is
        interrupted after a moment, wherever it is.
        """
        if self._interrupting:
            self._held.append(self.interrupt)
        elif self.open:
            self._interrupting = asyncio.create_task(self._interrupt())

    async def _interrupt(self) -> None:
        assert self._process is not None
        by_s = time.monotonic() + _COMPUTES_S
        # It may end at any moment.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # Nothing tells of either, hence the looking.
            while self._status("State")[0] != "S" and time.monotonic() < by_s:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
            os.kill(self._process.pid, signal.SIGINT)
            # A message that came before it looks at the signal would be torn: read in part.
            while self._is_about_to_look():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
        self._interrupting = None
        held, self._held = self._held, []
        for call in held:
            call()

    def _is_about_to_look(self) -> bool:
        # The signal is pending, and not put off as shims/_flash.py does.
        pending, blocked = (int(self._status(name), 16) for name in ("ShdPnd", "SigBlk"))
        return bool(pending & ~blocked & 1 << signal.SIGINT - 1)

    def _status(self, name: str) -> str:
        # A line of the process's status, see proc_pid_status(5).
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(re.finditer(rf"^{name}:\t(.*)$", status, re.MULTILINE))[1]

    def tell(self, message: bytes) -> None:
        """Send its shims a message."""
        if self._interrupting:
            self._held.append(lambda: self.tell(message))
        elif self._channel is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # One that has just died is told nothing any more.
                self._channel.send(message)

    def type(self, data: bytes) -> None:
        """Put bytes on its console."""
        if self._interrupting:
            self._held.append(lambda: self.type(data))
        elif self.open:
            # A board that does not read loses input, as when a UART's buffer runs over.
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(self._stdin, data)

    def collect_output(self) -> None:
        """Take in what it has printed up to now."""
        if self._channel is None:
            return
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self._stdout, _CHUNK)
            if data:
                self._on_output(data)

    def _receive(self) -> None:
        assert self._channel is not None
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            self._on_message(self._channel.recv(_CHUNK))
