"""A board that a test works on, simulated or real: what both kinds do, and what each must."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.faults.disturbance import Disturbance
from feltpost_tools.flashing import application, configuration, selftest
from feltpost_tools.flashing.compile import Application
from feltpost_tools.flashing.configuration import Settings
from feltpost_tools.flashing.selftest import Check
from feltpost_tools.hil.book import Book
from feltpost_tools.hil.console import Console
from feltpost_tools.hil.identity import Identity
from feltpost_tools.hil.inventory import BoardEntry
from feltpost_tools.hil.serial_relay import SerialRelay
from feltpost_tools.sim.gateway_process import Enrolled

_EXECUTE_S = 60.0
_START_S = 60.0
# What the application says once it runs.
_STARTED = r"feltpost (\S+): journal (\d+), (\d+) readings in it, (\d+) sensors"


@dataclass(frozen=True)
class Surroundings:
    """What a test has around its board.

    folder: for all that is written. gateway_port: the UDP port at which the gateway listens on the
    loopback interface. log: for what the board says. book: for what its node is promised, and for
    what its sensors hand out where that can be seen. application: the firmware under test.
    """

    folder: Path
    gateway_port: int
    log: Path
    book: Book
    application: Application


class Backend(ABC):
    """One board for the time of one test. All methods run in the event loop.

    console, relay: what it says, and its serial line. interval_s: how often its sensors are read.
    After open() it runs the application, with an empty journal; enrolled and identity tell who it
    is, configuration what its feltpost.json holds.
    """

    interval_s: int
    enrolled: Enrolled
    identity: Identity

    def __init__(self, entry: BoardEntry, port: str, around: Surroundings):
        """port: the board's, as a path."""
        self.entry = entry
        self.around = around
        self.console = Console(entry.name, around.log)
        self.relay = SerialRelay(port, around.folder / "gateway-tty", self.console.hear)
        self.mpremote = Mpremote(port)
        self.configuration = entry.configuration(entry.site.links, self.interval_s)

    # What each kind does its own way

    @abstractmethod
    async def open(self) -> None:
        """Reach the board. Raises a DeviceError, BoardBusy or another FeltpostError."""

    @abstractmethod
    async def close(self) -> None:
        """Leave it."""

    @abstractmethod
    async def reset(self) -> None:
        """Press its button RESET (EN)."""

    @abstractmethod
    async def power_off(self) -> None:
        """Cut its power."""

    @abstractmethod
    async def power_on(self) -> None:
        """Give it power again."""

    @abstractmethod
    def now_us(self) -> int:
        """Return the time by which it lives, Unix microseconds."""

    @abstractmethod
    async def pass_time(self, duration_s: float) -> None:
        """Wait until so much time has passed for it."""

    @abstractmethod
    def answers(self, anybody: bool) -> None:
        """Note whether there is a gateway now that can answer it."""

    @abstractmethod
    def set_disturbance(self, disturbance: Disturbance | None) -> None:
        """Let its link to the gateway be bad, or good again."""

    # What all do alike

    @property
    def serial_ports(self) -> Sequence[Path]:
        """The serial ports that its gateway has to open."""
        return [self.relay.line.path] if self.entry.link == "serial" else []

    async def started(self) -> re.Match[str]:
        """Wait until the application runs.

        Return what it said: its version, its journal's number, how many readings are in that, and
        how many sensors it has.
        """
        return await self.console.wait_for(_STARTED, _START_S)

    @asynccontextmanager
    async def prompt(self) -> AsyncIterator[Mpremote]:
        """Leave the board to mpremote for a while, at whose end it stays at its prompt."""
        self.relay.leave_port()
        try:
            yield self.mpremote
        finally:
            self.relay.take_port()

    async def execute(self, script: str, soft_reset: bool = False) -> str:
        """Run a script at the prompt; return what it printed. Raises a DeviceError."""
        async with self.prompt() as mpremote:
            return await mpremote.run(script, timeout_s=_EXECUTE_S, soft_reset=soft_reset)

    async def selftest(self) -> list[Check]:
        """Let the firmware test sensors, links and flash. Raises a DeviceError."""
        async with self.prompt() as mpremote:
            return await selftest.checks(mpremote)

    async def flash(self) -> None:
        """Put the firmware under test on it once more. Raises a DeviceError."""
        async with self.prompt() as mpremote:
            await application.install(mpremote, self.around.application)

    async def configure(self, sections: Mapping[str, Any]) -> None:
        """Write a configuration with other sections. Raises a DeviceError."""
        self.configuration |= sections
        async with self.prompt() as mpremote:
            await configuration.write(mpremote, self.settings)

    @property
    def settings(self) -> Settings:
        """Its configuration, with its networks' passwords."""
        return Settings(self.configuration, self.entry.site.passwords)
