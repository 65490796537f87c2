"""Driver for contacts that close once for so much of something: rain gauges, water meters.

It tells the total since the node began to count at that pin, so that a reading that is missing
loses nothing. It counts while the processor is awake, and so not through deep sleep. After a power
cut, which the reading ``resetCause`` tells, up to ten minutes of it are missing (kept_count.py).
"""

import asyncio

import machine
from micropython import const

from feltpost.edges import EdgeCounter
from feltpost.kept_count import KeptCount
from feltpost.sensor import OutOfRange, Sensor, SensorError

# Reed contacts bounce for a few milliseconds; a tipping bucket's is closed for some hundred.
_DEBOUNCE_MS = const(20)
_KEEP_MS = const(5_000)
_DIGITS_MOST = const(6)

# What a journal takes.
_MOST = const(0x7FFFFFFF)


class Pulses(Sensor):
    """A contact to ground at a pin that is pulled up; each closing counts.

    Options: ``pin``; ``per_pulse``, what one stands for (1 unless it says otherwise), in steps of
    10**-digits; ``digits`` (0); ``debounce_ms``. A total that is not a count needs a ``unit`` in
    its channel.
    """

    NAME = "pulses"
    ALWAYS = True

    def __init__(self, pin, retained, per_pulse, digits, debounce_ms):
        """per_pulse: as an integer, in the last of so many digits."""
        super().__init__("on pin %d" % pin)
        self.CHANNELS = (("total", digits),)
        self.UNITS = {"total": "count"} if per_pulse == 1 and not digits else {}
        self._per_pulse = per_pulse
        self._kept = KeptCount(retained, pin)
        self._before = self._kept.restored
        self._edges = EdgeCounter(pin, machine.Pin.PULL_UP, 0, debounce_ms)
        self._keeper = None

    @classmethod
    def connect(cls, ports, options):
        """Take pin and pulse from the configuration."""
        pin = ports.pin(options, "pin")
        digits = options.number("digits", 0, _DIGITS_MOST, 0)
        per_pulse = round(options.take("per_pulse", (int, float), 1) * 10**digits)
        if not 0 < per_pulse <= _MOST:
            raise options.error("per_pulse", "must be more than 0 in {} digits".format(digits))
        debounce_ms = options.number("debounce_ms", 1, 10_000, _DEBOUNCE_MS)
        return cls(pin, ports.retained, per_pulse, digits, debounce_ms)

    async def start(self):
        """Keep the count from now on."""
        if not self._keeper:
            self._keeper = asyncio.create_task(self._keep())

    async def sample(self, values):
        """Fill `values` with the total, in units of 10**-digits."""
        self._edges.rest()
        count = self._before + self._edges.count
        try:
            self._kept.keep(count)
        except OSError as error:
            raise self.error(SensorError, "NVS does not take its count (%s)" % error)
        if count > _MOST // self._per_pulse:
            raise self.error(OutOfRange, "has counted too far; give it fewer digits")
        values[0] = count * self._per_pulse

    async def _keep(self):
        while True:
            await asyncio.sleep_ms(_KEEP_MS)
            self._edges.rest()
            try:
                self._kept.keep(self._before + self._edges.count)
            except OSError:
                # The next sample tells it.
                pass
