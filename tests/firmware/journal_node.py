"""Runs on MicroPython: the journal on flash, whose flash chip is at the other end of a pipe.

test_journal_flash.py starts it and sends commands, a line each; while one is executed the journal's
reads, writes and erases go back as requests, a line each, which that end answers. A power cut is
that end killing this process.
"""

import sys
from binascii import hexlify, unhexlify

from feltpost.journal_flash import FlashJournal
from feltpost.record import Record


def request(line):
    print(line)
    return sys.stdin.readline().strip()


class Partition:
    def __init__(self, blocks):
        self._blocks = blocks

    def ioctl(self, op, arg):
        if op == 6:
            request(f"erase {arg}")
            return 0
        return {4: self._blocks, 5: 4096}[op]

    def readblocks(self, block, buf, offset):
        buf[:] = unhexlify(request(f"read {block} {offset} {len(buf)}"))

    def writeblocks(self, block, buf, offset):
        request(f"write {block} {offset} {hexlify(buf).decode()}")


def held(journal):
    record = Record()
    readings = {}
    for number in range(journal.first, journal.next):
        if journal.read(number, record):
            readings[number] = record.channel, record.mantissa, record.form, record.uptime_ms
    return readings


def execute(words):
    """Execute one command; return what it answers."""
    global journal
    if words[0] == "mount":
        journal = FlashJournal(Partition(int(words[1])), lambda: 7, int(words[2]))
        return None
    if words[0] == "append":
        return journal.append(*[int(word) for word in words[1:]])
    if words[0] == "free":
        return journal.free(int(words[1]))
    if words[0] == "held":
        return held(journal)
    if words[0] == "state":
        gap = journal.gap()
        return journal.first, journal.next, gap and (gap.first, gap.count, gap.reason)
    raise ValueError(words[0])


journal = None
while True:
    line = sys.stdin.readline()
    if not line:
        break
    print("answer " + repr(execute(line.split())))
