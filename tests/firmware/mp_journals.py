"""Which journal a node opens, and how it goes on when flash fails while it runs."""

import errno

import check
from nor_flash import Nor
from rtc_board import Esp32, Nvs, Rtc


class Partition:
    TYPE_DATA = 1
    found = []

    @classmethod
    def find(cls, kind, label):
        check.equal((kind, label), (1, "journal"))
        return cls.found


Esp32.Partition = Partition

from feltpost.identity import Identity  # noqa: E402
from feltpost.journals import open_journal  # noqa: E402
from feltpost.record import Record  # noqa: E402
from feltpost.retained import Retained  # noqa: E402


class Settings:
    journal_readings = 50

    def __init__(self, mode, battery=False):
        self.journal_mode = mode
        self.battery = battery


class Dying(Nor):
    """A chip that fails: dead for writing, or mute for reading too."""

    dead = mute = False

    def _check(self, fails):
        if fails:
            raise OSError(errno.EIO)

    def ioctl(self, op, arg):
        self._check(self.dead and op == 6)
        return super().ioctl(op, arg)

    def writeblocks(self, block, buf, offset):
        self._check(self.dead)
        super().writeblocks(block, buf, offset)

    def readblocks(self, block, buf, offset):
        self._check(self.mute)
        super().readblocks(block, buf, offset)


class Node:
    def __init__(self):
        self.chip = Dying(4, 512)
        self.rtc = Rtc()
        self.lines = []
        Nvs.stored = {"key": bytes(16), "key_id": b"\x01"}
        Partition.found = [self.chip]
        self.boot = 0

    def open(self, mode, battery=False):
        self.boot += 1
        retained = Retained(self.rtc.memory)
        identity = Identity(retained)
        return open_journal(
            identity, Settings(mode, battery), retained, self.boot, FAULT, self._log
        )

    def _log(self, text, *values):
        self.lines.append(text.format(*values))


# The number of the channel for the journal's faults.
FAULT = 7


def fill(journal, values):
    for value in values:
        journal.append(1, value, 2, 1000 + value)


def sent(journal, faults=None):
    """Empty a journal as the uplink does; return (journal, number, value) of what came.

    faults: a list for what tells of the journal's own.
    """
    record = Record()
    out = []
    while len(journal) or journal.gap():
        gap = journal.gap()
        if gap:
            journal.free(gap.first + gap.count)
            continue
        number = journal.first
        name = journal.number
        while number < journal.next and journal.read(number, record):
            if record.channel == FAULT:
                faults.append(record.mantissa)
            else:
                out.append((name, number, record.mantissa))
            number += 1
        if number > journal.first and journal.number == name:
            journal.free(number)
    return out


def test_in_flash_mode_readings_are_on_flash_at_once():
    node = Node()
    fill(node.open("flash"), range(3))
    node.rtc = Rtc()
    check.equal(sent(node.open("flash")), [(1, 0, 0), (1, 1, 1), (1, 2, 2)])
    check.equal(node.lines, [])


def test_in_ram_mode_they_are_in_rtc_memory_until_the_link_is_down():
    node = Node()
    journal = node.open("ram")
    writes = node.chip.writes
    fill(journal, range(3))
    check.equal(node.chip.writes, writes)
    journal.spill()
    check.equal(node.chip.writes > writes, True)
    check.equal(sent(node.open("ram")), [(1, 0, 0), (1, 1, 1), (1, 2, 2)])


def test_the_mode_can_change():
    node = Node()
    fill(node.open("flash"), range(2))
    fill(node.open("ram"), (2, 3))
    journal = node.open("flash")
    fill(journal, (4,))
    check.equal(Identity().last_journal(), 0)
    check.equal(sent(node.open("flash")), [(1, i, i) for i in range(5)])


def test_a_mode_that_changes_after_the_power_was_lost_gives_no_number_twice():
    node = Node()
    fill(node.open("ram"), range(3))
    node.rtc = Rtc()
    journal = node.open("flash")
    gap = journal.gap()
    check.equal((gap.first, gap.count, gap.reason), (0, 64, 4))
    fill(journal, (9,))
    check.equal(sent(node.open("flash")), [(1, 64, 9)])


def test_without_a_partition():
    node = Node()
    Partition.found = []
    check.equal(node.open("flash").number, 1)
    fill(node.open("ram"), (5,))
    check.equal(sent(node.open("ram")), [(2, 0, 5)])


def test_without_a_partition_a_node_that_sleeps_uses_rtc_memory_all_the_same():
    node = Node()
    Partition.found = []
    fill(node.open("flash", battery=True), (5,))
    check.equal(sent(node.open("flash", battery=True)), [(1, 0, 5)])


def test_a_partition_that_cant_be_used_is_told():
    for mode in ("flash", "ram"):
        node = Node()
        Partition.found = [Nor(2, 512)]
        fill(node.open(mode), (1,))
        check.equal(len(node.lines), 1)
        check.equal("can't be used (a journal needs 3 blocks" in node.lines[0], True, node.lines)


def test_flash_that_fails_while_the_node_runs():
    for mode in ("flash", "ram"):
        node = Node()
        journal = node.open(mode)
        fill(journal, range(5))
        journal.spill()
        node.chip.dead = True
        fill(journal, range(5, 90))
        check.equal(journal.degraded, True)
        # One tells of it, and the append that failed may have used a number up.
        check.equal(91 <= len(journal) <= 92, True, len(journal))
        faults = []
        out = sent(journal, faults)
        check.equal(faults, [6])
        check.equal([value for _, _, value in out], list(range(90)), "in order, none missing")
        check.equal(sorted({name for name, _, _ in out}), [1, 2])
        check.equal(len(node.lines), 1)
        check.equal("journal can't be written" in node.lines[0], True, node.lines)
        fill(journal, (90,))
        check.equal(sent(journal)[0][2], 90)
        # What was sent but could not be noted comes again; nothing else does.
        node.chip.dead = False
        again = sent(node.open(mode))
        check.equal([entry for entry in again if entry not in out], [], mode)


def test_flash_that_can_t_be_read_either_is_left_alone():
    node = Node()
    journal = node.open("flash")
    fill(journal, range(5))
    node.chip.dead = node.chip.mute = True
    fill(journal, range(5, 9))
    check.equal([value for _, _, value in sent(journal, [])], [5, 6, 7, 8])
    node.chip.dead = node.chip.mute = False
    check.equal([value for _, _, value in sent(node.open("flash"))][:5], [0, 1, 2, 3, 4])


def test_flash_that_can_t_be_read_but_written():
    node = Node()
    journal = node.open("flash")
    fill(journal, range(5))
    node.chip.mute = True
    fill(journal, (5,))
    check.equal([value for _, _, value in sent(journal, [])], [5])


if __name__ == "__main__":
    check.main(globals())
