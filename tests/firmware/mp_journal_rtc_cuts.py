"""The journal in RTC memory, with the chip reset and the power cut at every write of any kind.

At each write to RTC memory, write and erase of flash and commit of NVS: a reset or a loss of power,
with the write not done, done in part or done. A ledger outside decides: a reading whose append has
returned is there, with its boot and its boot's clock, or was freed, or is in a gap with its true
reason; only a loss of power takes what was not on flash. No number comes twice.
"""

import random

import check
from feltpost.journal_gaps import GAP_FULL, GAP_POWER, GAP_REJECTED
from feltpost.record import Record
from nor_flash import MODES, Nor
from rtc_board import Board, Nvs, Rtc

_OFFSET_MS = 1_795_000_000_000


def value_of(number):
    return number % 7, number * 1_000_003 % 2**32 - 2**31, number % 7, 10**10 + number


class Ledger:
    """What the node has been promised, and what it has given up."""

    def __init__(self):
        # By number, the value and the boot.
        self.appended = {}
        self.pending = None
        self.freed = 0
        self.rejected = set()
        # The boots whose clock was noted.
        self.clocks = set()
        # Numbers below which more has been appended than the journal holds.
        self.full = 0
        # Numbers from lost[i][0] on, below lost[i][1], which a loss of power may have taken.
        self.lost = []

    def copy(self):
        copy = Ledger()
        copy.appended = dict(self.appended)
        copy.pending = self.pending
        copy.freed = self.freed
        copy.rejected = set(self.rejected)
        copy.clocks = set(self.clocks)
        copy.full = self.full
        copy.lost = list(self.lost)
        return copy

    def check(self, journal, what):
        """Empty a journal as the uplink does, and check all that comes."""
        check.equal(journal.next > max(self.appended or (-1,)), True, what + ": would come twice")
        check.equal(len(journal) <= journal.next - journal.first, True, what + ": counted twice")
        record = Record()
        seen = set()
        last = -1
        while len(journal) or journal.gap():
            gap = journal.gap()
            if gap:
                check.equal(gap.first > last, True, what + ": a gap out of order")
                last = gap.first + gap.count - 1
                for number in range(gap.first, last + 1):
                    seen.add(number)
                    self._check_gap(number, gap.reason, what)
                journal.free(last + 1)
                continue
            number = journal.first
            check.equal(number > last, True, what + ": out of order")
            while number < journal.next and journal.read(number, record):
                self._check_reading(number, record, journal.boot, what)
                seen.add(number)
                last = number
                number += 1
            journal.free(last + 1)
        for number in self.appended:
            if number >= self.freed and number not in seen:
                raise AssertionError(f"{what}: {number} vanished")

    def _check_gap(self, number, reason, what):
        if reason == GAP_POWER:
            true = number < self.freed or any(a <= number < b for a, b in self.lost)
        elif reason == GAP_FULL:
            true = number < self.full
        else:
            true = reason == GAP_REJECTED and number in self.rejected
        check.equal(true, True, f"{what}: {number} lost by {reason}")

    def _check_reading(self, number, record, boot, what):
        value = record.channel, record.mantissa, record.form, record.uptime_ms
        if number not in self.appended:
            check.equal(value, self.pending, f"{what}: {number} from nowhere")
            return
        check.equal((value, record.boot), self.appended[number], f"{what}: {number}")
        if record.boot in self.clocks and record.boot != boot:
            check.equal(record.offset_ms, _OFFSET_MS + record.boot, f"{what}: clock of {number}")


class Node:
    """A board, its journal, and the ledger of what was done with it."""

    def __init__(self, board, ledger, boot):
        self.board = board
        self.ledger = ledger
        self.boot = boot
        self.journal = None

    def start(self):
        """Boot: open the journal."""
        self.journal = self.board.journal(self.boot)

    def certain(self):
        """Return the number below which all is on flash."""
        flash = self.journal._flash if self.journal else None
        return flash.next - 1 if flash is not None else 0

    def append(self, count):
        for _ in range(count):
            value = value_of(self.journal.next)
            self.ledger.pending = value
            number = self.journal.append(*value)
            check.equal(number in self.ledger.appended, False, "a number came twice")
            self.ledger.appended[number] = value, self.boot
            self.ledger.pending = None

    def free(self, count):
        below = min(self.journal.first + count, self.journal.next)
        gap = self.journal.gap()
        if gap:
            below = gap.first + gap.count
        self.ledger.freed = max(self.ledger.freed, below)
        self.journal.free(below)

    def reject(self):
        if len(self.journal) and not self.journal.gap():
            first = self.journal.first
            self.ledger.rejected.add(first)
            self.journal.reject(first)

    def set_clock(self):
        self.journal.set_clock(_OFFSET_MS + self.boot)
        self.ledger.clocks.add(self.boot)

    def lose_power(self):
        """Note in the ledger that what is not on flash is lost; the one under way may be."""
        self.ledger.lost.append((self.certain(), Nvs.stored.get("reading", 0)))

    def restart(self, watch, sleeping=False, powered=True):
        """Reset the chip, or cut its power, between two writes."""
        watch.leave()
        if not powered:
            self.lose_power()
        self.board = self.board.copy(rtc=None if powered else Rtc())
        if not sleeping:
            self.boot += 1
        watch.enter(self)
        self.start()


def life(node, watch):
    """Do what a node does in a life: online, offline, asleep, reset, without power."""
    for _ in range(3):
        node.append(3)
        node.free(3)
    node.append(5)
    node.set_clock()
    node.restart(watch, sleeping=True)
    node.append(9)
    node.free(6)
    node.reject()
    node.append(2)
    node.restart(watch)
    node.append(3)
    node.set_clock()
    node.journal.spill()
    node.append(4)
    node.free(30)
    node.restart(watch)
    node.append(3)
    node.reject()
    node.journal.spill()
    node.append(5)
    node.restart(watch, powered=False)
    node.append(14)
    node.free(8)
    node.free(2)
    node.set_clock()
    node.append(3)
    node.free(40)
    node.free(40)
    node.free(40)
    node.append(2)


def overflow(node, watch):
    """Lose power with readings on flash, and then more readings than fit."""
    node.append(20)
    node.restart(watch, powered=False)
    node.ledger.full = 1 << 20
    node.append(70)
    node.free(1)
    node.free(30)
    node.append(14)
    for _ in range(6):
        node.free(100)
    node.append(2)


class Cutter:
    """Watches a board's memories; at each write it tries so many of the ways to be cut there."""

    def __init__(self, ways):
        self.ways = ways
        self.cuts = 0
        self.node = None

    def enter(self, node):
        """Watch the memories of that node's board."""
        self.node = node
        node.board.rtc.watch = self._rtc
        if node.board.chip:
            node.board.chip.watch = self._flash
        Nvs.watch = self._nvs

    def leave(self):
        """Watch no more."""
        node = self.node
        node.board.rtc.watch = Nvs.watch = None
        if node.board.chip:
            node.board.chip.watch = None

    def _rtc(self, data):
        rtc = self.node.board.rtc
        changed = [i for i in range(len(data)) if data[i] != rtc.data[i]]
        begin, end = (changed[0], changed[-1] + 1) if changed else (0, len(data))
        ways = [("power cut at RTC memory", None, None, None, False)]
        for done in (begin + 1, (begin + end) // 2, end - 1, end, len(data)):
            what = f"reset after {done} bytes to RTC memory"
            ways.append((what, None, rtc.torn(data, done), None, True))
        self._try(ways)

    def _flash(self, start, data):
        ways = []
        for mode in MODES:
            what = "{} of {} at {}".format(mode, "erase" if data is None else "write", start)
            for power in (True, False):
                chip = self.node.board.chip.cut(start, data, mode)
                ways.append((what, chip, None, None, power))
        self._try(ways)

    def _nvs(self, values):
        self._try(
            [
                ("NVS", None, None, stored, power)
                for stored in (Nvs.stored, values)
                for power in (True, False)
            ]
        )

    def _try(self, ways):
        left = self.ways
        while ways and left:
            self._resume(*ways.pop(random.randrange(len(ways))))
            left -= 1

    def _resume(self, what, chip, rtc, stored, power):
        self.cuts += 1
        self.leave()
        kept = Nvs.stored
        running = self.node
        ledger = running.ledger.copy()
        if not power:
            what += ", without power"
            rtc = Rtc()
            ledger.lost.append((running.certain(), (stored or kept).get("reading", 0)))
        node = Node(running.board.copy(chip, rtc, stored), ledger, running.boot + 1)
        try:
            self._use(node, what)
        except AssertionError:
            print("cut:", what)
            raise
        Nvs.stored = kept
        self.enter(running)

    def _use(self, node, what):
        stored = node.board.stored
        node.ledger.check(node.board.copy(stored=stored).journal(node.boot), what)
        Nvs.stored = stored
        node.start()
        # What was under way may have come whole; then it is a reading like the others.
        record = Record()
        number = node.journal.next - 1
        unknown = node.ledger.pending and number not in node.ledger.appended
        if unknown and number >= node.journal.first and node.journal.read(number, record):
            node.ledger.appended[number] = node.ledger.pending, record.boot
        node.append(3)
        node.free(2)
        node.journal.spill()
        node.append(1)
        node.ledger.check(node.board.copy().journal(node.boot + 1), what + ", reset again")
        node.lose_power()
        lost = node.board.copy(rtc=Rtc())
        node.ledger.check(lost.journal(node.boot + 1), what + ", power cut again")


def cut(scenario, ways, seed, flash=True):
    random.seed(seed)
    node = Node(Board(Nor(4, 512) if flash else None), Ledger(), 1)
    if not flash:
        node.ledger.full = 1 << 20
    node.start()
    watch = Cutter(ways)
    watch.enter(node)
    scenario(node, watch)
    watch.leave()
    erases = node.board.chip.erases if flash else 0
    node.ledger.check(node.board.copy().journal(node.boot + 1), "uncut")
    return watch.cuts, erases


def test_at_every_write_of_a_life():
    cuts, _ = cut(life, 1, 1)
    check.equal(cuts > 150, True, cuts)


def test_at_every_write_of_an_outage():
    cuts, erases = cut(overflow, 1, 2)
    check.equal(cuts > 150, True, cuts)
    check.equal(erases > 4, True, "the ring went round")


def test_without_flash():
    cuts, _ = cut(life, 1, 3, flash=False)
    check.equal(cuts > 100, True, cuts)


if __name__ == "__main__":
    check.main(globals())
