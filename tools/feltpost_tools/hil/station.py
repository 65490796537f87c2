"""Everything of one test: a board, its ledger, and the broker and gateway that it asks for."""

import time
from pathlib import Path

from feltpost_tools.hil.backend import Backend, Surroundings
from feltpost_tools.hil.background import Background
from feltpost_tools.hil.board import Board
from feltpost_tools.hil.book import Book
from feltpost_tools.hil.faults import Faults
from feltpost_tools.hil.inventory import BoardEntry
from feltpost_tools.hil.real import RealBoard, Tenancy
from feltpost_tools.hil.services import Broker, Gateway
from feltpost_tools.hil.simulated import SimulatedBoard
from feltpost_tools.sim.broker import free_port
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.listed_gaps import listed_gaps


class Station:
    """Puts it together as it is asked for; open() first, close() last."""

    def __init__(
        self,
        loop: Background,
        entry: BoardEntry,
        folder: Path,
        log: Path,
        image: Image,
        tenancy: Tenancy | None,
    ):
        """folder: a new one, for all that is written. tenancy: of a real board."""
        self.entry = entry
        self._loop = loop
        self._folder = folder
        self.book = Book(
            loop,
            entry.name,
            now_us=lambda: self._backend.now_us(),
            gaps=lambda: listed_gaps(self.gateway.store) if self.gateway.store.exists() else (),
            sees_sensors=entry.simulated,
        )
        around = Surroundings(folder, free_port(), log, self.book, image.application)
        self._backend: Backend = (
            RealBoard(entry, around, tenancy) if tenancy else SimulatedBoard(entry, around, image)
        )
        self.board = Board(loop, self._backend, self.book)
        self.broker = Broker(loop, folder / "broker", self.book)
        self.gateway = Gateway(loop, folder, self._backend, folder / "clock")
        self.faults = Faults(loop, self._backend, self.board, self.broker, self.gateway)

    def open(self) -> None:
        """Have the board run. Raises a FeltpostError; nothing is left open then."""
        if not self.entry.simulated:
            SharedClock(self._folder / "clock", time.time_ns() // 1000)
        try:
            self._loop.run(self._backend.open())
        except BaseException:
            self._loop.run(self._backend.close())
            raise

    def close(self) -> None:
        """Leave the board."""
        self._loop.run(self._backend.close())

    def logs(self, lines: int) -> list[tuple[str, str]]:
        """Return the last lines of each log, by its title."""
        files = [(f"console of {self.entry.name}", self._backend.console.log)]
        files.append(("gateway", self.gateway.log))
        return [(title, _tail(path, lines)) for title, path in files if path.exists()]


def _tail(path: Path, lines: int) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
