"""A bad cable between a board and whoever opens its port: a relay that disturbs what it carries.

The gateway (or a tool) is told the relay's path in the port's place.
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Self

import serial

from feltpost_tools.errors import FeltpostError
from feltpost_tools.faults.disturbance import Disturbance, later
from feltpost_tools.sim.console import SerialLine

_CHUNK = 4096


class SerialProxy:
    """An asynchronous context manager: inside, it relays between ``port`` and ``path``.

    path is a symbolic link to a pseudo-terminal, on which the line can also be unplugged: `line`.
    When the port hangs up, so does the pseudo-terminal.
    """

    def __init__(self, port: Path, path: Path, baud: int, disturbance: Disturbance | None = None):
        """port: of the board, at so many baud. path: where the relay shall be found."""
        self.line = SerialLine(path, self._to_board, ruined=lambda: None, later=later)
        self.line.disturbance = disturbance
        self._board = serial.Serial()
        self._board.port = str(port)
        self._board.baudrate = baud
        self._board.timeout = 0
        self._board.exclusive = True
        # On ESP32 boards these two lines are wired to reset and boot mode.
        self._board.dtr = False
        self._board.rts = False

    async def __aenter__(self) -> Self:
        """Open both. Raises FeltpostError where the port can't be opened."""
        try:
            self._board.open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise FeltpostError(
                f"{self._board.port}: the port can't be opened: {error}; see that the board is "
                "plugged in and that no other program has its port open"
            ) from error
        asyncio.get_running_loop().add_reader(self._board.fileno(), self._from_board)
        self.line.plug()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close both."""
        self._close()

    def _from_board(self) -> None:
        try:
            data = os.read(self._board.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.line.send(data)
        else:
            self._close()

    def _to_board(self, data: bytes) -> None:
        # A board that takes no bytes loses them, as does one that was unplugged meanwhile.
        with contextlib.suppress(OSError, serial.SerialException):
            os.write(self._board.fileno(), data)

    def _close(self) -> None:
        self.line.unplug()
        if self._board.is_open:
            asyncio.get_running_loop().remove_reader(self._board.fileno())
            self._board.close()
