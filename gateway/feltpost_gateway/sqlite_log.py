"""Reads SQLite's write-ahead log without SQLite, and tells a damaged one from one that was cut.

SQLite takes a log up to the first frame that fails its checksum, and writes over what follows. That
is right for the commit during which the power went, and gives up many more where a bit has changed.
Format: "Database File Format", https://sqlite.org/fileformat2.html, section 4.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MAGIC = 0x377F0682

_Pair = tuple[int, int]


@dataclass(frozen=True)
class Log:
    """What a log has: where the newest committed version of each page lies in it.

    `is_damaged` is whether frames are bad that were on the disk once. Each commit is synced before
    the next one is written, so what fails its checksum belongs to the last commit and may be torn,
    or has another commit after it and is damaged. In a damaged log the frames after it count.
    """

    pages: dict[int, int]
    is_damaged: bool


@dataclass(frozen=True)
class _Frame:
    page: int
    is_commit: bool
    is_valid: bool
    offset: int


def read_log(log: BinaryIO, page_bytes: int) -> Log:
    """Read a whole log whose pages have that size; raises `OSError`."""
    sound: dict[int, int] = {}
    after_damage: dict[int, int] = {}
    pending: dict[int, int] = {}
    is_cut = ended = is_damaged = False
    for frame in _frames(log, page_bytes):
        if not frame.is_valid:
            is_cut = True
            continue
        # A commit ended after the bad frame, and this is of the next one.
        is_damaged |= ended
        pending[frame.page] = frame.offset
        if frame.is_commit:
            ended = is_cut
            (after_damage if is_cut else sound).update(pending)
            pending.clear()
    return Log(sound | after_damage if is_damaged else sound, is_damaged)


def _frames(log: BinaryIO, page_bytes: int) -> Iterator[_Frame]:
    """Yield the frames of a log; those that an older run of it has left count as not valid."""
    header = log.read(_HEADER_BYTES)
    frame = log.read(_FRAME_HEADER_BYTES + page_bytes)
    if not any(header):
        # The log is new, and its first commit was not synced.
        return
    magic, _, size = struct.unpack(">3I", header[:12].ljust(12, b"\0"))
    order = ">" if magic & 1 else "<"
    salts, before = header[16:24], header[24:].ljust(8, b"\0")
    if magic & ~1 != _MAGIC or size != page_bytes:
        is_sound = False
    else:
        is_sound = _pair(before) == _checksum(header[:24], (0, 0), order)
    if not is_sound:
        yield _Frame(0, is_commit=False, is_valid=False, offset=0)
        # The first frame says which run this is, and this machine how it adds up.
        salts, order = frame[8:16], "="
    offset = _HEADER_BYTES + _FRAME_HEADER_BYTES
    while len(frame) == _FRAME_HEADER_BYTES + page_bytes:
        page, pages_after = _pair(frame)
        is_valid = frame[8:16] == salts and _is_valid(frame, before, order)
        yield _Frame(page, pages_after > 0, is_valid, offset)
        before = frame[16:24]
        offset += len(frame)
        frame = log.read(_FRAME_HEADER_BYTES + page_bytes)


def _is_valid(frame: bytes, before: bytes, order: str) -> bool:
    """Tell whether a frame's checksum carries on from the one before it, as that is written."""
    checksum = _checksum(frame[:8], _pair(before), order)
    return _checksum(frame[_FRAME_HEADER_BYTES:], checksum, order) == _pair(frame[16:24])


def _pair(data: bytes) -> _Pair:
    first, second = struct.unpack(">2I", data[:8])
    return first, second


def _checksum(data: bytes, seed: _Pair, order: str) -> _Pair:
    """Return SQLite's checksum of a log (section 4.2), carried on from `seed`."""
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    first, second = seed
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second
