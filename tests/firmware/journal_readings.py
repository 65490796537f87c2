"""Readings whose values follow from their numbers, for the tests of journals."""

import check
from feltpost.record import Record


def append(journal):
    i = journal.next
    return journal.append(i % 3, -(2**31) + i, i % 7, 10**10 + i)


def fill(journal, count):
    for _ in range(count):
        i = journal.next
        check.equal(append(journal), i)


def held(journal):
    """Return the numbers that can be read, having checked their values."""
    record = Record()
    numbers = []
    for i in range(journal.first, journal.next):
        if journal.read(i, record):
            got = record.channel, record.mantissa, record.form, record.uptime_ms
            check.equal(got, (i % 3, -(2**31) + i, i % 7, 10**10 + i), f"reading {i}")
            numbers.append(i)
    return numbers
