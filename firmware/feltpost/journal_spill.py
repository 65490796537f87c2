"""The journal on flash, for one in RTC memory (journal_rtc.py) that spills to it."""

from .journal_flash import FlashJournal


class SpillJournal(FlashJournal):
    """A FlashJournal that also takes readings of former boots, and numbers that are not its own."""

    def offset_ms(self):
        """Return what set_clock() has noted for the boot whose readings are being appended."""
        return self._offset_ms

    def take_boot(self, boot, offset_ms):
        """Take what is appended from here on as readings of that boot, no older than the last.

        offset_ms: Unix time less uptime of that boot, None if it is not known.
        """
        self.boot = boot
        self._offset_ms = None
        if offset_ms is not None:
            self.set_clock(offset_ms)

    def advance(self, number, gaps):
        """Go on at a higher number. What lies between was freed elsewhere, or is in those gaps."""
        if len(self):
            # What is kept here comes first, so that nothing can have been freed after it.
            self._skip_lost(number)
            return
        start = gaps[0].first if gaps else number
        if start > self.next:
            self._gaps.free(start)
        for gap in gaps:
            self._gaps.lose(gap.first + gap.count, gap.reason)
        self.next = number
        # Its header says it.
        self._begin()

    def _skip_lost(self, number):
        # Have the numbers below that one lost with the power. Where they would take more than two
        # blocks they are left out, and count as unreadable when their turn comes.
        if number - self.next > 2 * self._pages.slots:
            self.next = number
            self._begin()
        while self.next < number:
            if not self._room():
                self._begin()
            self._pages.void(self._newest, self._readings)
            self._readings += 1
            self.next += 1
