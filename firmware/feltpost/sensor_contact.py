"""Driver for contacts that are open or closed: doors, windows, float switches."""

import machine
from micropython import const

from feltpost.edges import EdgeCounter
from feltpost.sensor import Sensor

_DEBOUNCE_MS = const(50)


class Contact(Sensor):
    """A contact to ground at a pin that is pulled up. Options: ``pin``, ``debounce_ms``.

    It tells whether it is closed (1) or open (0), and how often it was opened since the sample
    before; so the two are best sampled at the same interval.
    """

    NAME = "contact"
    CHANNELS = (("contact", 0), ("openings", 0))
    UNITS = {"contact": "/", "openings": "count"}
    ALWAYS = True

    def __init__(self, pin, debounce_ms=_DEBOUNCE_MS):
        super().__init__("on pin %d" % pin)
        self._edges = EdgeCounter(pin, machine.Pin.PULL_UP, 1, debounce_ms)
        self._told = None

    @classmethod
    def connect(cls, ports, options):
        """Take the pin from the configuration."""
        pin = ports.pin(options, "pin")
        return cls(pin, options.number("debounce_ms", 1, 10_000, _DEBOUNCE_MS))

    async def start(self):
        """There is nothing to start: it counts from when it was made."""

    async def sample(self, values):
        """Fill `values` with state and openings; at the first sample there is nothing to count."""
        values[0] = 1 - self._edges.rest()
        count = self._edges.count
        values[1] = None if self._told is None else count - self._told
        self._told = count
