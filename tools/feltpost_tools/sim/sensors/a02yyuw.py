"""Model of the A02YYUW ultrasonic distance sensor.

DFRobot SEN0311, specification and "Communication Protocol". Its RX is taken to be high, so that it
sends processed values. What it sends beyond its range is not specified: this one sends 0 when
something is too near, and 0xFFFD where nothing is, as sensors of its maker (DYP) do.
"""

from __future__ import annotations

from feltpost_tools.sim.sensors.device import Readout
from feltpost_tools.sim.sensors.uart_device import Burst, UartDevice

# Response time of processed values, 100 to 300 ms.
_PERIOD_US = 300_000

_HEADER = 0xFF
_RANGE_MM = (30, 4500)
_TOO_NEAR = 0
_NO_OBJECT = 0xFFFD


class A02yyuw(UartDevice):
    """An A02YYUW. It measures and sends without end; while stuck_busy is set it does not."""

    def _lose_power(self) -> None:
        self._next_us: int | None = None

    def _send(self, now_us: int) -> list[Burst]:
        if self._next_us is None:
            self._next_us = now_us + _PERIOD_US
        bursts = []
        while self._next_us <= now_us:
            if not self.stuck_busy:
                bursts.append(self._measured(self._next_us))
            self._next_us += _PERIOD_US
        return bursts

    def _measured(self, at_us: int) -> Burst:
        distance_mm = round(self._environment("distance", at_us) * 1000)
        readouts = []
        nearest_mm, farthest_mm = _RANGE_MM
        if distance_mm < nearest_mm:
            distance_mm = _TOO_NEAR
        elif distance_mm > farthest_mm:
            distance_mm = _NO_OBJECT
        else:
            readouts.append(Readout("distance", distance_mm / 1000, at_us, at_us))
        frame = bytes((_HEADER,)) + distance_mm.to_bytes(2, "big")
        return Burst(at_us, frame + bytes((sum(frame) & 0xFF,)), readouts)
