"""How fast messages may go: a set rate, and one that a broker teaches.

Rates are messages per second; None is without a bound.
"""

import time
from collections.abc import Callable

# A short burst, so that a timer that is late does not lower the rate.
_BURST_S = 0.05

_SLOWEST_PER_S = 0.5
_FAST_PER_S = 1000.0
_CALM_S = 60.0
_SHORT_LIFE_S = 10.0
_SOME_MESSAGES = 3


class Rate:
    """Lets messages through at `per_s`, evenly."""

    def __init__(self, per_s: float | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self.per_s = per_s
        self._now_s = now_s
        self._next_s = 0.0

    def wait_s(self) -> float:
        """Return how long the next message has to wait, 0 for not at all."""
        return 0.0 if self.per_s is None else max(0.0, self._next_s - self._now_s())

    def take(self) -> None:
        """Count a message that goes now."""
        if self.per_s is not None:
            self._next_s = max(self._next_s, self._now_s() - _BURST_S) + 1 / self.per_s


class Pace(Rate):
    """A rate for a broker that throws out clients which are too fast for it.

    Each time it does, the rate is halved; each minute that it doesn't, half as much is added. A
    broker that gives no reason has found us too fast when it takes some messages and then ends the
    connection, twice in a short time.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(None, now_s)
        self._changed_s = 0.0
        self._since_s = 0.0
        self._sent = 0
        self._short_lives = 0
        self.acknowledged = 0
        """How many messages were taken on the present connection."""

    def begin(self) -> None:
        """Note a new connection."""
        self._since_s = self._now_s()
        self._sent = self.acknowledged = 0

    def take(self) -> None:
        """Count a message that goes now."""
        self._sent += 1
        if self.per_s is not None and self._now_s() - self._changed_s >= _CALM_S:
            self._changed_s = self._now_s()
            self.per_s *= 1.5
            if self.per_s > _FAST_PER_S:
                self.per_s = None
        super().take()

    def broke(self, too_fast: bool) -> bool:
        """Note that the broker ended the connection, and whether it called us too fast.

        Returns whether the rate was lowered for it.
        """
        age_s = self._now_s() - self._since_s
        was_short = age_s < _SHORT_LIFE_S and self.acknowledged >= _SOME_MESSAGES
        if was_short:
            self._short_lives += 1
        elif age_s >= _SHORT_LIFE_S:
            self._short_lives = 0
        if not too_fast and not (was_short and self._short_lives > 1):
            return False
        measured = self._sent / max(age_s, _BURST_S)
        limit = measured if self.per_s is None else min(self.per_s, measured)
        self.per_s = max(_SLOWEST_PER_S, limit / 2)
        self._changed_s = self._now_s()
        return True
