"""The journal on flash: numbering, freeing, gaps, boots, and what damage to the flash does."""

import gc

import check
from feltpost.journal_flash import FlashJournal
from feltpost.journal_gaps import GAP_CORRUPT, GAP_FULL, GAP_REJECTED
from feltpost.record import Record
from journal_readings import append, fill, held
from nor_flash import MODES, Nor

_BLOCKS = 4
_BLOCK_BYTES = 512
_HEADER_BYTES = 80
_SLOT_BYTES = 16
# The readings that a block of this size takes when nothing else happens.
_PER_BLOCK = 19
_OFFSET_MS = 1_795_000_000_000


def never():
    raise AssertionError("the journal was begun anew")


def mounted(chip, boot=1, new_number=never):
    return FlashJournal(chip, new_number, boot)


def new(count=0, blocks=_BLOCKS, block_bytes=_BLOCK_BYTES):
    chip = Nor(blocks, block_bytes)
    journal = mounted(chip, new_number=lambda: 7)
    fill(journal, count)
    return chip, journal


def gaps(journal):
    return [(gap.first, gap.count, gap.reason) for gap in journal._gaps.ranges]


def state(journal):
    return journal.number, journal.first, journal.next, gaps(journal), held(journal)


def flipped(chip, position, bit):
    damaged = Nor(chip.blocks, chip.block_bytes, chip.image)
    damaged.image[position] ^= 1 << bit
    return damaged


def newest_block(journal):
    return journal._newest


class Cut(Exception):
    pass


def begin_cut_short(chip, journal, position):
    """Append until a write would begin at that position, and let that one not happen."""

    def watch(start, data):
        if start == position and data is not None:
            raise Cut

    chip.watch = watch
    check.raises(Cut, fill, journal, _PER_BLOCK)
    chip.watch = None


def test_a_reading_comes_back_as_it_was_put_in():
    _, journal = new()
    record = Record()
    for value in ((0, 0, 0, 0), (255, 2**31 - 1, 255, 2**39 - 1), (3, -(2**31), 2, 2**32)):
        check.equal(journal.read(journal.append(*value), record), True)
        got = record.channel, record.mantissa, record.form, record.uptime_ms
        check.equal(got, value)


def test_a_mount_finds_what_there_was():
    chip, journal = new(12)
    steps = (
        lambda: journal.free(5),
        lambda: journal.reject(5),
        lambda: fill(journal, 90),
        lambda: journal.free(journal.gap().first + 1),
        lambda: journal.free(journal.first),
        lambda: journal.reject(journal.first),
        lambda: fill(journal, 30),
        lambda: journal.free(journal.next),
    )
    for i, step in enumerate(steps):
        step()
        check.equal(state(mounted(chip, 1 + i)), state(journal), f"step {i}")


def test_numbers_go_on_after_everything_is_freed():
    chip, journal = new(50)
    journal.free(1000)
    check.equal((journal.first, journal.next, len(journal), gaps(journal)), (50, 50, 0, []))
    again = mounted(chip, 2)
    check.equal((again.number, again.next), (7, 50))
    check.equal(append(again), 50)


def test_freeing_what_is_free_changes_nothing():
    chip, journal = new(10)
    journal.free(4)
    writes = chip.writes
    journal.free(4)
    journal.free(2)
    check.equal((journal.first, chip.writes), (4, writes))


def test_when_full_the_oldest_block_goes_and_becomes_a_gap():
    _, journal = new(_BLOCKS * _PER_BLOCK)
    check.equal(gaps(journal), [])
    append(journal)
    check.equal(gaps(journal), [(0, _PER_BLOCK, GAP_FULL)])
    check.equal(held(journal), list(range(_PER_BLOCK, _BLOCKS * _PER_BLOCK + 1)))


def test_a_gap_that_grows_while_it_is_reported_keeps_what_was_not_reported():
    _, journal = new(_BLOCKS * _PER_BLOCK + 1)
    fill(journal, _PER_BLOCK)
    journal.free(_PER_BLOCK)
    check.equal(gaps(journal)[0][0], _PER_BLOCK)
    check.equal(gaps(journal)[0][2], GAP_FULL)


def test_freeing_costs_no_reading_of_a_full_journal():
    chip, journal = new(_BLOCKS * _PER_BLOCK + 1)
    while journal.gap():
        journal.free(journal.gap().first + 1)
    fill(journal, _PER_BLOCK - 1)
    kept = held(journal)
    for number in kept[:40]:
        journal.free(number + 1)
        check.equal(gaps(journal), [])
    check.equal(held(journal), kept[40:])
    # It may come again after a reset, but no more than that.
    check.equal(held(mounted(chip, 2))[-len(kept) + 40 :], kept[40:])


def test_what_was_freed_in_a_full_journal_is_never_reported_as_lost():
    chip, journal = new(_BLOCKS * _PER_BLOCK)
    # The block after the newest is the oldest; freeing half of it is not worth evicting the rest.
    for number in range(10):
        journal.free(number + 1)
    begin_cut_short(chip, journal, 0)
    again = mounted(chip, 2)
    check.equal(gaps(again), gaps(journal))
    check.equal(gaps(again), [(10, _PER_BLOCK - 10, GAP_FULL)])


def test_any_number_of_readings_can_be_rejected():
    chip, journal = new(_BLOCKS * _PER_BLOCK)
    for _ in range(40):
        journal.reject(journal.first)
        check.equal(state(mounted(chip, 2)), state(journal))


def test_a_rejected_reading_becomes_a_gap():
    _, journal = new(5)
    journal.free(2)
    journal.reject(2)
    check.equal(gaps(journal), [(2, 1, GAP_REJECTED)])
    journal.reject(2)
    check.equal(journal.first, 3, "a reading that is gone already is not rejected again")


def test_more_different_gaps_than_fit_are_still_all_counted():
    chip, journal = new(_BLOCKS * _PER_BLOCK)
    for _ in range(12):
        journal.reject(journal.first)
        fill(journal, _PER_BLOCK)
    again = mounted(chip, 2)
    check.equal(gaps(again), gaps(journal))
    check.equal(sum([gap[1] for gap in gaps(again)]), again.first)


def test_a_journal_is_begun_where_there_is_none():
    chip = Nor(_BLOCKS, _BLOCK_BYTES, bytes(_BLOCKS * _BLOCK_BYTES))
    journal = mounted(chip, new_number=lambda: 2**32 - 1)
    check.equal((journal.number, journal.next), (2**32 - 1, 0))
    check.equal(mounted(chip, 2).number, 2**32 - 1)
    check.raises(ValueError, mounted, Nor(2, _BLOCK_BYTES))


def test_a_journal_whose_beginning_is_cut_short_is_begun_again():
    chip = Nor(_BLOCKS, _BLOCK_BYTES, bytes(_BLOCKS * _BLOCK_BYTES))
    seen = set()

    def watch(start, data):
        for mode in MODES:
            journal = mounted(chip.cut(start, data, mode), 2, lambda: 8)
            check.equal((journal.first, append(journal)), (0, 0))
            seen.add(journal.number)

    chip.watch = watch
    mounted(chip, 1, lambda: 7)
    check.equal(seen, {7, 8})


def test_each_reading_has_the_clock_of_its_boot():
    chip, journal = new(3)
    journal.set_clock(_OFFSET_MS)
    fill(journal, 30)
    offsets = {1: _OFFSET_MS, 2: None, 3: -5, 300: 2**41}
    for boot in (2, 3, 300):
        journal = mounted(chip, boot)
        fill(journal, 4)
        if offsets[boot] is not None:
            journal.set_clock(offsets[boot])
    journal = mounted(chip, 300)
    boots = [1] * 33 + [2] * 4 + [3] * 4 + [300] * 4
    record = Record()
    for _ in range(2):
        for i, boot in enumerate(boots):
            check.equal(journal.read(i, record), True)
            check.equal((record.boot, record.offset_ms), (boot, offsets[boot]), f"reading {i}")


def test_flipped_bits_in_a_reading_lose_that_reading_only():
    chip, journal = new(60)
    last = 60 % _PER_BLOCK
    newest = newest_block(journal)
    # The first kept, one in the middle, and the last but one.
    places = ((0, 0, 0), (1, 7, _PER_BLOCK + 7), (newest, last - 2, 58))
    for block, slot, number in places:
        start = block * _BLOCK_BYTES + _HEADER_BYTES + slot * _SLOT_BYTES
        for bit in range(8 * _SLOT_BYTES):
            damaged = mounted(flipped(chip, start + bit // 8, bit % 8), 2)
            others = [i for i in range(60) if i != number]
            check.equal(held(damaged), others, f"bit {bit} of {number}")
            check.equal(damaged.next, 60)
            damaged.free(number)
            check.equal(gaps(damaged), [(number, 1, GAP_CORRUPT)])
            check.equal(damaged.first, number + 1)


def test_a_reading_that_decays_while_it_runs_becomes_a_gap():
    chip, journal = new(10)
    held(journal)
    chip.image[_HEADER_BYTES] ^= 4
    check.equal(journal.read(0, Record()), False)
    check.equal(gaps(journal), [(0, 1, GAP_CORRUPT)])
    check.equal(held(journal), list(range(1, 10)))


def test_flipped_bits_in_a_header_lose_that_block_only():
    chip, journal = new(60)
    for block in range(_BLOCKS):
        lost = range(block * _PER_BLOCK, min(60, (block + 1) * _PER_BLOCK))
        for bit in range(0, 8 * _HEADER_BYTES, 3):
            damaged_chip = flipped(chip, block * _BLOCK_BYTES + bit // 8, bit % 8)
            damaged = mounted(damaged_chip, 2)
            others = [i for i in range(60) if i not in lost]
            check.equal(held(damaged), others, f"bit {bit} of block {block}")
            check.equal(damaged.next >= 60, True, "no number comes twice")
            check.equal(mounted(damaged_chip, 3).next, damaged.next)
            damaged.free(lost[0])
            first, count, reason = gaps(damaged)[0]
            check.equal((first, reason), (lost[0], GAP_CORRUPT))
            check.equal(first + count, damaged.first)
            check.equal(count >= len(lost), True)
            number = append(damaged)
            check.equal(number >= 60, True, "no number comes twice")
            check.equal(held(mounted(damaged_chip, 4))[-1], number)


def test_flipped_bits_in_the_only_header_are_told_of_in_a_journal_anew():
    chip, journal = new(12)
    journal.free(5)
    for bit in range(0, 8 * _HEADER_BYTES, 3):
        damaged_chip = flipped(chip, bit // 8, bit % 8)
        damaged = mounted(damaged_chip, 2, lambda: 8)
        check.equal(state(damaged), (8, 12, 12, [(0, 12, GAP_CORRUPT)], []), f"bit {bit}")
        check.equal(append(damaged), 12)
        check.equal(state(mounted(damaged_chip, 3)), state(damaged))


def test_flipped_bits_in_a_mark_lose_no_reading():
    chip, journal = new(30)
    journal.free(4)
    journal.reject(4)
    journal.free(10)
    for index in range(3):
        start = (newest_block(journal) + 1) * _BLOCK_BYTES - (index + 1) * _SLOT_BYTES
        for bit in range(8 * _SLOT_BYTES):
            damaged = mounted(flipped(chip, start + bit // 8, bit % 8), 2)
            check.equal(held(damaged)[-20:], list(range(10, 30)), f"bit {bit} of mark {index}")
            check.equal(damaged.next, 30)


def test_two_newest_blocks_destroyed():
    chip, journal = new(60)
    newest = newest_block(journal)
    for block in (newest, newest - 1):
        chip.image[block * _BLOCK_BYTES] ^= 1
    damaged = mounted(chip, 2)
    check.equal(damaged.next >= 60, True, "no number comes twice")
    check.equal(held(damaged), list(range((newest - 1) * _PER_BLOCK)))


def test_two_newest_blocks_destroyed_and_the_power_goes_while_the_next_is_begun():
    chip, journal = new(_BLOCKS * _PER_BLOCK)
    newest = newest_block(journal)
    for block in (newest, newest - 1):
        chip.image[block * _BLOCK_BYTES] ^= 1
    # The first of the two is erased then; its successor alone doesn't tell of both.
    begin_cut_short(chip, mounted(chip, 2), (newest - 1) * _BLOCK_BYTES)
    damaged = mounted(chip, 3)
    check.equal(append(damaged) >= _BLOCKS * _PER_BLOCK, True, "no number comes twice")


def test_a_beginning_that_is_cut_short_again_and_again_skips_no_number():
    chip, journal = new(_PER_BLOCK)
    begin_cut_short(chip, journal, _BLOCK_BYTES)

    def watch(start, data):
        for mode in MODES:
            again = mounted(chip.cut(start, data, mode), 3)
            check.equal(_PER_BLOCK <= append(again) <= _PER_BLOCK + 1, True, mode)

    journal = mounted(chip, 2)
    chip.watch = watch
    check.equal(append(journal), _PER_BLOCK)


def test_the_newest_block_destroyed_after_its_beginning_was_cut_short():
    chip, journal = new(_PER_BLOCK)
    # The mark that the block has been begun.
    begin_cut_short(chip, journal, _BLOCK_BYTES - 2 * _SLOT_BYTES)
    fill(mounted(chip, 2), 5)
    chip.image[_BLOCK_BYTES] ^= 1
    damaged = mounted(chip, 3)
    check.equal(damaged.next >= _PER_BLOCK + 5, True, "no number comes twice")
    check.equal(held(damaged), list(range(_PER_BLOCK)))


def test_a_worn_block_is_passed_over():
    chip, journal = new()
    chip.worn = (2,)
    chip.image[2 * _BLOCK_BYTES : 3 * _BLOCK_BYTES] = bytes(_BLOCK_BYTES)
    for _ in range(10):
        fill(journal, 15)
        check.equal(len(held(journal)), len(journal))
        check.equal(state(mounted(chip, 2)), state(journal))
        journal.free(journal.next)
        check.equal(gaps(journal), [])


def test_a_slot_that_does_not_take_what_is_written_is_a_gap():
    chip, journal = new(3)
    chip.weak = (_HEADER_BYTES + 3 * _SLOT_BYTES + 5,)
    check.equal(append(journal), 4)
    record = Record()
    check.equal((journal.read(3, record), journal.read(4, record)), (False, True))
    check.equal(record.mantissa, -(2**31) + 3, "what was appended is what was kept")
    journal.free(3)
    check.equal(gaps(journal), [(3, 1, GAP_CORRUPT)])


def test_a_dead_flash_is_an_error():
    chip, journal = new(3)
    chip.worn = range(_BLOCKS)
    check.raises(OSError, fill, journal, 1000)


def test_a_mebibyte_takes_little_memory_and_few_reads():
    class Sparse(Nor):
        # 256 blocks of 4096 bytes, of which those that were never written take no memory.
        def __init__(self):
            self.blocks = 256
            self.block_bytes = 4096
            self.kept = {}
            self.reads = 0

        def ioctl(self, op, arg):
            if op == 6:
                self.kept[arg] = {}
                return 0
            return 256 if op == 4 else 4096

        def readblocks(self, block, buf, offset):
            self.reads += 1
            kept = self.kept.get(block)
            for i in range(len(buf)):
                buf[i] = kept.get(offset + i, 0xFF) if kept else 0xFF

        def writeblocks(self, block, buf, offset):
            for i, byte in enumerate(buf):
                self.kept[block][offset + i] = byte

    # What reading former boots' readings loads is code, which a journal of any size has.
    from feltpost import journal_clocks  # noqa: F401

    chip = Sparse()
    journal = mounted(chip, new_number=lambda: 7)
    fill(journal, 300)
    del journal
    gc.collect()
    before = gc.mem_alloc()
    chip.reads = 0
    journal = mounted(chip, 2)
    reads = chip.reads
    held(journal)
    gc.collect()
    check.equal(gc.mem_alloc() - before < 1536, True, "heap")
    # Each header once, the newest block's slots, and a few more.
    check.equal(reads < 256 + 251 + 10, True, "reads")


if __name__ == "__main__":
    check.main(globals())
