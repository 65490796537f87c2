"""Waiting times between attempts that fail: exponential, with full jitter, bounded."""

import random

_FIRST_S = 0.5
_CAP_S = 60.0


class Backoff:
    """Gives the waiting times, in seconds; `reset` after a success."""

    def __init__(self) -> None:
        self._bound_s = _FIRST_S

    def next_s(self) -> float:
        """Return how long to wait now: at most 0.5 s at first, 60 s in the end."""
        bound_s = self._bound_s
        self._bound_s = min(_CAP_S, bound_s * 2)
        return random.uniform(0, bound_s)

    def reset(self) -> None:
        """Start anew with short times."""
        self._bound_s = _FIRST_S
