"""Pins of a simulated board whose level something else decides, and which may interrupt the board.

A switch to ground under a pull-up (a reed contact, a float, a tipping bucket), or an output that
drives the pin (a motion detector). When the level changes is known beforehand, so that a board at
rest can be woken by it.
"""

from bisect import bisect_right, insort
from typing import Protocol, runtime_checkable

# As MicroPython's Pin.IRQ_RISING and Pin.IRQ_FALLING on the ESP32.
RISING = 1
FALLING = 2


@runtime_checkable
class Line(Protocol):
    """What a board asks of the part at a pin whose interrupt is on."""

    def next_edge_us(self, after_us: int, trigger: int) -> int | None:
        """Return when the level next changes after that, as trigger says; None: never."""


class Signal:
    """A pin's level over time: the part at "pin27". Times are simulated Unix microseconds."""

    def __init__(self, level: int = 1):
        """level: what it is before the first change."""
        self._first = level
        self._changes: list[tuple[int, int]] = []

    def change(self, at_us: int, level: int) -> None:
        """Let the level change to that; where it is that already, nothing changes."""
        insort(self._changes, (at_us, level))

    def pulse(self, at_us: int, duration_us: int, bounces_us: int = 0) -> None:
        """Leave the first level for so long; bounces_us: at both ends it bounces for that time.

        A bounce is four changes, evenly spread over that time.
        """
        away = 1 - self._first
        for start_us, level in ((at_us, away), (at_us + duration_us, self._first)):
            self.change(start_us, level)
            for i in range(1, 5 if bounces_us else 1):
                bounced = level if i % 2 == 0 else 1 - level
                self.change(start_us + i * bounces_us // 4, bounced)

    def level(self, at_us: int) -> int:
        """Return the level at that time."""
        place = bisect_right(self._changes, (at_us, 1))
        return self._changes[place - 1][1] if place else self._first

    def next_edge_us(self, after_us: int, trigger: int) -> int | None:
        """Return when the level next changes after that, as trigger says; None: never."""
        level = self.level(after_us)
        for place in range(bisect_right(self._changes, (after_us, 1)), len(self._changes)):
            at_us, new = self._changes[place]
            if new != level and trigger & (RISING if new else FALLING):
                return at_us
            level = new
        return None

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Tell the level; what the board writes to the pin changes nothing."""
        return bytes((self.level(now_us),))
