"""The partition table of an ESP32's flash, and the place in it for the journal.

The format is ESP-IDF's (API Guides, "Partition Tables"): entries of 32 bytes, then one with the MD5
of those before it, the rest 0xFF.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from feltpost_tools.errors import FeltpostError
from feltpost_tools.language import _

TABLE_OFFSET = 0x8000
"""Where the table lies; ESP-IDF's default, which MicroPython keeps."""
TABLE_BYTES = 0xC00

TYPE_APP, TYPE_DATA = 0, 1
SUBTYPE_FAT, SUBTYPE_JOURNAL = 0x81, 0x40

JOURNAL = "journal"
"""The label by which the firmware finds its journal's partition."""
JOURNAL_BYTES = 1024 * 1024
"""What it is given: 62,000 readings, see docs/durability.md."""
# Two slots with the application, its configuration, and what LittleFS needs to move things.
_FILES_LEAST_BYTES = 512 * 1024
_FILES = ("vfs", "ffat")

_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC = b"\xaa\x50"
# Labels are bytes to ESP-IDF; one that is no text goes back into the flash as it was.
_LABELS = "latin-1"
_DIGEST_MAGIC = b"\xeb\xeb" + b"\xff" * 14


class BadTable(FeltpostError):
    """There is no partition table, or one that is damaged."""


class NoRoom(FeltpostError):
    """The flash has no room for the journal; the message says how much there is."""


@dataclass(frozen=True)
class Partition:
    """An entry of the table; offset and size in bytes."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int
    flags: int = 0

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.offset + self.size


Table = Sequence[Partition]


def decode(raw: bytes) -> list[Partition]:
    """Return the entries of a table as it is in flash. Raises BadTable."""
    found: list[Partition] = []
    for start in range(0, len(raw) - _ENTRY.size + 1, _ENTRY.size):
        if raw.startswith(_DIGEST_MAGIC, start):
            digest = raw[start + len(_DIGEST_MAGIC) : start + _ENTRY.size]
            if found and digest == hashlib.md5(raw[:start]).digest():
                return found
            break
        magic, kind, subtype, offset, size, label, flags = _ENTRY.unpack_from(raw, start)
        if magic != _MAGIC:
            break
        name = label.rstrip(b"\0").decode(_LABELS)
        found.append(Partition(name, kind, subtype, offset, size, flags))
    raise BadTable("no whole partition table")


def encode(table: Table) -> bytes:
    """Return the table as it is in flash, TABLE_BYTES long."""
    raw = b"".join(
        _ENTRY.pack(_MAGIC, p.type, p.subtype, p.offset, p.size, p.label.encode(_LABELS), p.flags)
        for p in table
    )
    raw += _DIGEST_MAGIC + hashlib.md5(raw).digest()
    return raw.ljust(TABLE_BYTES, b"\xff")


def find(table: Table, *labels: str) -> Partition | None:
    """Return the first entry that has one of the labels."""
    return next((partition for partition in table if partition.label in labels), None)


def application(table: Table) -> Partition | None:
    """Return the first entry for an application, which is the one that MicroPython is in."""
    return next((partition for partition in table if partition.type == TYPE_APP), None)


def files(table: Table, flash_bytes: int) -> Partition:
    """Return the partition with the file system.

    A table that names none leaves it all that comes after the last entry: so do the tables of newer
    MicroPythons (its main.c, boardctrl_startup).
    """
    named = find(table, *_FILES)
    if named:
        return named
    start = max(partition.end for partition in table)
    return Partition(_FILES[0], TYPE_DATA, SUBTYPE_FAT, start, flash_bytes - start)


def with_journal(table: Table, flash_bytes: int) -> list[Partition]:
    """Return the table with a partition for the journal, at the end of the flash.

    One that has it already is returned as it is. Nothing moves; the file system gives what is
    needed of its end where there is nothing free behind it. Raises NoRoom.
    """
    if find(table, JOURNAL):
        return list(table)
    start = flash_bytes - JOURNAL_BYTES
    file_system = files(table, flash_bytes)
    others = [partition for partition in table if partition.label != file_system.label]
    size = min(file_system.end, start) - file_system.offset
    if size < _FILES_LEAST_BYTES or any(partition.end > start for partition in others):
        raise NoRoom(
            _("The flash of {mib:g} MiB has no room for the journal; a board needs 4 MiB.").format(
                mib=flash_bytes / 2**20
            )
        )
    journal = Partition(JOURNAL, TYPE_DATA, SUBTYPE_JOURNAL, start, JOURNAL_BYTES)
    return [*others, replace(file_system, size=size), journal]
