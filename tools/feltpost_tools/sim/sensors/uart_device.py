"""What simulated sensors on a UART have in common: they send bursts of bytes, and may listen.

What they are connected to is ../uart.py.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

from feltpost_tools.sim.sensors.device import Device, Environment, Observer, Readout


@dataclass(frozen=True, slots=True)
class Burst:
    """Bytes sent one after the other, and what a host that reads them all has read out.

    readouts: their time_us is when the host reads them, and not yet known.
    """

    start_us: int
    data: bytes
    readouts: Sequence[Readout] = ()


class UartDevice(Device):
    """A sensor on a UART with 8 data bits, no parity and one stop bit."""

    BAUDRATE = 9600

    def __init__(self, environment: Environment, observer: Observer) -> None:
        super().__init__(environment, observer)
        self.observer = observer
        self._lose_power()

    def write(self, data: bytes, now_us: int) -> None:
        """Take bytes from the host."""
        if not self.unplugged:
            self._write(data, now_us)

    def sent(self, now_us: int) -> list[Burst]:
        """Return the bursts that it has begun since this was asked last, in order."""
        if self.unplugged:
            return []
        return [self._spoilt(burst) for burst in self._send(now_us)]

    def _spoilt(self, burst: Burst) -> Burst:
        if not self.corrupt_next:
            return burst
        self.corrupt_next -= 1
        return Burst(burst.start_us, burst.data[:-1] + bytes((burst.data[-1] ^ 0xFF,)))

    def _write(self, data: bytes, now_us: int) -> None:
        """Take bytes; a sensor that listens to nothing leaves this as it is."""

    @abc.abstractmethod
    def _send(self, now_us: int) -> list[Burst]: ...
