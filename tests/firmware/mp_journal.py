"""The journal in RAM: numbering, freeing, and what becomes of readings that don't fit."""

import check
from feltpost.journal_gaps import GAP_FULL, GAP_REJECTED
from feltpost.journal_ram import RamJournal
from feltpost.record import Record


def filled(count, capacity=16):
    journal = RamJournal(7, capacity)
    for i in range(count):
        journal.append(i % 3, -(2**31) + i, i % 5, 10**10 + i)
    return journal


def gap_of(journal):
    gap = journal.gap()
    return gap and (gap.first, gap.count, gap.reason)


def test_a_reading_comes_back_as_it_was_put_in():
    journal = RamJournal(1, 16)
    values = ((0, 0, 0, 0), (255, 2**31 - 1, 6, 2**48 - 1), (3, -(2**31), 2, 2**32))
    for channel, mantissa, digits, uptime_ms in values:
        number = journal.append(channel, mantissa, digits, uptime_ms)
        record = Record()
        journal.read(number, record)
        got = record.channel, record.mantissa, record.form, record.uptime_ms
        check.equal(got, (channel, mantissa, digits, uptime_ms))


def test_numbers_go_on_after_freeing():
    journal = filled(10)
    journal.free(4)
    check.equal((journal.first, journal.next, len(journal)), (4, 10, 6))
    journal.free(2)
    check.equal(journal.first, 4, "freeing what is free changes nothing")
    check.equal(journal.append(0, 1, 0, 0), 10)
    journal.free(11)
    check.equal(len(journal), 0)
    check.equal(journal.gap(), None)


def test_when_full_the_oldest_go_and_become_one_gap():
    journal = filled(21)
    check.equal((journal.first, journal.next), (5, 21))
    check.equal(gap_of(journal), (0, 5, GAP_FULL))
    record = Record()
    for number in range(5, 21):
        journal.read(number, record)
        check.equal(record.mantissa, -(2**31) + number)


def test_a_gap_that_grows_while_it_is_reported_keeps_what_was_not_reported():
    journal = filled(20)
    check.equal(gap_of(journal), (0, 4, GAP_FULL))
    journal.append(0, 0, 0, 0)
    journal.free(4)
    check.equal(gap_of(journal), (4, 1, GAP_FULL))
    journal.free(5)
    check.equal(gap_of(journal), None)


def test_readings_lost_while_they_were_under_way_are_no_gap_once_they_have_arrived():
    journal = filled(16)
    # A pack with 0 to 7 is under way; meanwhile 0 to 2 are pushed out; then its answer comes.
    for _ in range(3):
        journal.append(0, 0, 0, 0)
    check.equal(gap_of(journal), (0, 3, GAP_FULL))
    journal.free(8)
    check.equal(gap_of(journal), None)
    check.equal((journal.first, journal.next), (8, 19))


def test_a_rejected_reading_becomes_a_gap_of_its_own():
    journal = filled(5)
    journal.free(2)
    journal.reject(2)
    check.equal(gap_of(journal), (2, 1, GAP_REJECTED))
    check.equal(journal.first, 3)
    journal.reject(2)
    check.equal(journal.first, 3, "a reading that is gone already is not rejected again")


def test_more_different_gaps_than_fit_are_still_all_counted():
    journal = filled(16)
    for _ in range(10):
        journal.reject(journal.first)
        journal.append(0, 0, 0, 0)
        journal.append(0, 0, 0, 0)
    lost = 0
    while journal.gap():
        gap = journal.gap()
        lost += gap.count
        journal.free(gap.first + gap.count)
    check.equal(lost, journal.first)


if __name__ == "__main__":
    check.main(globals())
