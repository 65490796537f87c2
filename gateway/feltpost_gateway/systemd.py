"""Tells systemd how the service is, where systemd runs it.

The protocol is that of sd_notify(3): datagrams of `NAME=value` lines to the socket that the
environment names. Elsewhere every call does nothing.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress

from feltpost_gateway.logs import EventLog

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG_US = "WATCHDOG_USEC"
_WATCHDOG_PID = "WATCHDOG_PID"

# A start may take long, where a store is salvaged or brought to a new schema; each message says
# that it still goes on, and is good for a few of these intervals.
_STARTING_INTERVAL_S = 10.0
_STARTING_EXTENDS_S = 60.0


class Supervisor:
    """The systemd that runs this process, or nobody."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._log = EventLog("systemd")
        # A name that begins with @ is in the abstract namespace (unix(7)).
        self._address = environment.get(_SOCKET, "").replace("@", "\0", 1)
        self.watchdog_s = _watchdog_s(environment)
        """How long systemd waits for a sign of life, seconds; None where it does not wait."""
        self._is_ready = False

    def ready(self) -> None:
        """Say that the service serves."""
        self._is_ready = True
        self._notify("READY=1")

    def alive(self) -> None:
        """Give the sign of life that systemd's watchdog waits for."""
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service ends on purpose."""
        self._notify("STOPPING=1")

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """Keep systemd from giving a start up that still goes on."""
        task = asyncio.create_task(self._extend())
        try:
            yield
        finally:
            task.cancel()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the configuration is read anew, and at the end that this is done.

        A service that was not ready before is not ready then either.
        """
        if not self._is_ready:
            yield
            return
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.ready()

    async def _extend(self) -> None:
        while True:
            self._notify(f"EXTEND_TIMEOUT_USEC={int(_STARTING_EXTENDS_S * 1e6)}")
            await asyncio.sleep(_STARTING_INTERVAL_S)

    def _notify(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto("\n".join(lines).encode(), self._address)
            except OSError as error:
                self._log.limited((), "not-notified", state=lines[0], reason=error)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return the watchdog's time (sd_watchdog_enabled(3)), unless it is another process's."""
    with suppress(KeyError, ValueError):
        if int(environment.get(_WATCHDOG_PID, os.getpid())) == os.getpid():
            return int(environment[_WATCHDOG_US]) / 1e6
    return None
