"""Counts boots that went wrong; after ten in a row the node stays in safe mode for a while.

A boot is good once the gateway has its report, or when the node has run for five minutes, whether
anybody answers or not: a gateway that is away is no reason to reset anything. In safe mode the node
has links, report and prompt, but neither sensors nor journal: whatever crashed it is left alone.
After an hour, or a deep sleep, it makes one attempt; a power cycle, a soft reset or a technician at
the prompt gives it ten again.

The count is in RTC memory: it survives the resets that it counts, costs no flash, and is gone after
a power cycle.
"""

import asyncio
import struct

import machine
from micropython import const

from .retained import HEALTH

# bad boots in a row, crashes since the one whose traceback is kept
_FORMAT = "<BB"
_COUNT_MOST = const(255)

_BAD_MOST = const(10)
_GOOD_MS = const(300_000)
_SAFE_MS = const(3_600_000)


class Boots:
    """This boot and those before it.

    memory: a retained.Retained. cause: machine.reset_cause(). ``bad``: boots in a row, this one
    included, that are not known to be good; ``crashes``: since the one whose traceback waits for
    the gateway; ``safe``: whether this boot is one in safe mode; ``cause``: as given.
    """

    def __init__(self, memory, cause):
        self._memory = memory
        self.cause = cause
        data = memory.get(HEALTH)
        self.bad, self.crashes = struct.unpack(_FORMAT, data) if data else (0, 0)
        if cause == machine.SOFT_RESET:
            # Somebody is there.
            self.bad = 0
        self.safe = False
        if cause != machine.DEEPSLEEP_RESET:
            self.safe = self.bad >= _BAD_MOST
            self.bad = min(self.bad + 1, _COUNT_MOST)
        self._put()

    async def run(self):
        """Call the boot good once it has lasted; in safe mode, end that by a reset."""
        if self.safe:
            await asyncio.sleep_ms(_SAFE_MS)
            self.bad = _BAD_MOST - 1
            self._put()
            machine.reset()
        await asyncio.sleep_ms(_GOOD_MS)
        self.forgive()

    def forgive(self):
        """Start counting anew: this boot is a good one, or a technician is at the prompt."""
        self.bad = 0
        self._put()

    def count_crash(self):
        """Count a crash whose traceback is not kept."""
        self.crashes = min(self.crashes + 1, _COUNT_MOST)
        self._put()

    def reported(self):
        """Note that the gateway has this boot's report; in safe mode that makes it no good one."""
        self.crashes = 0
        if not self.safe:
            self.bad = 0
        self._put()

    def _put(self):
        self._memory.put(HEALTH, struct.pack(_FORMAT, self.bad, self.crashes))
