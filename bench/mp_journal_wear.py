"""Runs on MicroPython: keeps sets of readings in a journal, and counts what the flash chip does.

Arguments: ``raw`` or ``littlefs``, the number of blocks, the number of sets. Each set is four
readings, each of which is on flash before the next, and a mark that they are freed. Prints writes,
bytes programmed and erases, and for littlefs power cuts tried and cuts after which a reading was
missing.
"""

import random
import sys

import vfs
from feltpost.journal_flash import FlashJournal

_BLOCK_BYTES = 4096
_READINGS = 4
# What the journal on raw flash takes for a reading or a mark; LittleFS gets the same to keep.
_ENTRY_BYTES = 16
_ENTRIES = 251
# A cut is tried before every so manieth write or erase.
_CUT_EVERY = 61


class Chip:
    def __init__(self, blocks, image=None):
        self.image = bytearray(image or b"\xff" * (blocks * _BLOCK_BYTES))
        self.blocks = blocks
        self.writes = self.programmed = self.erases = 0
        self.watch = None

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return _BLOCK_BYTES
        if op == 6:
            self.erases += 1
            start = arg * _BLOCK_BYTES
            if self.watch:
                self.watch(start, b"\xff" * _BLOCK_BYTES)
            self.image[start : start + _BLOCK_BYTES] = b"\xff" * _BLOCK_BYTES
        return 0

    def readblocks(self, block, buf, offset=0):
        start = block * _BLOCK_BYTES + offset
        buf[:] = self.image[start : start + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        start = block * _BLOCK_BYTES + offset
        self.writes += 1
        self.programmed += len(buf)
        if self.watch:
            self.watch(start, buf)
        self.image[start : start + len(buf)] = buf


class FileJournal:
    """The least that a journal in files needs: entries appended and synced, old files removed."""

    def __init__(self, chip, files):
        vfs.VfsLfs2.mkfs(chip)
        self.filesystem = vfs.VfsLfs2(chip)
        self._files = files
        self._number = self.entries = 0
        self._file = None

    def append(self, entry):
        if self.entries % _ENTRIES == 0:
            if self._file:
                self._file.close()
            self._number += 1
            if self._number > self._files:
                self.filesystem.remove(str(self._number - self._files))
            self._file = self.filesystem.open(str(self._number), "ab")
        self._file.write(entry)
        self._file.flush()
        self.entries += 1


class Cuts:
    """Tries power cuts at a chip with a file journal, in the same way as the journal's tests."""

    def __init__(self, chip, journal):
        self.chip = chip
        self.journal = journal
        self.operations = self.tried = self.missing = 0

    def __call__(self, start, data):
        self.operations += 1
        if self.operations % _CUT_EVERY:
            return
        self.tried += 1
        copy = Chip(self.chip.blocks, self.chip.image)
        done = random.randrange(len(data))
        copy.image[start : start + done] = data[:done]
        try:
            filesystem = vfs.VfsLfs2(copy)
            kept = 0
            for entry in filesystem.ilistdir("/"):
                kept += entry[3] // _ENTRY_BYTES
        except OSError:
            kept = -1
        self.missing += kept < self.journal.entries


def raw(blocks, sets):
    chip = Chip(blocks)
    journal = FlashJournal(chip, lambda: 1, 1)
    for i in range(sets):
        for channel in range(_READINGS):
            journal.append(channel, i, 2, 60_000 * i)
        journal.free(journal.next)
    return chip, 0, 0


def littlefs(blocks, sets):
    chip = Chip(blocks)
    # Every second block for files: the metadata and the copies need room.
    journal = FileJournal(chip, blocks // 2)
    for _ in range(sets * (_READINGS + 1)):
        journal.append(bytes(_ENTRY_BYTES))
    # Cuts on a small one, on its way through its first two files.
    small = Chip(32)
    cut = FileJournal(small, 16)
    cuts = small.watch = Cuts(small, cut)
    for _ in range(2 * _ENTRIES):
        cut.append(bytes(_ENTRY_BYTES))
    return chip, cuts.tried, cuts.missing


random.seed(1)
kind, blocks, sets = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chip, tried, missing = {"raw": raw, "littlefs": littlefs}[kind](blocks, sets)
print(chip.writes, chip.programmed, chip.erases, tried, missing)
