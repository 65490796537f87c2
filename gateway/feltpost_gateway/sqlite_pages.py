"""Reads rows straight from the pages of an SQLite file, without its B-trees.

For a file that SQLite itself can't follow any more: every leaf page says on its own which rows it
has, wherever the pages above it point, if they are there at all. Format: "Database File Format",
https://sqlite.org/fileformat2.html, sections 1.3 (header), 1.6 (B-tree pages) and 2.1 (records).
"""

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from feltpost_gateway.sqlite_log import read_log

Value = int | float | str | bytes | None

MAGIC = b"SQLite format 3\0"

_HEADER_BYTES = 100
_TABLE_LEAF = 0x0D
_INDEX_LEAF = 0x0A
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
_MAX_RECORD_BYTES = 1 << 16


@dataclass(frozen=True)
class Row:
    """One record of a leaf page; `rowid` is None where the page is of an index."""

    rowid: int | None
    values: tuple[Value, ...]


class _BadCellError(Exception):
    """What a page says can't be so."""


class PageReader:
    """The pages of the database `path`, each as the write-ahead log beside it has it, if it does.

    Raises `OSError` where the database can't be opened.
    """

    def __init__(self, path: Path, page_bytes: int) -> None:
        self._page_bytes = page_bytes
        self._file = path.open("rb")
        self._pages = (path.stat().st_size + page_bytes - 1) // page_bytes
        self._log: BinaryIO | None = None
        self._frames: dict[int, int] = {}
        self.unreadable = 0
        """How many pages the disk would not give."""
        try:
            self._log = Path(f"{path}-wal").open("rb")  # noqa: SIM115 - closed by `close`
            self._frames = read_log(self._log, page_bytes).pages
        except OSError:
            self.unreadable += self._log is not None

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._log is not None:
            self._log.close()

    def rows(self, max_pages: int | None = None) -> Iterator[Row]:
        """Yield every row of every leaf page that makes sense, those of unused pages included.

        `max_pages` bounds how many pages are looked at.
        """
        last = max(self._pages, *self._frames, 0)
        for number in range(1, min(last, max_pages or last) + 1):
            page = self._read(number)
            if len(page) == self._page_bytes:
                yield from self._rows_of(page, _HEADER_BYTES if number == 1 else 0)

    def _read(self, number: int) -> bytes:
        offset = self._frames.get(number)
        try:
            if offset is not None and self._log is not None:
                self._log.seek(offset)
                return self._log.read(self._page_bytes)
            self._file.seek((number - 1) * self._page_bytes)
            return self._file.read(self._page_bytes)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.unreadable += 1
            return b""

    def _rows_of(self, page: bytes, start: int) -> Iterator[Row]:
        kind = page[start]
        if kind not in (_TABLE_LEAF, _INDEX_LEAF):
            return
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        for index in range(cells):
            at = start + 8 + 2 * index
            cell = int.from_bytes(page[at : at + 2], "big")
            try:
                yield self._row_at(page, cell, kind == _TABLE_LEAF)
            except (_BadCellError, struct.error, UnicodeDecodeError):
                continue

    def _row_at(self, page: bytes, at: int, in_table: bool) -> Row:
        size, at = _varint(page, at)
        rowid = None
        if in_table:
            rowid, at = _varint(page, at)
        if not 0 <= size <= _MAX_RECORD_BYTES:
            raise _BadCellError
        local = self._local_bytes(size, in_table)
        record = page[at : at + local]
        if local < size:
            record += self._overflow(int.from_bytes(page[at + local : at + local + 4], "big"), size)
        if len(record) < size:
            raise _BadCellError
        return Row(rowid, _decode(record[:size]))

    def _local_bytes(self, size: int, in_table: bool) -> int:
        """Return how much of a record is on its own page (section 1.6)."""
        usable = self._page_bytes
        most = usable - 35 if in_table else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return size
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        return local if local <= most else least

    def _overflow(self, number: int, size: int) -> bytes:
        rest = b""
        while number and len(rest) < size:
            page = self._read(number)
            if len(page) < 4:
                raise _BadCellError
            number = int.from_bytes(page[:4], "big")
            rest += page[4:]
        return rest


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length integer (section 1.6) and where it ends."""
    if at < len(data) and data[at] < 0x80:
        # Nearly all are of one byte.
        return data[at], at + 1
    value = 0
    for index in range(9):
        if at >= len(data):
            raise _BadCellError
        byte = data[at]
        at += 1
        if index == 8:
            value = value << 8 | byte
            break
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value - (1 << 64) if value >= 1 << 63 else value, at


def _decode(record: bytes) -> tuple[Value, ...]:
    """Return a record's values (section 2.1)."""
    header_bytes, at = _varint(record, 0)
    body = header_bytes
    values: list[Value] = []
    while at < header_bytes:
        serial, at = _varint(record, at)
        value, body = _decode_value(record, serial, body)
        values.append(value)
    if at != header_bytes or body != len(record):
        raise _BadCellError
    return tuple(values)


def _decode_value(record: bytes, serial: int, at: int) -> tuple[Value, int]:
    if serial == 0:
        return None, at
    if 1 <= serial <= 6:
        end = at + _INTEGER_BYTES[serial]
        return int.from_bytes(record[at:end], "big", signed=True), end
    if serial == 7:
        return float(struct.unpack(">d", record[at : at + 8])[0]), at + 8
    if serial in (8, 9):
        return serial - 8, at
    if serial < 12:
        raise _BadCellError
    end = at + (serial - 12) // 2
    raw = record[at:end]
    if len(raw) < end - at:
        raise _BadCellError
    return (raw.decode() if serial & 1 else raw), end
