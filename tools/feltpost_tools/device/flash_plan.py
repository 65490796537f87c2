"""What has to be written where, so that a board has MicroPython and a journal, and keeps the rest.

NVS lies between partition table and application and is never touched: the node's key is in it. The
file system is kept where its place and size are; only one that can't be mounted any more is erased,
as MicroPython makes a new one on blank flash and stops at any other content.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from feltpost_tools.device import partitions
from feltpost_tools.device.micropython_image import Chip, MicropythonImage
from feltpost_tools.device.partitions import Partition
from feltpost_tools.errors import FeltpostError

BLOCK_BYTES = 4096
# LittleFS's superblock is in the first two blocks (SPEC.md, "Superblock entry"): revision, a tag,
# the magic, a tag, then version, block size and number of blocks.
_SUPERBLOCKS = 2
_LITTLEFS = b"littlefs"
_LITTLEFS_AT = 8
_SIZES_AT = 24
_HEAD_BYTES = 32

# In the head of an image: what size the flash is said to have, in the high half of its fourth byte.
_FLASH_SIZE_AT = 3
_FLASH_SIZE_UNIT = 2**20

Read = Callable[[int, int], bytes]
"""Reads the flash: address and count, in bytes."""


class LosesFiles(FeltpostError):
    """The plan needs the file system made anew, and there is one."""


class NoApplication(FeltpostError):
    """No MicroPython is to be written, and there is none on the board that could be kept."""


class TooLarge(FeltpostError):
    """The new MicroPython needs another layout, in which the board's journal would be lost."""


@dataclass(frozen=True)
class Plan:
    """What to do, in this order. erase: address and bytes to blank, None for nothing.

    pieces: what to write, each with its address.
    """

    erase: tuple[int, int] | None
    pieces: tuple[tuple[int, bytes], ...]


def make(
    read: Read, chip: Chip, flash_bytes: int, image: MicropythonImage | None, lose_files: bool
) -> Plan:
    """Return the plan for a board; image None: it keeps its MicroPython.

    lose_files: whether files may be lost, where the layout can't be had without. Raises LosesFiles,
    NoApplication, TooLarge, and partitions.NoRoom.
    """
    head = image.bootloader if image else read(chip.bootloader, _HEAD_BYTES)
    # The bootloader takes no table that goes beyond the size in its own head.
    usable = min(flash_bytes, _FLASH_SIZE_UNIT << (head[_FLASH_SIZE_AT] >> 4))
    current = _current(read)
    table = partitions.with_journal(_base(current, image), usable)
    files = partitions.files(table, usable)
    old_start = partitions.files(current, flash_bytes).offset if current else files.offset
    found = {start: _file_system_bytes(read, start) for start in (old_start, files.offset)}
    kept = found[files.offset] == files.size
    lost = any(size for start, size in found.items() if not (kept and start == files.offset))
    if lost and not lose_files:
        raise LosesFiles("the board's files would be lost")
    return Plan(
        erase=None if kept else (files.offset, _SUPERBLOCKS * BLOCK_BYTES),
        pieces=tuple(_pieces(chip, image, table, table != current)),
    )


def _pieces(
    chip: Chip, image: MicropythonImage | None, table: list[Partition], new_table: bool
) -> Iterator[tuple[int, bytes]]:
    if image:
        yield chip.bootloader, image.bootloader
    if new_table:
        yield partitions.TABLE_OFFSET, partitions.encode(table)
    place = partitions.application(table)
    if image and place:
        yield place.offset, image.application


def _current(read: Read) -> list[Partition] | None:
    try:
        return partitions.decode(read(partitions.TABLE_OFFSET, partitions.TABLE_BYTES))
    except partitions.BadTable:
        return None


def _base(current: list[Partition] | None, image: MicropythonImage | None) -> list[Partition]:
    # The table to begin with: the board's own where the application fits into it, since that keeps
    # its files where they are.
    place = partitions.application(current) if current else None
    if image is None:
        if current is None or place is None:
            raise NoApplication("there is no MicroPython on the board")
        return current
    wanted = partitions.application(image.table)
    if current and place and wanted:
        if place.offset == wanted.offset and place.size >= len(image.application):
            return current
        if partitions.find(current, partitions.JOURNAL):
            raise TooLarge("the application does not fit beside the journal")
    return list(image.table)


def _file_system_bytes(read: Read, offset: int) -> int | None:
    # Return the size of the LittleFS that begins there, None where there is none.
    for block in range(_SUPERBLOCKS):
        head = read(offset + block * BLOCK_BYTES, _HEAD_BYTES)
        if head.startswith(_LITTLEFS, _LITTLEFS_AT):
            block_bytes, blocks = struct.unpack_from("<II", head, _SIZES_AT)
            return int(block_bytes * blocks)
    return None
