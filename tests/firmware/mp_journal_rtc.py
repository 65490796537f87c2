"""The journal in RTC memory before the one on flash: numbering, spilling, boots, and lost power."""

import check
from feltpost.journal_gaps import GAP_FULL, GAP_POWER, GAP_REJECTED
from feltpost.record import Record
from journal_readings import fill, held
from nor_flash import Nor
from rtc_board import NUMBERS, SLOTS, Board, Nvs, Rtc, SmallIdentity

_OFFSET_MS = 1_795_000_000_000


def new(flash=True):
    board = Board(Nor(4, 512) if flash else None)
    return board, board.journal(1)


def gap_of(journal):
    gap = journal.gap()
    return gap and (gap.first, gap.count, gap.reason)


def without_power(board):
    """Return the board after its power was gone."""
    return board.copy(rtc=Rtc())


def test_what_is_sent_in_time_costs_no_flash():
    board, journal = new()
    before = board.chip.writes + board.chip.erases
    for _ in range(100):
        fill(journal, 4)
        check.equal(len(journal), 4)
        journal.free(journal.next)
    check.equal((journal.first, journal.next, len(journal)), (400, 400, 0))
    check.equal(board.chip.writes + board.chip.erases, before)


def test_readings_come_back_after_a_reset():
    board, journal = new()
    fill(journal, 9)
    journal.free(3)
    again = board.copy().journal(2)
    check.equal(again.number, journal.number)
    check.equal(held(again), [3, 4, 5, 6, 7, 8])
    fill(again, 2)
    check.equal(again.next, 11)


def test_a_full_rtc_memory_spills_in_one_go_and_all_stays_in_order():
    board, journal = new()
    fill(journal, SLOTS)
    check.equal(len(journal._flash), 0)
    fill(journal, 1)
    check.equal((len(journal._flash), len(journal)), (SLOTS, SLOTS + 1))
    check.equal(held(journal), list(range(SLOTS + 1)))
    journal.free(5)
    check.equal(held(board.copy().journal(2)), list(range(5, SLOTS + 1)))


def test_spilling_when_the_link_goes_down():
    board, journal = new()
    fill(journal, 6)
    journal.free(4)
    journal.spill()
    fill(journal, 1)
    lost = without_power(board).journal(2)
    check.equal(held(lost), [4, 5])
    check.equal(gap_of(lost), None, "first the readings")
    lost.free(6)
    check.equal(gap_of(lost), (6, NUMBERS - 6, GAP_POWER))
    erases = board.chip.erases
    journal.free(7)
    journal.spill()
    check.equal(board.chip.erases, erases, "nothing to spill costs nothing")


def test_a_spill_after_the_power_was_lost_keeps_the_gap():
    board, journal = new()
    fill(journal, 3)
    journal.spill()
    fill(journal, 2)
    board = without_power(board)
    journal = board.journal(2)
    fill(journal, 3)
    journal.spill()
    board = without_power(board)
    journal = board.journal(3)
    check.equal(held(journal), [0, 1, 2, 8, 9, 10])
    journal.free(3)
    check.equal(gap_of(journal), (3, 5, GAP_POWER))
    journal.free(8)
    check.equal((gap_of(journal), journal.first), (None, 8))
    journal.free(11)
    check.equal(gap_of(journal), (11, 5, GAP_POWER))
    check.equal((journal.first, journal.next), (16, 16))


def test_the_power_goes_when_nothing_is_kept():
    board, journal = new()
    fill(journal, 10)
    journal.free(10)
    board = without_power(board)
    journal = board.journal(2)
    check.equal(gap_of(journal), (0, 16, GAP_POWER), "the gateway knows better")
    fill(journal, 1)
    journal.free(16)
    check.equal((gap_of(journal), held(journal)), (None, [16]))


def test_boots_and_their_clocks():
    board, journal = new()
    fill(journal, 2)
    journal.set_clock(_OFFSET_MS)
    for boot in range(2, 9):
        board = board.copy()
        journal = board.journal(boot)
        fill(journal, 2)
        if boot % 2:
            journal.set_clock(_OFFSET_MS + boot)
    journal.spill()
    record = Record()
    for number in range(14):
        check.equal(journal.read(number, record), True)
        boot = 1 + number // 2
        known = _OFFSET_MS + (boot if boot > 1 else 0) if boot % 2 else None
        check.equal((record.boot, record.offset_ms), (boot, known), number)


def test_a_boot_that_sleeps_goes_on():
    board, journal = new()
    fill(journal, 2)
    journal.set_clock(_OFFSET_MS)
    journal = board.copy().journal(1)
    record = Record()
    check.equal(journal.read(0, record), True)
    check.equal((record.boot, journal.boot, record.offset_ms), (1, 1, _OFFSET_MS))


def test_a_rejected_reading_becomes_a_gap_here_and_on_flash():
    board, journal = new()
    fill(journal, 4)
    journal.reject(0)
    check.equal(gap_of(journal), (0, 1, GAP_REJECTED))
    check.equal(gap_of(board.copy().journal(2)), (0, 1, GAP_REJECTED))
    journal.spill()
    fill(journal, 1)
    check.equal(gap_of(without_power(board).journal(2)), (0, 1, GAP_REJECTED))
    journal.free(1)
    journal.reject(1)
    journal.reject(1)
    check.equal((gap_of(journal), held(journal)), ((1, 1, GAP_REJECTED), [2, 3, 4]))


def test_without_flash_the_oldest_go():
    board, journal = new(flash=False)
    fill(journal, SLOTS + 5)
    check.equal(gap_of(journal), (0, 5, GAP_FULL))
    check.equal(held(board.copy().journal(2)), list(range(5, SLOTS + 5)))
    journal = without_power(board).journal(3)
    check.equal(journal.number, 1, "the same journal goes on, so that its loss can be told")
    check.equal(gap_of(journal), (0, 24, GAP_POWER))


def test_a_boot_too_many_without_flash_keeps_its_readings():
    board, journal = new(flash=False)
    for boot in range(1, 8):
        fill(journal, 1)
        journal.set_clock(_OFFSET_MS)
        board = board.copy()
        journal = board.journal(boot + 1)
    check.equal(held(journal), list(range(7)))
    record = Record()
    check.equal(journal.read(0, record), True)
    check.equal((record.boot, record.offset_ms), (0, None))


def test_a_number_is_reserved_before_it_is_used():
    board, journal = new()
    for _ in range(300):
        fill(journal, 1)
        check.equal(journal.next <= Nvs.stored["reading"], True)
        journal.free(journal.next)
    check.equal(Nvs.stored["reading"] - journal.next < NUMBERS, True)


def test_the_journal_goes_back_to_flash_alone():
    board, journal = new()
    fill(journal, 5)
    journal.free(3)
    identity = SmallIdentity()
    flash = journal.retire(identity)
    check.equal(identity.last_journal(), 0)
    check.equal((held(flash), flash.next, flash.boot), ([3, 4], 5, 1))
    check.equal(flash.append(0, 0, 0, 0), 5)
    # And again in RTC memory, of which the readings are old.
    board = board.copy()
    journal = board.journal(2)
    check.equal((journal.first, journal.next), (3, 6))
    check.equal(gap_of(journal), None)


def test_another_journals_readings_are_not_taken_for_this_ones():
    board, journal = new()
    fill(journal, 8)
    # The flash was changed for a blank one.
    board = board.copy(chip=Nor(4, 512))
    journal = board.journal(2)
    check.equal((journal.number, journal.next), (2, 0))
    fill(journal, 2)
    check.equal(board.copy().journal(3).next, 2)


if __name__ == "__main__":
    check.main(globals())
