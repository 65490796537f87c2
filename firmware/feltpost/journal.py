"""The journal in RAM: numbered readings, kept until the gateway has them on disk.

A journal numbers its readings 0, 1, 2, … and gives a number up in one of two ways: ``free`` after
the gateway's answer, or as part of a **gap** that is itself reported and freed. When it is full the
oldest readings go and become a gap. This one is lost with the power; each boot starts a new one.
"""

import struct

from micropython import const

GAP_FULL = const(1)
GAP_REJECTED = const(3)

# channel, form, uptime's high and low part (ms), mantissa
_RECORD = "<BBHIi"
_RECORD_BYTES = const(12)
# More different gaps than this only arise when the gateway refuses readings faster than it takes
# reports; the newest then absorbs what follows.
_GAPS_MOST = const(8)


class Record:
    """One reading as the journal gives it back; reused from call to call.

    channel: index into the node's channels. form: in its low four bits the digits, above them the
    marks (docs/protocol.md); the value is mantissa / 10**digits. uptime_ms: when it was sampled.
    """

    def __init__(self):
        self.channel = self.form = self.mantissa = self.uptime_ms = 0


class Gap:
    """The numbers first … first + count - 1 that will never come, and why (GAP_…)."""

    def __init__(self, first, count, reason):
        self.first = first
        self.count = count
        self.reason = reason


class RamJournal:
    """A ring of fixed-size records; ``first`` is the oldest kept, ``next`` the next to be given."""

    def __init__(self, number, capacity):
        self.number = number
        self.first = self.next = 0
        self._capacity = capacity
        self._ring = bytearray(capacity * _RECORD_BYTES)
        self._gaps = []

    def __len__(self):
        return self.next - self.first

    def append(self, channel, mantissa, form, uptime_ms):
        """Keep a reading and return its sequence number."""
        if len(self) == self._capacity:
            self._lose(GAP_FULL)
        number = self.next
        struct.pack_into(
            _RECORD,
            self._ring,
            number % self._capacity * _RECORD_BYTES,
            channel,
            form,
            uptime_ms >> 32,
            uptime_ms & 0xFFFFFFFF,
            mantissa,
        )
        self.next = number + 1
        return number

    def read(self, number, record):
        """Fill record with the reading of that number, which must be kept."""
        channel, form, high, low, mantissa = struct.unpack_from(
            _RECORD, self._ring, number % self._capacity * _RECORD_BYTES
        )
        record.channel = channel
        record.form = form
        record.uptime_ms = high << 32 | low
        record.mantissa = mantissa

    def free(self, below):
        """Let all numbers below that one go: the gateway has them on disk."""
        self.first = max(self.first, below)
        while self._gaps and self._gaps[0].first < below:
            gap = self._gaps[0]
            if gap.first + gap.count <= below:
                self._gaps.pop(0)
            else:
                gap.count -= below - gap.first
                gap.first = below

    def reject(self, number):
        """Give up the oldest reading, which the gateway refuses for good.

        number tells which one was meant: it may have gone meanwhile, the journal being full.
        """
        if number == self.first:
            self._lose(GAP_REJECTED)

    def gap(self):
        """Return the oldest gap that the gateway has not confirmed, or None."""
        return self._gaps[0] if self._gaps else None

    def _lose(self, reason):
        last = self._gaps[-1] if self._gaps else None
        if last and (last.reason == reason or len(self._gaps) == _GAPS_MOST):
            last.count += 1
        else:
            self._gaps.append(Gap(self.first, 1, reason))
        self.first += 1
