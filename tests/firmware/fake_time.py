"""Stands where the time module stands, so that a test says what time it is; asyncio keeps the real
one. install() comes before what is tested is imported.
"""

import sys


class Time:
    """now_ms: the ticks, and the date since the epoch."""

    def __init__(self, now_ms=0):
        self.now_ms = now_ms

    def ticks_ms(self):
        return self.now_ms

    def ticks_add(self, ticks, delta):
        return ticks + delta

    def ticks_diff(self, end, start):
        return end - start

    def time_ns(self):
        return self.now_ms * 1_000_000


def install(now_ms=0):
    """Put a Time in the module's place; return it."""
    sys.modules["time"] = time = Time(now_ms)
    return time
