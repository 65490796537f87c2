"""A simulated board's serial line: a pseudo-terminal with a stable name, which can be unplugged."""

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable
from pathlib import Path

from feltpost_tools.faults.disturbance import Disturbance, carry

_CHUNK = 4096


class SerialLine:
    """The cable between a board's console and whoever opens ``path``, a symbolic link.

    Bytes that nobody takes are lost, as on a real line. What it carries goes through
    ``disturbance``.
    """

    def __init__(
        self,
        path: Path,
        received: Callable[[bytes], None],
        ruined: Callable[[], None],
        later: Callable[[int, Callable[[], object]], object],
    ):
        """received is called with what comes from outside, ruined when the line did not carry
        something as it was; later: calls a function after so many milliseconds."""
        self.path = path
        self.disturbance: Disturbance | None = None
        self._received = received
        self._ruined = ruined
        self._later = later
        self._master: int | None = None
        self._slave: int | None = None
        self._unplug_after: int | None = None

    @property
    def plugged(self) -> bool:
        """Whether the line has a cable."""
        return self._master is not None

    def plug(self) -> None:
        """Put the cable in, if it is not: the port appears under its name, and the cable stays."""
        self._unplug_after = None
        if self._master is not None:
            return
        self._master, self._slave = os.openpty()
        # Held open by us as well, so that the line does not hang up when the other side closes it.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        """Pull the cable out: the port hangs up and its name is gone."""
        if self._master is None or self._slave is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        self.path.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = None

    def unplug_after(self, count: int) -> None:
        """Pull the cable out once so many more bytes have come from the board."""
        self._unplug_after = count

    def send(self, data: bytes) -> None:
        """Send what the board has written."""
        if self._master is None:
            return
        if self._unplug_after is not None:
            data, rest = data[: self._unplug_after], data[self._unplug_after :]
            self._unplug_after -= len(data)
            if rest:
                self._write(data)
                self._unplug_after = None
                self.unplug()
                return
        way = self.disturbance.from_node if self.disturbance else None
        if not carry(way, data, self._write, self._later):
            self._ruined()

    def _write(self, data: bytes) -> None:
        if self._master is None:
            # It was on its way when the cable was pulled.
            return
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def _read(self) -> None:
        assert self._master is not None
        try:
            data = os.read(self._master, _CHUNK)
        except BlockingIOError:
            return
        way = self.disturbance.to_node if self.disturbance else None
        if not carry(way, data, self._received, self._later):
            self._ruined()
