"""One run of MicroPython as a process: what a simulated board's processor does from boot to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_CHUNK = 65_536


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
        """Raise KeyboardInterrupt in it."""
        if self.open and self._process:
            self._process.send_signal(signal.SIGINT)

    def tell(self, message: bytes) -> None:
        """Send its shims a message."""
        if self._channel is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # One that has just died is told nothing any more.
                self._channel.send(message)

    def type(self, data: bytes) -> None:
        """Put bytes on its console."""
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
