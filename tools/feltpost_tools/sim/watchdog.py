"""A simulated board's hardware watchdog."""

import asyncio
from collections.abc import Callable

from feltpost_tools.sim.clock import SharedClock


class Watchdog:
    """Resets the board unless it is fed in time, however busy the board is. Starts stopped."""

    def __init__(self, clock: SharedClock, bite: Callable[[], None]):
        """bite: resets the board."""
        self._clock = clock
        self._bite = bite
        self._timer: asyncio.TimerHandle | None = None
        self.due_us: int | None = None
        """When it bites, simulated Unix microseconds; None while it is stopped."""

    def feed(self, timeout_ms: int) -> None:
        """Start or feed it: it bites after that time."""
        self.due_us = self._clock.now_us() + timeout_ms * 1000
        if self._timer is None:
            self._watch(timeout_ms / 1000)

    def stop(self) -> None:
        """Stop it, which only a reset can."""
        self.due_us = None
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def bitten(self) -> bool:
        """Reset the board when it has not been fed in time; return whether it has not."""
        if self.due_us is None or self._clock.now_us() < self.due_us:
            return False
        self.stop()
        self._bite()
        return True

    def _watch(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._check)

    def _check(self) -> None:
        # A board that is busy finds no rest at which the world's clock could end its time.
        self._timer = None
        if self.due_us is not None and not self.bitten():
            self._watch((self.due_us - self._clock.now_us()) / 1e6)
