"""Where the gateway takes the time from.

The clock is handed to everything that needs it, so that a simulation can run the whole gateway on
a clock of its own.
"""

import time
from typing import Protocol

# A computer without a battery-backed clock starts in 1970, or at the last time that it wrote
# down. No gateway ran before this day (2026-01-01), so an earlier time is a clock not yet set.
_CLOCK_FLOOR_MS = 1_767_225_600_000


class Clock(Protocol):
    """What the gateway asks of a clock."""

    def now_ms(self) -> int:
        """Return Unix milliseconds."""

    def is_set(self) -> bool:
        """Tell whether `now_ms` can be believed."""


class SystemClock:
    """The computer's own clock."""

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def is_set(self) -> bool:
        """Tell whether the clock shows a time at which this program can have run."""
        return self.now_ms() >= _CLOCK_FLOOR_MS
