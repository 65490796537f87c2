"""What a simulated board's pins and buses lead to: parts, each by the name of its place.

A place is "i2c0", "uart1", "pin4", "adc34": the peripheral and its number on the board. The shims
(shims/machine.py) talk to a part in bytes; what they mean is between the shim and the part.
"""

import errno
import struct
from collections.abc import Sequence
from typing import Protocol

from feltpost_tools.sim.sensors.device import I2CDevice, Nack
from feltpost_tools.sim.sensors.onewire import OneWireDevice

# How long a bit is on the line matters to no model; that there are nine to a byte does.
_CLOCKS_TO_RELEASE = 9


class Part(Protocol):
    """Something at a place of the board."""

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Answer the board; OSError, with the errno that the board is to see, where it can't."""


class I2cBus:
    """An I2C bus with its devices. The shim asks: u8 address, u16 bytes to read, bytes to write."""

    def __init__(self, devices: Sequence[I2CDevice] = ()):
        self._devices = devices
        self._held_clocks = 0
        self.scl = _ClockLine(self)
        """The part at the bus's clock pin, for a board that frees the bus by hand."""
        self.sda = _DataLine(self)
        """The part at its data pin."""

    def hold(self) -> None:
        """Let a device be in the middle of a byte, holding the data line low until it's clocked."""
        self._held_clocks = _CLOCKS_TO_RELEASE

    @property
    def held(self) -> bool:
        """Whether a device holds the data line low."""
        return self._held_clocks > 0

    def clock(self) -> None:
        """Take one clock pulse from the board's own hand."""
        self._held_clocks = max(0, self._held_clocks - 1)

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Carry one transaction; an empty request asks for the addresses that acknowledge."""
        if self.held:
            raise OSError(errno.ETIMEDOUT, "the data line is held low")
        if not request:
            return bytes(sorted(device.address for device in self._devices))
        address, length = struct.unpack_from("<BH", request)
        for device in self._devices:
            if device.address == address:
                try:
                    if length:
                        return device.read(length, now_us)
                    device.write(request[3:], now_us)
                    return b""
                except Nack:
                    break
        # What the ESP32 port raises for an address that nobody acknowledges.
        raise OSError(errno.ENODEV, "nobody acknowledges")


class OneWireBus:
    """A 1-Wire bus, at the place of its pin.

    The shim asks ``p`` for a reset, and is told 1 for a presence pulse; or ``s`` and what the board
    does in each of the following time slots, 1 to let go of the line (to write a 1, or to read), 0
    to hold it low, and is told the line's levels.
    """

    shorted = False
    """While set, the data line is connected to ground."""

    def __init__(self, devices: Sequence[OneWireDevice] = ()):
        self._devices = devices

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Carry a reset or time slots; without a request tell the line's level."""
        if request == b"p":
            present = [device.reset(now_us) for device in self._devices]
            return bytes((any(present) or self.shorted,))
        return bytes(self._slot(level, now_us) for level in request[1:] or b"\x01")

    def _slot(self, level: int, now_us: int) -> int:
        for device in self._devices:
            level &= device.drive(now_us)
        if self.shorted:
            level = 0
        for device in self._devices:
            device.sense(level, now_us)
        return level


class _ClockLine:
    def __init__(self, bus: I2cBus):
        self._bus = bus
        self._high = True

    def serve(self, request: bytes, now_us: int) -> bytes:
        if request:
            rises = not self._high and request[0] == 1
            self._high = request[0] == 1
            if rises:
                self._bus.clock()
        return bytes((self._high,))


class _DataLine:
    def __init__(self, bus: I2cBus):
        self._bus = bus
        self._high = True

    def serve(self, request: bytes, now_us: int) -> bytes:
        if request:
            self._high = request[0] == 1
        return bytes((self._high and not self._bus.held,))
