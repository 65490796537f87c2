"""Between a board's port and the pseudo-terminal that the gateway opens in its place.

All that the board says is heard here, whether a gateway is there or not; the link can be disturbed;
and the port can be left to another program for a while, such as mpremote, without the gateway's
being stopped.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import serial

from feltpost_gateway import slipmux
from feltpost_tools.device import rights
from feltpost_tools.device.console import BAUD
from feltpost_tools.faults.disturbance import later
from feltpost_tools.sim.console import SerialLine
from feltpost_tools.sim.tap import Tap

_CHUNK = 4096


class SerialRelay:
    """Relays while it has the port; line: the gateway's end, which is there all the time."""

    def __init__(self, port: str, path: Path, heard: Callable[[bytes], None]):
        """path: the gateway's end. heard is called with what comes from the board."""
        self.line = SerialLine(path, self.send, ruined=lambda: None, later=later)
        self._port = port
        self._heard = heard
        self._serial: serial.Serial | None = None
        self.tap: Tap | None = None
        """What listens in on the CoAP messages that the board sends and gets."""
        self._sent = slipmux.Decoder()
        self._got = slipmux.Decoder()

    @property
    def port(self) -> serial.Serial | None:
        """The port, while it is relayed."""
        return self._serial

    def take_port(self) -> None:
        """Relay from now on. Raises PortUnavailable."""
        port = serial.Serial(baudrate=BAUD, timeout=0, exclusive=True)
        port.port = self._port
        # On most boards these two are wired to reset and boot mode.
        port.dtr = port.rts = False
        try:
            port.open()
        except OSError:
            raise rights.unavailable(self._port) from None
        self._serial = port
        asyncio.get_running_loop().add_reader(port.fileno(), self._read)

    def leave_port(self) -> None:
        """Let others have the port."""
        if self._serial is None:
            return
        asyncio.get_running_loop().remove_reader(self._serial.fileno())
        with contextlib.suppress(OSError):
            self._serial.close()
        self._serial = None

    def send(self, data: bytes) -> None:
        """Send to the board; lost without a port, as on a cable that is pulled."""
        for message in _messages(self._got, data):
            if self.tap:
                self.tap.to_node(message)
        if self._serial is not None:
            with contextlib.suppress(OSError):
                os.write(self._serial.fileno(), data)

    def close(self) -> None:
        """End both sides."""
        self.leave_port()
        self.line.unplug()

    def _read(self) -> None:
        assert self._serial is not None
        try:
            data = os.read(self._serial.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # The adapter went away, as it does when its power is cut.
            self.leave_port()
            return
        for message in _messages(self._sent, data):
            if self.tap:
                self.tap.from_node(message)
        self._heard(data)
        self.line.send(data)


def _messages(decoder: slipmux.Decoder, data: bytes) -> list[bytes]:
    return [item.message for item in decoder.feed(data) if isinstance(item, slipmux.Coap)]
