"""The journal on flash, with the power cut at every single write and erase, and in the mount after.

A ledger outside decides: every reading whose append has returned must be there with its value, or
freed, or in a gap with its true reason; no number comes twice.
"""

import random

import check
from feltpost.journal_flash import FlashJournal
from feltpost.journal_gaps import GAP_FULL, GAP_POWER, GAP_REJECTED
from feltpost.record import Record
from nor_flash import MODES, Nor

_BLOCKS = 4
_BLOCK_BYTES = 512
# The fewest readings in a block that is full, where nothing was freed or refused meanwhile.
_BLOCK_READINGS = 17
_BOOT_TIME_MS = 1_795_000_000_000


def value_of(number):
    return number % 7, number * 1_000_003 % 2**32 - 2**31, number % 7, 10**10 + number


class Ledger:
    """What the node has been promised, and what it has given up."""

    def __init__(self):
        self.appended = {}
        # The reading whose append was under way.
        self.pending = None
        self.freed = 0
        # The numbers that were rejected, and whether more has been appended than the journal holds.
        self.rejected = set()
        self.full = False

    def copy(self):
        copy = Ledger()
        copy.appended = dict(self.appended)
        copy.pending = self.pending
        copy.freed = self.freed
        copy.rejected = set(self.rejected)
        copy.full = self.full
        return copy

    def check(self, journal, what):
        """Check everything that a mounted journal holds."""
        gone = {}
        end = None
        for gap in journal._gaps.ranges:
            check.equal(end is None or gap.first == end, True, what + ": gaps in one piece")
            end = gap.first + gap.count
            for number in range(gap.first, end):
                gone[number] = gap.reason
        if end is not None:
            check.equal(end, journal.first, what + ": gaps end where readings begin")
        record = Record()
        readable = {}
        for number in range(journal.first, journal.next):
            if journal.read(number, record):
                readable[number] = record.channel, record.mantissa, record.form, record.uptime_ms
        for number, value in self.appended.items():
            if number in readable:
                check.equal(readable[number], value, what + f": reading {number}")
            elif number in gone:
                reason = gone[number]
                if reason == GAP_FULL:
                    true = self.full and journal.next - number > _BLOCK_READINGS
                else:
                    true = reason == GAP_REJECTED and number in self.rejected
                check.equal(true, True, what + f": {number} lost by {reason}")
            else:
                check.equal(number < self.freed, True, what + f": {number} vanished")
        for number, value in readable.items():
            if number not in self.appended:
                check.equal(value, self.pending, what + f": reading {number} from nowhere")
        for number, reason in gone.items():
            if number not in self.appended:
                check.equal(reason in (GAP_POWER, GAP_FULL), True, what + ": a gap of nothing")
        for number in range(journal.first, journal.next):
            if number not in readable:
                check.equal(journal._missing(number), GAP_POWER, what + f": hole at {number}")
        highest = max(self.appended) if self.appended else -1
        check.equal(journal.next > highest, True, what + ": a number would come twice")
        if journal.first < journal.next:
            check.equal(journal.first in readable, True, what + ": the first must be readable")


class Node:
    """A journal and the ledger of what was done with it."""

    def __init__(self, ledger, boot):
        self.ledger = ledger
        self.boot = boot
        self.journal = None

    def mount(self, chip, new_number):
        self.journal = FlashJournal(chip, new_number, self.boot)

    def append(self, count):
        for _ in range(count):
            value = value_of(self.journal.next)
            self.ledger.pending = value
            number = self.journal.append(*value)
            check.equal(number in self.ledger.appended, False, "a number came twice")
            self.ledger.appended[number] = value
            self.ledger.pending = None

    def free(self, count):
        below = min(self.journal.first + count, self.journal.next)
        self.ledger.freed = max(self.ledger.freed, below)
        self.journal.free(below)

    def confirm(self):
        gap = self.journal.gap()
        if gap:
            below = gap.first + gap.count
            self.ledger.freed = max(self.ledger.freed, below)
            self.journal.free(below)

    def reject(self):
        first = self.journal.first
        self.ledger.rejected.add(first)
        self.journal.reject(first)


def scenario(node):
    """Do what a node does in a life: online, offline, full, with readings that are refused."""
    for _ in range(6):
        node.append(4)
        node.free(4)
    node.journal.set_clock(_BOOT_TIME_MS)
    node.append(10)
    node.reject()
    node.append(2)
    node.free(3)
    node.ledger.full = True
    node.append(100)
    node.confirm()
    node.reject()
    node.reject()
    node.append(3)
    node.free(20)
    node.append(60)
    node.free(11)
    node.confirm()
    for _ in range(40):
        node.append(1)
        node.free(2)
    node.free(1000)
    node.append(5)


class Cutter:
    """Watches a chip, and at each operation tries every way of being cut there."""

    def __init__(self, chip, node, share, depth):
        self.chip = chip
        self.node = node
        self.share = share
        self.depth = depth
        self.cuts = 0

    def __call__(self, start, data):
        if random.getrandbits(10) >= self.share * 1024:
            return
        for mode in MODES:
            what = "{} of {} at {}".format(mode, "an erase" if data is None else "a write", start)
            self.resume(self.chip.cut(start, data, mode), what)
            self.cuts += 1

    def resume(self, chip, what):
        ledger = self.node.ledger.copy()
        node = Node(ledger, self.node.boot + 1)
        cutter = None
        if self.depth:
            # The mount and what comes after it are cut as well.
            cutter = chip.watch = Cutter(chip, node, 0.04, self.depth - 1)
        node.mount(chip, never)
        chip.watch = None
        ledger.check(node.journal, what)
        # What was under way may have come whole; then it is a reading like the others.
        record = Record()
        for number in range(node.journal.first, node.journal.next):
            if number not in ledger.appended and node.journal.read(number, record):
                ledger.appended[number] = ledger.pending
        ledger.pending = None
        chip.watch = cutter
        node.append(3)
        node.free(2)
        if self.depth:
            node.reject()
            ledger.full = True
            node.append(40)
        chip.watch = None
        ledger.check(node.journal, what + ", resumed")
        again = FlashJournal(chip, never, node.boot + 1)
        ledger.check(again, what + ", mounted again")
        check.equal(again.next, node.journal.next, what + ", mounted again")
        if cutter:
            self.cuts += cutter.cuts


def never():
    raise AssertionError("the journal was begun anew")


def cut(share, depth, seed):
    random.seed(seed)
    chip = Nor(_BLOCKS, _BLOCK_BYTES)
    node = Node(Ledger(), 1)
    node.mount(chip, lambda: 7)
    cutter = chip.watch = Cutter(chip, node, share, depth)
    scenario(node)
    chip.watch = None
    node.ledger.check(node.journal, "uncut")
    return cutter.cuts, chip


def test_power_cuts_at_every_write_and_erase():
    cuts, chip = cut(1, 0, 1)
    check.equal(cuts, len(MODES) * (chip.writes + chip.erases - 2), "cuts")
    check.equal(chip.erases > 2 * _BLOCKS, True, "the ring went round")


def test_power_cuts_in_the_recovery_from_power_cuts():
    cuts, _ = cut(0.06, 1, 2)
    check.equal(cuts > 200, True, "cuts")


if __name__ == "__main__":
    check.main(globals())
