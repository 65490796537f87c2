"""The journal in RAM: numbered readings, kept until the gateway has them on disk.

A journal numbers its readings 0, 1, 2, … and gives a number up in one of two ways: ``free`` after
the gateway's answer, or as part of a **gap** that is itself reported and freed. When it is full the
oldest readings go and become a gap. This one is lost with the power; each boot starts a new one.
"""

import struct

from micropython import const

from .journal_gaps import GAP_FULL, GAP_REJECTED, Gaps

# channel, form, uptime's high and low part (ms), mantissa
_RECORD = "<BBHIi"
_RECORD_BYTES = const(12)


class RamJournal:
    """A ring of fixed-size records; ``first`` is the oldest kept, ``next`` the next to be given.

    ``capacity`` is how many it keeps at most; ``boot`` is what its records have for theirs: they
    are all of this boot.
    """

    boot = 0

    def __init__(self, number, capacity):
        self.number = number
        self.next = 0
        self.capacity = capacity
        self._ring = bytearray(capacity * _RECORD_BYTES)
        self._gaps = Gaps(0)

    @property
    def first(self):
        """The oldest number that is kept."""
        return self._gaps.first

    def __len__(self):
        return self.next - self._gaps.first

    def append(self, channel, mantissa, form, uptime_ms):
        """Keep a reading and return its sequence number."""
        number = self.next
        if len(self) == self.capacity:
            self._gaps.lose(self.first + 1, GAP_FULL)
        struct.pack_into(
            _RECORD,
            self._ring,
            number % self.capacity * _RECORD_BYTES,
            channel,
            form,
            uptime_ms >> 32,
            uptime_ms & 0xFFFFFFFF,
            mantissa,
        )
        self.next = number + 1
        return number

    def read(self, number, record):
        """Fill record with the reading of that number, which must be kept; return True."""
        channel, form, high, low, mantissa = struct.unpack_from(
            _RECORD, self._ring, number % self.capacity * _RECORD_BYTES
        )
        record.channel = channel
        record.form = form
        record.uptime_ms = high << 32 | low
        record.mantissa = mantissa
        record.boot = self.boot
        return True

    def free(self, below):
        """Let all numbers below that one go: the gateway has them on disk."""
        self._gaps.free(below)

    def reject(self, number):
        """Give up the oldest reading, which the gateway refuses for good.

        number tells which one was meant: it may have gone meanwhile, the journal being full.
        """
        if number == self.first:
            self._gaps.lose(number + 1, GAP_REJECTED)

    def gap(self):
        """Return the oldest gap that the gateway has not confirmed, or None."""
        return self._gaps.ranges[0] if self._gaps.ranges else None

    def set_clock(self, offset_ms):
        """Take Unix time less uptime (ms); no reading outlives the boot whose clock knows it."""

    def spill(self):
        """There is no flash for these readings."""
