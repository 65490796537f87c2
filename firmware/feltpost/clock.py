"""The node's time: uptime since boot, and the wall time once a gateway has told it.

The only place that converts: everything else holds uptime in milliseconds, and asks here for Unix
time. ``time.time()`` is not used, so that it makes no difference that MicroPython counts from 2000
on the ESP32 and from 1970 on unix.
"""

import time

from micropython import const

# Marks, docs/protocol.md.
RECONSTRUCTED = const(1)
BOUNDED = const(2)

# How good what counts the time is: as shifts of the time that passed, the error of one that nobody
# has measured, and what is left once its drift is known; and for how long, in ms, its drift is
# measured at least and at most. It is measured until the errors of the two answers that it is
# measured between are no more of that time than the second shift says.
#
# A crystal is good to some 20 ppm, and to more in cold nights: 2**-14 is 61 ppm, 2**-17 is 8 ppm.
# After a day the measurement starts anew, as drift changes with the seasons.
CRYSTAL = (14, 17, 3_600_000, 86_400_000)
_PPB = const(1_000_000_000)

# By how much an answer may be further off than half its round trip says: node and gateway tell
# whole milliseconds, and each writes down the time a moment before or after it sends or receives.
_SLACK_MS = const(20)


class Clock:
    """Uptime from ticks, wall time from the gateway's answers. pace: as CRYSTAL.

    An answer tells the time to half its round trip. The clock keeps that error beside the time and
    lets it grow with the crystal's drift, so a late answer never spoils what a prompt one has told.
    The drift itself is measured between contacts and corrected.
    """

    # Over how long the drift in use was measured, up to where its measurement began anew; 0 until
    # it does.
    _measured_ms = 0

    def __init__(self, pace=CRYSTAL):
        self._unknown_shift, self._known_shift, self._drift_least_ms, self._drift_most_ms = pace
        self._ticks_ms = time.ticks_ms()
        self._uptime_ms = 0
        # Unix time minus uptime at _told_ms, None until the first answer.
        self._offset_ms = None
        self._error_ms = self._told_ms = 0
        self._known_from_ms = 0
        # Where the measurement of the drift began, and what it gave; 0 and False until then.
        self._anchor_ms = self._anchor_offset_ms = self._anchor_error_ms = 0
        self._drift_ppb = 0
        self._drift_known = False

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
        shift = self._known_shift if self._drift_known else self._unknown_shift
        return self._error_ms + (self.uptime_ms() - self._told_ms >> shift)

    def set(self, unix_ms, round_trip_ms):
        """Take the gateway's time from an answer that has just come, so long after its request.

        Return by how many milliseconds the clock moved: 0 where what it had is as good, None the
        first time.
        """
        now_ms = self.uptime_ms()
        error_ms = round_trip_ms // 2
        offset_ms = unix_ms + error_ms - now_ms
        moved_ms = None
        if self._offset_ms is None:
            self._known_from_ms = now_ms
            self._anchor(now_ms, offset_ms, error_ms)
        else:
            moved_ms = offset_ms - self._offset_at(now_ms)
            agreed = abs(moved_ms) <= self.error_ms() + error_ms + _SLACK_MS
            # What the two agree on is no reason to move, unless the new one knows it better.
            if agreed and error_ms >= self.error_ms():
                return 0
            if agreed:
                self._measure_drift(now_ms, offset_ms, error_ms, moved_ms)
            else:
                # The gateway's clock was set, or what was measured of ours is wrong: most likely it
                # is right, but it is measured anew, and relied on no more until then.
                self._anchor(now_ms, offset_ms, error_ms)
                self._drift_known = False
                self._measured_ms = 0
        self._offset_ms = offset_ms
        self._error_ms = error_ms
        self._told_ms = now_ms
        return moved_ms

    def offset_ms(self):
        """Return Unix time less uptime, now, for a clock that is set."""
        return self._offset_at(self.uptime_ms())

    def unix_s(self, uptime_ms):
        """Return the wall time of an instant of this boot, whole Unix seconds, cut off."""
        return (uptime_ms + self._offset_at(uptime_ms)) // 1000

    def marks(self, uptime_ms):
        """Return the marks of a reading that was sampled at that instant."""
        return RECONSTRUCTED if uptime_ms < self._known_from_ms else 0

    def _offset_at(self, uptime_ms):
        return self._offset_ms + (uptime_ms - self._told_ms) * self._drift_ppb // _PPB

    def _anchor(self, now_ms, offset_ms, error_ms):
        self._anchor_ms = now_ms
        self._anchor_offset_ms = offset_ms
        self._anchor_error_ms = error_ms

    def _measure_drift(self, now_ms, offset_ms, error_ms, moved_ms):
        elapsed_ms = now_ms - self._anchor_ms
        errors_ms = self._anchor_error_ms + error_ms
        if elapsed_ms < max(self._drift_least_ms, errors_ms << self._known_shift):
            if error_ms < self._anchor_error_ms >> 1:
                # A far better beginning, after one with a late answer. The drift that was measured
                # up to that one is off by as much, and readings of all that time wait for theirs.
                if self._measured_ms:
                    self._measured_ms += elapsed_ms
                    self._drift_ppb += moved_ms * _PPB // self._measured_ms
                self._anchor(now_ms, offset_ms, error_ms)
            return
        self._drift_ppb = (offset_ms - self._anchor_offset_ms) * _PPB // elapsed_ms
        self._drift_known = True
        if elapsed_ms > self._drift_most_ms:
            self._anchor(now_ms, offset_ms, error_ms)
            self._measured_ms = elapsed_ms
