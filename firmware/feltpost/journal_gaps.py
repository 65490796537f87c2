"""Which numbers of a journal are given up, and why, until the gateway has confirmed it."""

import struct

from micropython import const

# Reasons, docs/protocol.md.
GAP_FULL = const(1)
GAP_CORRUPT = const(2)
GAP_REJECTED = const(3)
GAP_POWER = const(4)

# More different gaps than this only arise when readings go faster than reports are taken; the
# newest then absorbs what follows.
GAPS_MOST = const(8)

# reason, count
_GAP = "<BI"
_GAP_BYTES = const(5)


class Gap:
    """The numbers first … first + count - 1 that will never come, and why (GAP_…)."""

    def __init__(self, first, count, reason):
        self.first = first
        self.count = count
        self.reason = reason


class Gaps:
    """``first`` is the oldest number that is kept; the gaps are oldest first and end there."""

    def __init__(self, first):
        self.first = first
        self.ranges = []

    def free(self, below):
        """Forget all numbers below that one: the gateway has them, or knows of their gap."""
        self.first = max(self.first, below)
        ranges = self.ranges
        while ranges and ranges[0].first < below:
            gap = ranges[0]
            if gap.first + gap.count <= below:
                ranges.pop(0)
            else:
                gap.count -= below - gap.first
                gap.first = below

    def lose(self, below, reason):
        """Give up the kept numbers below that one."""
        count = below - self.first
        if count <= 0:
            return
        last = self.ranges[-1] if self.ranges else None
        if last and (last.reason == reason or len(self.ranges) == GAPS_MOST):
            last.count += count
        else:
            self.ranges.append(Gap(self.first, count, reason))
        self.first = below


def pack(ranges, buf, at):
    """Write gaps, oldest first, into buf from at on; it takes 5 bytes for each."""
    for i, gap in enumerate(ranges):
        struct.pack_into(_GAP, buf, at + i * _GAP_BYTES, gap.reason, gap.count)


def unpack(buf, at, count, end):
    """Return the gaps that pack() wrote, of which the last one ends before the number end."""
    ranges = []
    for i in range(count - 1, -1, -1):
        reason, lost = struct.unpack_from(_GAP, buf, at + i * _GAP_BYTES)
        end -= lost
        ranges.insert(0, Gap(end, lost, reason))
    return ranges
