"""The node's time: uptime since boot, and the wall time once a gateway has told it.

The only place that converts: everything else holds uptime in milliseconds, and asks here for Unix
time. ``time.time()`` is not used, so that it makes no difference that MicroPython counts from 2000
on the ESP32 and from 1970 on unix.
"""

import time

from micropython import const

# A crystal is good to some 20 ppm; twice that for cold nights, as a shift: 2**-14 is 61 ppm.
_DRIFT_SHIFT = const(14)


class Clock:
    """Uptime from ticks, wall time from the gateway's answers.

    An answer tells the time to half its round trip. The clock keeps that error beside the time and
    lets it grow with the crystal's drift, so a late answer never spoils what a prompt one has told.
    """

    def __init__(self):
        self._ticks_ms = time.ticks_ms()
        self._uptime_ms = 0
        self._offset_ms = None
        self._error_ms = self._told_ms = 0

    def uptime_ms(self):
        """Return milliseconds since boot.

        Ticks wrap after 12.4 days; called more often than every six days, this does not.
        """
        now_ms = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(now_ms, self._ticks_ms)
        self._ticks_ms = now_ms
        return self._uptime_ms

    def is_set(self):
        """Tell whether a gateway has told the time since boot."""
        return self._offset_ms is not None

    def error_ms(self):
        """Return how far the wall time, which is set, may be off."""
        return self._error_ms + (self.uptime_ms() - self._told_ms >> _DRIFT_SHIFT)

    def set(self, unix_ms, round_trip_ms):
        """Take the gateway's time from an answer that has just come, so long after its request.

        Return by how many milliseconds the clock moved: 0 where what it had is as good, None the
        first time.
        """
        now_ms = self.uptime_ms()
        error_ms = round_trip_ms // 2
        offset_ms = unix_ms + error_ms - now_ms
        moved_ms = None
        if self._offset_ms is not None:
            moved_ms = offset_ms - self._offset_ms
            # What the two agree on is no reason to move, unless the new one knows it better.
            if abs(moved_ms) <= self.error_ms() + error_ms and error_ms >= self.error_ms():
                return 0
        self._offset_ms = offset_ms
        self._error_ms = error_ms
        self._told_ms = now_ms
        return moved_ms

    def unix_s(self, uptime_ms):
        """Return the wall time of an instant of this boot, whole Unix seconds, cut off."""
        return (uptime_ms + self._offset_ms) // 1000
