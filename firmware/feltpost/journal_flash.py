"""The journal on flash: numbered readings that a power cut at any moment leaves whole.

It is a ring of blocks (journal_page). Readings and marks go into the newest block; when that is
full the oldest is erased and becomes the newest, and what it still kept becomes a gap. Nothing is
erased before a mark on flash has given it up. docs/durability.md says why each step is where it is.
How it is found again after a start is in journal_mount.py.
"""

import errno

from micropython import const

from .journal_gaps import GAP_CORRUPT, GAP_FULL, GAP_POWER, GAP_REJECTED, Gaps
from .journal_page import (
    GOOD,
    MARK_BEGINNING,
    MARK_BEGUN,
    MARK_CLOCK,
    MARK_FREED,
    MARK_LOST,
    VOID,
    Header,
    Mark,
    Pages,
)

# Beginning a block takes three marks in the one before it; the others are for power cuts meanwhile.
_RESERVED = const(8)
_FEWEST_BLOCKS = const(3)
# A slot holds the boot's low byte, counted from the boot in the header.
_BOOTS_MOST = const(255)


class FlashJournal:
    """``first`` is the oldest reading kept, and readable; ``next`` the next number to be given.

    device: a block device with MicroPython's extended interface, whose erased bytes are 0xFF and
    whose writes clear bits: esp32.Partition. new_number: called for the journal's number when the
    device holds no journal. boot: no less than any given before for this device. held: a journal's
    number, and the number from which on the caller holds its readings as well; None if it doesn't.

    Methods raise OSError when the device does, or when it can't be written any more.
    """

    def __init__(self, device, new_number, boot, held=None):
        self._pages = Pages(device)
        if self._pages.count < _FEWEST_BLOCKS:
            raise ValueError("a journal needs {} blocks or more".format(_FEWEST_BLOCKS))
        self.boot = boot
        # The newest block; how many of its slots are used from the front and from the back.
        self._newest = -1
        self._header = Header()
        self._readings = self._marks = 0
        # Whether its last mark is BEGINNING. A cut may tear a second one, which looks like BEGUN.
        self._beginning = False
        # The block that was read last, and the numbers that it holds.
        self._page = Header()
        self._at = -1
        self._at_end = 0
        self._mark = Mark()
        self._offset_ms = None
        # A journal_clocks.Clocks, once it takes one.
        self._clocks = None
        self._gaps = Gaps(0)
        self.next = 0
        from . import journal_mount

        journal_mount.mount(self, new_number, held)
        self.number = self._header.journal
        self._settle()

    @property
    def first(self):
        """The oldest number that is kept."""
        return self._gaps.first

    @property
    def capacity(self):
        """How many readings it keeps before the oldest go, marks aside."""
        return (self._pages.count - 1) * self._pages.slots

    def __len__(self):
        return self.next - self._gaps.first

    def append(self, channel, mantissa, form, uptime_ms):
        """Keep a reading and return its sequence number; it is on flash then."""
        while True:
            begin = not self._room()
            if begin:
                self._begin()
            number = self.next
            slot = self._readings
            self.next = number + 1
            self._readings = slot + 1
            written = self._pages.write(
                self._newest, slot, number, channel, mantissa, form, uptime_ms, self.boot
            )
            if begin or not written:
                self._settle()
            if written:
                return number

    def read(self, number, record):
        """Fill record with the reading of that number, which must be kept.

        Return False where it can't be read any more; it becomes a gap when all before it are gone.
        """
        slot = self._find(number)
        if slot < 0 or self._pages.read(self._at, slot, number, record) != GOOD:
            if number == self.first:
                self._settle()
            return False
        base_boot = self._page.boot
        record.boot = base_boot + ((record.boot - base_boot) & 0xFF)
        if record.boot == self.boot:
            record.offset_ms = self._offset_ms
        else:
            if self._clocks is None:
                from .journal_clocks import Clocks

                self._clocks = Clocks(self._pages)
            record.offset_ms = self._clocks.offset_ms(record.boot, self._at, self._newest)
        return True

    def free(self, below):
        """Let all numbers below that one go: the gateway has them on disk."""
        below = min(below, self.next)
        gap = self.gap()
        if below <= (gap.first if gap else self.first):
            return
        self._gaps.free(below)
        if self._room():
            self._note(MARK_FREED, 0, below, 0)
        elif self._evicts() <= self.first:
            # The new block's header says it.
            self._begin()
        # Else it would cost readings to write it down now. After a power cut some would be sent
        # again, which is better.
        self._settle()

    def reject(self, number):
        """Give up the oldest reading, which the gateway refuses for good.

        number tells which one was meant: it may have gone meanwhile, the journal being full.
        """
        if not self._room():
            self._begin()
        if number == self.first and len(self):
            self._give_up(number + 1, GAP_REJECTED)
        self._settle()

    def gap(self):
        """Return the oldest gap that the gateway has not confirmed, or None."""
        return self._gaps.ranges[0] if self._gaps.ranges else None

    def set_clock(self, offset_ms):
        """Note Unix time less uptime of this boot (ms), for readings that outlive it."""
        self._offset_ms = offset_ms
        if not self._room():
            # The new block's header says it.
            self._begin()
            self._settle()
            return
        self._mark.set_offset(self.boot, offset_ms)
        self._write_mark(MARK_CLOCK)

    def spill(self):
        """All readings are on flash already."""

    def _room(self):
        # Whether the newest block takes a reading or mark more.
        header = self._header
        return (
            self._readings + self._marks + _RESERVED < self._pages.slots
            and header.base + self._readings == self.next
            and 0 <= self.boot - header.boot <= _BOOTS_MOST
        )

    # Beginning a block.

    def _evicts(self):
        # The number below which all is erased when the next block is begun.
        return self._kept_without(self._pages.after(self._newest))

    def _kept_without(self, victim):
        self._at = -1
        if not self._pages.load(victim, self._page):
            return 0
        block = self._pages.after(victim)
        while block != self._newest and not self._pages.load(block, self._page):
            block = self._pages.after(block)
        return self._header.base if block == self._newest else self._page.base

    def _begin(self):
        # Take the oldest block for the newest. One that can't be written is passed over.
        victim = self._newest
        for _ in range(self._pages.count - 1):
            victim = self._pages.after(victim)
            below = self._kept_without(victim)
            if below > self.first:
                self._give_up(below, GAP_FULL)
            if not self._beginning:
                self._note(MARK_BEGINNING, 0, 0, 0)
                self._beginning = True
            if self._start(victim):
                self._note(MARK_BEGUN, 0, 0, 0)
                self._newest = victim
                self._header, self._page = self._page, self._header
                self._readings = self._marks = 0
                self._beginning = False
                return
        raise OSError(errno.EIO)

    def _start(self, block):
        # Write the header of a new block, into the page that is to become the newest one's.
        page = self._page
        page.generation = self._header.generation + 1
        page.journal = self._header.journal
        page.base = self.next
        page.first = self._gaps.first
        page.gaps = self._gaps.ranges
        page.boot = self.boot
        page.offset_ms = self._offset_ms
        return self._pages.begin(block, page)

    # Changes of state.

    def _give_up(self, below, reason):
        first = self.first
        self._gaps.lose(below, reason)
        self._note(MARK_LOST, reason, first, below)

    def _note(self, kind, reason, a, b):
        mark = self._mark
        mark.reason = reason
        mark.high = 0
        mark.a = a
        mark.b = b
        self._write_mark(kind)

    def _write_mark(self, kind):
        # Power cuts and bad cells may have used up the reserve. What is not written down then is
        # found again at the next mount as unreadable, or is sent again: later, but never silent.
        self._mark.kind = kind
        while self._readings + self._marks < self._pages.slots:
            self._marks += 1
            if self._pages.write_mark(
                self._newest, self._marks - 1, self._header.generation, self._mark
            ):
                return

    def _settle(self):
        # Give up what can't be read before the oldest reading that can.
        while self.first < self.next:
            reason = self._missing(self.first)
            if not reason:
                return
            if not self._room():
                self._begin()
                continue
            below = self.first + 1
            while below < self.next and self._missing(below) == reason:
                below += 1
            self._give_up(below, reason)

    # Reading.

    def _find(self, number):
        # Load the block that holds the number into self._page, its place into self._at; return
        # the number's slot, or -1 where no block holds it.
        if self._at < 0 or not self._page.base <= number < self._at_end:
            self._seek(number)
        slot = number - self._page.base
        if self._at < 0 or slot >= self._pages.slots:
            return -1
        return slot

    def _seek(self, number):
        # Readings are asked for in order, so it is the block that was read last or one near it.
        block = self._newest if self._at < 0 else self._at
        self._at = -1
        while not self._pages.load(block, self._page) or self._page.base > number:
            if block == self._pages.after(self._newest):
                return
            block = (block or self._pages.count) - 1
        self._at = block
        # The newest goes on growing.
        self._at_end = 1 << 32
        while block != self._newest:
            block = self._pages.after(block)
            if self._pages.load(block, self._page):
                if self._page.base > number:
                    self._at_end = self._page.base
                    break
                self._at = block
        self._pages.load(self._at, self._page)

    def _missing(self, number):
        # Return why that number can't be read, 0 where it can.
        slot = self._find(number)
        if slot < 0:
            return GAP_CORRUPT
        state = self._pages.state(self._at, slot, number)
        if state == VOID:
            return GAP_POWER
        return 0 if state == GOOD else GAP_CORRUPT
