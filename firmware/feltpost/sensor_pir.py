"""Driver for passive infrared motion detectors whose output is high while something moves.

Data sheet HC-SR501: it needs about a minute after power-on, in which it may tell of motion where
there is none; its output is high from 0.3 s to minutes, as set by its trimmer, and low for 2.5 s
after that.
"""

import asyncio

import machine
from micropython import const

from feltpost.edges import EdgeCounter
from feltpost.sensor import Sensor

_WARM_UP_MS = const(60_000)
# Its output does not bounce; what is shorter is a disturbance of its line.
_DEBOUNCE_MS = const(10)


class Pir(Sensor):
    """A motion detector at ``pin``: how often it began to see motion since the sample before."""

    NAME = "pir"
    CHANNELS = (("motion", 0),)
    UNITS = {"motion": "count"}
    ALWAYS = True

    def __init__(self, pin):
        super().__init__("on pin %d" % pin)
        # Pulled down, so that no detector is no motion.
        self._edges = EdgeCounter(pin, machine.Pin.PULL_DOWN, 1, _DEBOUNCE_MS)
        self._told = None

    @classmethod
    def connect(cls, ports, options):
        """Take the pin from the configuration."""
        return cls(ports.pin(options, "pin"))

    async def start(self):
        """Wait until it has warmed up, if it has just got power."""
        if machine.reset_cause() == machine.PWRON_RESET:
            await asyncio.sleep_ms(_WARM_UP_MS)

    async def sample(self, values):
        """Fill `values` with the count; at the first sample there is nothing to count."""
        self._edges.rest()
        count = self._edges.count
        values[0] = None if self._told is None else count - self._told
        self._told = count
