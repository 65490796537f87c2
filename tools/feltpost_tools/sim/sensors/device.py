"""What simulated sensors have in common: their observer, their faults, their place on an I2C bus.

The models in this package follow the chips' data sheets, not Feltpost's drivers, so that a driver's
mistake shows. Where a data sheet gives a typical and a maximum time the models take the maximum.
They are ready as soon as they have power.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass


class Nack(Exception):  # noqa: N818 - the I2C specification's word for it
    """The device did not acknowledge its address or a byte; the driver sees an OSError."""


Environment = Callable[[str, int], float]
"""(quantity, now_us) -> the true value at that time.

Quantities and their units: "temperature" (°C), "relativeHumidity" (%RH), "illuminance" (lx),
"co2" (ppm), "waterLevel" (m), "atmosphericPressure" (hPa), "distance" (m), "voltage.0" to
"voltage.3" (V), "pm1", "pm25" and "pm10" (µg/m³).
"""


@dataclass(frozen=True, slots=True)
class Readout:
    """A value that the host has read from a chip, undisturbed."""

    quantity: str
    value: float
    """What the chip digitised, by the data sheet's conversion from raw counts."""
    time_us: int
    """When the host read it."""
    measured_us: int
    """When the chip measured it."""


Observer = Callable[[Readout], None]
"""Called for each value read out by the host: that is what a ledger counts as sampled.

Values that the host can't take for a measurement are left out: with a spoilt checksum, cut short,
or at the count that stands for an overflow.
"""


class Device(abc.ABC):
    """A simulated sensor, however it is connected.

    Times are microseconds on the board's clock, never falling.
    """

    stuck_busy: bool = False
    """While set, a measurement that was begun does not end."""

    corrupt_next: int = 0
    """How many of the next answers end in a wrong checksum; for a chip that sends checksums."""

    def __init__(self, environment: Environment, observer: Observer) -> None:
        self._environment = environment
        self._observer = observer
        self._unplugged = False

    @property
    def unplugged(self) -> bool:
        """True while it is off the line and without power; it has forgotten all on return."""
        return self._unplugged

    @unplugged.setter
    def unplugged(self, unplugged: bool) -> None:
        if unplugged and not self._unplugged:
            self._lose_power()
        self._unplugged = unplugged

    @abc.abstractmethod
    def _lose_power(self) -> None:
        """Forget everything that it does not keep without power."""


class I2CDevice(Device):
    """A chip on a simulated I2C bus."""

    address: int

    def __init__(self, environment: Environment, observer: Observer, address: int) -> None:
        super().__init__(environment, observer)
        self.address = address

    def write(self, data: bytes, now_us: int) -> None:
        """Take one write transaction, empty when only the address was sent; may raise Nack."""
        if self._unplugged:
            raise Nack
        self._write(data, now_us)

    def read(self, length: int, now_us: int) -> bytes:
        """Answer one read transaction, with 0xFF past the end of the data; may raise Nack."""
        if self._unplugged:
            raise Nack
        return self._read(length, now_us).ljust(length, b"\xff")[:length]

    @abc.abstractmethod
    def _write(self, data: bytes, now_us: int) -> None: ...

    @abc.abstractmethod
    def _read(self, length: int, now_us: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Scale:
    """How a chip digitises one quantity to 16 bits; all in the quantity's unit."""

    low: float
    high: float
    """The range that the chip is specified for; it gives the nearer end for what is beyond."""
    zero: float
    """The value that count 0 stands for."""
    full_scale: float
    """The value that count 65535 stands for."""

    def digitise(self, value: float) -> int:
        """Return the count nearest to `value`."""
        clamped = min(max(value, self.low), self.high)
        return round((clamped - self.zero) / (self.full_scale - self.zero) * 0xFFFF)

    def restore(self, count: int) -> float:
        """Return the value that `count` stands for."""
        return self.zero + (self.full_scale - self.zero) * count / 0xFFFF
