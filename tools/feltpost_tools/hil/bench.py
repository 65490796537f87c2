"""One session's boards: which can be used, which are broken, and what a test gets of each."""

from __future__ import annotations

import getpass
import os
import socket
from functools import cached_property
from pathlib import Path

from feltpost_tools.errors import NoAnswer, NotAtPrompt, PortLost, PortUnavailable
from feltpost_tools.hil.background import Background
from feltpost_tools.hil.inventory import BoardEntry
from feltpost_tools.hil.lock import BoardLock
from feltpost_tools.hil.real import Tenancy
from feltpost_tools.hil.station import Station
from feltpost_tools.sim.image import Image

# After one of these the tests that follow would only wait for the same.
_UNREACHABLE = (NoAnswer, NotAtPrompt, PortLost, PortUnavailable)


class Bench:
    """Opens boards for tests; close() leaves all of them."""

    def __init__(self, folder: Path, wait_s: float):
        """folder: for all that is written; wait_s: how long to wait for a board in use."""
        self._folder = folder
        self._wait_s = wait_s
        self._loop = Background()
        self._tenancies: dict[str, Tenancy] = {}
        self._broken: dict[str, str] = {}
        self._count = 0

    @cached_property
    def image(self) -> Image:
        """The firmware under test, compiled."""
        return Image(self._folder / "image")

    def broken(self, entry: BoardEntry) -> str | None:
        """Return why no test can use the board any more; None while they can."""
        return self._broken.get(entry.name)

    def note_failure(self, entry: BoardEntry, error: BaseException, test: str) -> None:
        """Take notice of what ended a test, in case it is that the board is broken."""
        if isinstance(error, _UNREACHABLE):
            self.give_up(entry, error, test)

    def give_up(self, entry: BoardEntry, error: BaseException, test: str) -> None:
        """Use a board no more; test: which one found out."""
        reason = f"board {entry.name!r} can't be used since {test}: {error}"
        self._broken.setdefault(entry.name, reason)

    def open(self, entry: BoardEntry, log: Path) -> Station:
        """Give a test a board; log: for its console. Raises a FeltpostError."""
        self._count += 1
        folder = self._folder / f"{self._count}-{entry.name}"
        folder.mkdir(parents=True)
        tenancy = None if entry.simulated else self._tenancy(entry)
        if tenancy:
            tenancy.begin(_who(), self._wait_s)
        station = Station(self._loop, entry, folder, log, self.image, tenancy)
        station.open()
        return station

    def close(self) -> None:
        """Leave the boards as they were found, but wiped."""
        for tenancy in self._tenancies.values():
            self._loop.run(tenancy.end())
        self._loop.close()

    def _tenancy(self, entry: BoardEntry) -> Tenancy:
        if entry.name not in self._tenancies:
            lock = BoardLock(entry.port)
            self._tenancies[entry.name] = Tenancy(entry, lock)
        return self._tenancies[entry.name]


def _who() -> str:
    return f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"
