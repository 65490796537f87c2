"""Model of the JSN-SR04T ultrasonic distance sensor in mode 1: a trigger and an echo pin.

Manufacturer's description of the JSN-SR04T-V3.0. Not modelled: the serial modes.
"""

from __future__ import annotations

import math
import struct

from feltpost_tools.sim.sensors.device import Device, Environment, Observer, Readout

_TRIGGER_LEAST_US = 10
# Eight periods at 40 kHz are sent before the pulse begins.
_BURST_US = 200
_NO_ECHO_US = 60_000
_FURTHEST_M = 6.0
# Nearer than this the transducer still rings, and what comes out is some distance like this.
_NEAREST_M = 0.2


class Jsnsr04t(Device):
    """A JSN-SR04T with its two pins, `trigger` and `echo`, which are parts of the board.

    air_cel: the temperature of the air. It can't be told from the distance: what the observer is
    given is the distance that the echo's length means in such air.
    """

    def __init__(self, environment: Environment, observer: Observer, air_cel: float = 10.0) -> None:
        super().__init__(environment, observer)
        self.air_cel = air_cel
        self.stuck_high = False
        """While set, its echo pin is high, whatever happens."""
        self.trigger = _TriggerPin(self)
        self.echo = _EchoPin(self)
        self._lose_power()

    def _lose_power(self) -> None:
        self._triggered_us: int | None = None
        self._rises_us = self._falls_us = 0
        self._pulse_us: int | None = None
        self._distance_m: float | None = None

    @property
    def _speed_m_s(self) -> float:
        # Laplace's formula for dry air: the root of 1.4 R T / M.
        return math.sqrt(1.4 * 8.314462 * (self.air_cel + 273.15) / 0.0289652)

    def drive(self, high: bool, now_us: int) -> None:
        """Take the level of the trigger pin."""
        if self._unplugged:
            return
        if high:
            self._triggered_us = now_us
        elif self._triggered_us is not None:
            long_enough = now_us - self._triggered_us >= _TRIGGER_LEAST_US
            self._triggered_us = None
            if long_enough and now_us >= self._falls_us:
                self._measure(now_us)

    def _measure(self, now_us: int) -> None:
        self._rises_us = now_us + _BURST_US
        distance_m = max(self._environment("distance", now_us), _NEAREST_M * 0.9)
        length_us = round(2e6 * distance_m / self._speed_m_s)
        self._distance_m = length_us * self._speed_m_s / 2e6
        if self._distance_m > _FURTHEST_M or self.stuck_busy:
            length_us, self._distance_m = _NO_ECHO_US, None
        self._falls_us = self._rises_us + length_us
        self._pulse_us = length_us

    def level(self, now_us: int) -> bool:
        """Return the level of the echo pin, which a pull-down holds low while it is unplugged."""
        if self._unplugged:
            return False
        return self.stuck_high or self._rises_us <= now_us < self._falls_us

    def time_high(self, timeout_us: int, now_us: int) -> tuple[int, int]:
        """Return what a board finds that waits for the echo pin to be high and times how long.

        That is the length or what MicroPython's machine.time_pulse_us gives instead, and how long
        it took, in microseconds. A pulse is timed whole by the first who asks, as a board has not
        let its beginning pass, although it takes a simulated one a while to ask.
        """
        pulse_us, self._pulse_us = self._pulse_us, None
        if self.stuck_high and not self._unplugged:
            return -1, timeout_us
        if pulse_us is None:
            pulse_us = self._falls_us - now_us
        if pulse_us <= 0 or self._unplugged:
            return -2, timeout_us
        if pulse_us > timeout_us:
            return -1, timeout_us
        if self._distance_m is not None and self._distance_m >= _NEAREST_M:
            self._observer(Readout("distance", self._distance_m, now_us, self._rises_us))
        return pulse_us, max(self._falls_us - now_us, 0)


class _TriggerPin:
    def __init__(self, sensor: Jsnsr04t):
        self._sensor = sensor
        self._high = False

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Take a level (one byte), or tell it."""
        if request:
            self._high = request[0] == 1
            self._sensor.drive(self._high, now_us)
        return bytes((self._high,))


class _EchoPin:
    def __init__(self, sensor: Jsnsr04t):
        self._sensor = sensor

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Tell the level; or after ``t``, u8 1, u32 time-out: `time_high`'s, i32 and u32."""
        if not request:
            return bytes((self._sensor.level(now_us),))
        level, timeout_us = struct.unpack_from("<BI", request, 1)
        assert level == 1, "only high pulses are modelled"
        return struct.pack("<iI", *self._sensor.time_high(timeout_us, now_us))
