"""The time of a node that sleeps: uptime goes on through deep sleep, by the chip's RTC.

``time.time_ns()`` goes on through an ESP32's deep sleep, and counts from anywhere: only differences
are used. Asleep, the chip counts by an RC oscillator, so each contact measures anew how that went
since the one before, and the readings in between are dated by it.
"""

import struct
import time

from micropython import const

from .clock import Clock

# An RC oscillator moves by some 5 % with its temperature (ESP32 data sheet 4.1.3; 2**-4 is 6 %),
# and little from one hour to the next. See clock.CRYSTAL.
_RC_OSCILLATOR = (4, 8, 600_000, 0)

_STATE = "<qqqqqqIIiB"
_ERROR_MOST_MS = const(0xFFFFFFFF)
_NOT_SET = const(-1)


class SleepClock(Clock):
    """A Clock; state: what state() returned before a deep sleep, or None at a boot."""

    def __init__(self, state=None):
        super().__init__(_RC_OSCILLATOR)
        self._began_ms = _rtc_ms()
        if not state:
            return
        (
            self._began_ms,
            offset_ms,
            self._known_from_ms,
            self._told_ms,
            self._anchor_ms,
            self._anchor_offset_ms,
            self._error_ms,
            self._anchor_error_ms,
            self._drift_ppb,
            self._drift_known,
        ) = struct.unpack(_STATE, state)
        if offset_ms != _NOT_SET:
            self._offset_ms = offset_ms

    def uptime_ms(self):
        """Return milliseconds since boot, deep sleep included."""
        return _rtc_ms() - self._began_ms

    def state(self):
        """Return what the clock needs after a deep sleep, 61 bytes."""
        return struct.pack(
            _STATE,
            self._began_ms,
            _NOT_SET if self._offset_ms is None else self._offset_ms,
            self._known_from_ms,
            self._told_ms,
            self._anchor_ms,
            self._anchor_offset_ms,
            min(self._error_ms, _ERROR_MOST_MS),
            min(self._anchor_error_ms, _ERROR_MOST_MS),
            self._drift_ppb,
            self._drift_known,
        )


def _rtc_ms():
    return time.time_ns() // 1_000_000
