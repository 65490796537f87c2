"""Driver for the JSN-SR04T ultrasonic distance sensor, in mode 1 (R27 open): trigger and echo.

Manufacturer's description of the JSN-SR04T-V3.0, mode 1: a pulse of at least 10 µs on its trigger
pin starts a measurement; its echo pin is high for as long as the sound is under way, or 60 ms where
none comes back. It measures 0.2 to 6 m.
"""

import asyncio
import time
from math import sqrt

import machine
from micropython import const

from feltpost.sensor import NotReady, NotResponding, OutOfRange, Sensor

# Ten do; boards of version 2 want twenty.
_TRIGGER_US = const(20)
# Before a measurement: what the one before it sent must have faded.
_PAUSE_MS = const(60)
# Longer than the longest pulse, and shorter than what would hold up other tasks too long.
_TIMEOUT_US = const(90_000)
# Versions differ in how long they wait for an echo; 38 ms is the shortest. No sound from within the
# range travels for as long.
_NO_ECHO_US = const(37_500)

_NEAREST_MM = const(200)
_FURTHEST_MM = const(6000)

# Sound in dry air travels at 20.047 m/s times the root of the absolute temperature.
_SPEED_FACTOR = 20.047
_ZERO_CEL_K = 273.15
# Speeds are in 1/32 m/s. What comes of the longest pulse within the range stays within 31 bits.
_SPEED_SCALE = const(32)


class Jsnsr04t(Sensor):
    """A JSN-SR04T that measures once each time it is asked.

    What it measures follows the air: 10 °C more are 1.8 % less. Unless the configuration gives the
    ``temperature_c`` of the air it is taken to have 10 °C, about the mean of a year in Denmark.
    """

    NAME = "jsnsr04t"
    CHANNELS = (("distance", 3),)

    def __init__(self, trigger, echo, place, temperature_c):
        super().__init__(place)
        self._trigger = trigger
        self._echo = echo
        self._speed = round(_SPEED_SCALE * _SPEED_FACTOR * sqrt(temperature_c + _ZERO_CEL_K))

    @classmethod
    def connect(cls, ports, options):
        """Take the pins ``trigger`` and ``echo``, and ``temperature_c``."""
        trigger = ports.pin(options, "trigger")
        echo = ports.pin(options, "echo")
        return cls(
            machine.Pin(trigger, machine.Pin.OUT, value=0),
            # Low where nothing is connected, so that it is found out.
            machine.Pin(echo, machine.Pin.IN, machine.Pin.PULL_DOWN),
            "on pins %d and %d" % (trigger, echo),
            options.number("temperature_c", -20, 60, 10),
        )

    async def start(self):
        """Leave the trigger pin low, for whatever it was used before."""
        self._trigger.value(0)

    async def sample(self, values):
        """Measure, and fill `values` with the distance (mm)."""
        await asyncio.sleep_ms(_PAUSE_MS)
        self._trigger.value(1)
        time.sleep_us(_TRIGGER_US)
        self._trigger.value(0)
        length_us = machine.time_pulse_us(self._echo, 1, _TIMEOUT_US)
        if length_us == -1:
            raise self.error(NotResponding, "its echo line stays high; check its wiring")
        if length_us < 0:
            raise self.error(NotResponding, "no pulse comes back; check its wiring and power")
        # Half the way there and back; µs × m/s is 1/1000 mm.
        distance_mm = (length_us * self._speed + _SPEED_SCALE * 1000) // (_SPEED_SCALE * 2000)
        if distance_mm > _FURTHEST_MM and length_us >= _NO_ECHO_US:
            raise self.error(NotReady, "hears no echo; see what it is aimed at")
        if not _NEAREST_MM <= distance_mm <= _FURTHEST_MM:
            raise self.error(OutOfRange, "%d mm is not within 200 to 6000 mm" % distance_mm)
        values[0] = distance_mm
