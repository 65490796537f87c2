"""Why a simulated chip boots again, and what the firmware is told of it."""

import enum
from dataclasses import dataclass

# What machine.wake_reason() tells after a deep sleep that the timer ended, and otherwise.
_WOKEN_BY_TIMER = 4
_NOT_WOKEN = 0


class Cause(enum.IntEnum):
    """What machine.reset_cause() tells (MicroPython's ports/esp32/modmachine.c)."""

    POWER_ON = 1
    """For a brown-out too."""
    HARD = 2
    WATCHDOG = 3
    DEEP_SLEEP = 4
    SOFT = 5

    def told(self) -> bytes:
        """Return what the shims get: the cause, and why the chip woke up."""
        woken = self is Cause.DEEP_SLEEP
        return bytes((self, _WOKEN_BY_TIMER if woken else _NOT_WOKEN))


@dataclass(frozen=True)
class Restart:
    """The chip stops at once and boots again with that cause.

    After deep sleep it does once the simulated time is due_us; None: never.
    """

    cause: Cause
    asleep: bool = False
    due_us: int | None = None
