"""Finds out what a device holds of a FlashJournal (journal_flash.py), whatever cut the power when.

A part of FlashJournal, whose state it sets up. It has a module of its own because it is of use once
only, and not in memory after that.
"""

import errno

from .journal_gaps import GAP_CORRUPT, Gaps
from .journal_page import (
    BAD,
    BLANK,
    GOOD,
    MARK_BEGINNING,
    MARK_BEGUN,
    MARK_CLOCK,
    MARK_FREED,
    MARK_LOST,
    MARK_SKIPPED,
)


def mount(journal, new_number, held):
    """Set the journal up as its device has it; an empty device gets a new one.

    new_number, held: as for FlashJournal.
    """
    previous = _load_newest_two(journal)
    header = journal._header
    if journal._newest < 0:
        _format(journal, new_number)
        return
    # A caller that holds readings names the oldest of their boots; some may be here already.
    journal.boot = max(journal.boot, header.boot)
    journal._gaps = Gaps(header.first)
    journal._gaps.ranges = header.gaps
    if header.boot == journal.boot:
        journal._offset_ms = header.offset_ms
    journal.next = header.base
    begun = _replay(journal)
    held_from = held[1] if held and held[0] == header.journal else None
    _scan_readings(journal, held_from)
    pages = journal._pages
    if begun:
        # Blocks after this one have held readings, and none of them has a header any more. Their
        # numbers must not be given again.
        damaged = _damaged_after(pages, journal._newest, journal._page)
        journal.next += max(1, damaged) * pages.slots
        if held_from is not None:
            # The caller knows better.
            journal.next = held_from
        journal._note(MARK_SKIPPED, 0, journal.next, 0)
    elif previous >= 0:
        # The power may have gone before the one before the newest said so.
        _confirm_begun(pages, previous, journal._page, journal._mark)


def _load_newest_two(journal):
    # Load the newest block's header; return the place of the one before it, or -1.
    header, page = journal._header, journal._page
    previous = -1
    previous_generation = 0
    for block in range(journal._pages.count):
        if not journal._pages.load(block, page):
            continue
        if page.generation > header.generation:
            previous, previous_generation = journal._newest, header.generation
            journal._newest = block
            header, page = page, header
        elif page.generation > previous_generation:
            previous, previous_generation = block, page.generation
    journal._header, journal._page = header, page
    return previous


def _format(journal, new_number):
    journal._header.journal = new_number()
    # A journal that was still in its first block when that one's header decayed can't be named any
    # more. What it held is told of under the number of the new one.
    journal.next = _headless_readings(journal._pages)
    journal._gaps.lose(journal.next, GAP_CORRUPT)
    for block in range(journal._pages.count):
        if journal._start(block):
            journal._newest = block
            journal._header, journal._page = journal._page, journal._header
            return
    raise OSError(errno.EIO)


def _headless_readings(pages):
    # Return how many numbers the readings in the first block take, if it was a journal's first:
    # then they count from 0.
    count = 0
    for slot in range(pages.slots):
        if pages.state(0, slot, slot) == GOOD:
            count = slot + 1
    return count


def _replay(journal):
    # Take the newest block's marks; return whether the next block may have been begun.
    pages = journal._pages
    mark = journal._mark
    begun = False
    while journal._marks < pages.slots:
        state = pages.read_mark(journal._newest, journal._marks, journal._header.generation, mark)
        if state == BLANK:
            break
        journal._marks += 1
        if state != GOOD:
            # It may have been BEGUN, which is written only after BEGINNING.
            begun = begun or journal._beginning
        elif mark.kind == MARK_FREED:
            journal._gaps.free(mark.a)
        elif mark.kind == MARK_LOST:
            if mark.a > journal.first:
                journal._gaps.free(mark.a)
            journal._gaps.lose(mark.b, mark.reason)
        elif mark.kind == MARK_BEGINNING:
            journal._beginning = True
        elif mark.kind == MARK_BEGUN:
            begun = True
        elif mark.kind == MARK_SKIPPED:
            journal.next = mark.a
            journal._beginning = begun = False
        elif mark.kind == MARK_CLOCK and mark.a == journal.boot:
            journal._offset_ms = mark.offset_ms()
    return begun


def _scan_readings(journal, held_from):
    pages = journal._pages
    state = BLANK
    while journal._readings + journal._marks < pages.slots:
        slot = journal._readings
        found = pages.state(journal._newest, slot, journal._header.base + slot)
        if found == BLANK:
            break
        state = found
        journal._readings += 1
    after = journal._header.base + journal._readings
    if state == BAD and held_from is not None and after > held_from:
        # A reset tore it, and its number is still to be appended: in a new block, as that of a slot
        # can't change.
        after -= 1
    elif state == BAD:
        # The power went while it was written: its append has not returned.
        pages.void(journal._newest, journal._readings - 1)
    journal.next = max(journal.next, after)


def _damaged_after(pages, block, header):
    # Return how many blocks right after that one have been written but have no good header, which
    # is overwritten.
    damaged = 0
    other = pages.after(block)
    while other != block and not pages.load(other, header) and not pages.blank(other):
        damaged += 1
        other = pages.after(other)
    return damaged


def _confirm_begun(pages, block, header, mark):
    # See that a block which said that the next was about to be begun says that it was. header and
    # mark are overwritten.
    pages.load(block, header)
    last = 0
    index = 0
    while index < pages.slots:
        state = pages.read_mark(block, index, header.generation, mark)
        if state == BLANK:
            break
        last = mark.kind if state == GOOD else MARK_BEGUN
        index += 1
    if last == MARK_BEGINNING and index < pages.slots:
        mark.kind = MARK_BEGUN
        pages.write_mark(block, index, header.generation, mark)
