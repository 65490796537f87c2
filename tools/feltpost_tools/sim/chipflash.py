"""A simulated board's whole flash: what lies where, and whether the chip can start from it.

The layout is the one of MicroPython's builds for an ESP32 with 4 MiB
(ports/esp32/partitions-4MiB.csv), with Feltpost's partition ``journal`` at the end. Bootloader,
partition table and application are images as ESP-IDF defines them, which esptool can read; the
application holds no code, only the description that says which MicroPython it stands for.
"""

import hashlib
import struct
from functools import reduce
from operator import xor
from pathlib import Path

from feltpost_tools.device import partitions
from feltpost_tools.device.partitions import Partition
from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.flash import BLOCK_BYTES, NorFlash

BYTES = 4 * 1024 * 1024
BLOCKS = BYTES // BLOCK_BYTES

BOOTLOADER = 0x1000
"""Where the chip's ROM looks for a bootloader, and where MicroPython's images are written to."""
_NVS, _NVS_BYTES = 0x9000, 0x6000
_PHY, _PHY_BYTES = 0xF000, 0x1000
_APP, _APP_BYTES = 0x10000, 0x1F0000
_FILES = 0x200000

# Subtypes of partitions (ESP-IDF, "Partition Tables").
_FACTORY, _NVS_DATA, _PHY_DATA = 0x00, 0x02, 0x01

# ESP-IDF's esp_image_header_t, the head of a segment, and esp_app_desc_t up to the name.
_IMAGE_MAGIC = 0xE9
_IMAGE_HEAD = struct.Struct("<BBBBIB3xHBHH4xB")
_SEGMENT_HEAD = struct.Struct("<II")
_CHECKSUM_SEED = 0xEF
_DESCRIPTION = struct.Struct("<I12x32s32s")
_DESCRIPTION_BYTES = 256
_DESCRIPTION_MAGIC = 0xABCD5432
_DROM, _DRAM = 0x3F400020, 0x3FFF0000
_FLASH_4MB_40MHZ = 0x20
_NO_PIN = 0xEE


class NotBootable(FeltpostError):
    """The chip can't start from its flash; the message is what it prints then."""


def micropython(version: str, journal_blocks: int = 0) -> bytes:
    """Return the image that stands for a release of MicroPython, to be written to BOOTLOADER.

    journal_blocks: the size of the partition that its table has for the journal; 0 for none, as in
    the builds that MicroPython offers.
    """
    journal = journal_blocks * BLOCK_BYTES
    data, app = partitions.TYPE_DATA, partitions.TYPE_APP
    table = [
        Partition("nvs", data, _NVS_DATA, _NVS, _NVS_BYTES),
        Partition("phy_init", data, _PHY_DATA, _PHY, _PHY_BYTES),
        Partition("factory", app, _FACTORY, _APP, _APP_BYTES),
        Partition("vfs", data, partitions.SUBTYPE_FAT, _FILES, BYTES - _FILES - journal),
    ]
    if journal:
        start = BYTES - journal
        table.append(
            Partition(partitions.JOURNAL, data, partitions.SUBTYPE_JOURNAL, start, journal)
        )
    description = _DESCRIPTION.pack(_DESCRIPTION_MAGIC, version.encode(), b"micropython")
    image = _image(_DRAM, b"\0" * 64).ljust(partitions.TABLE_OFFSET - BOOTLOADER, b"\xff")
    image += partitions.encode(table)
    image = image.ljust(_APP - BOOTLOADER, b"\xff")
    return image + _image(_DROM, description.ljust(_DESCRIPTION_BYTES, b"\0"))


class ChipFlash:
    """The chip with its partitions. NVS is not kept here in its own format, see Board."""

    def __init__(self, folder: Path, journal_blocks: int):
        """Open it; a new one is blank, but for where files and a journal of that size will be."""
        self.path = folder / "chip.flash"
        self.chip = NorFlash(self.path, BLOCKS)
        self._opened: dict[tuple[int, int], NorFlash] = {}
        journal = journal_blocks * BLOCK_BYTES
        self.files_start = _FILES
        self.files = self._open(_FILES, BYTES - _FILES - journal)
        self.journal = self._open(BYTES - journal, journal) if journal else None

    def locate(self) -> None:
        """Have files and journal where the partition table has them. Raises NotBootable."""
        table = self.partitions()
        files = partitions.files(list(table.values()), BYTES)
        journal = table.get(partitions.JOURNAL)
        self.files_start = files.offset
        self.files = self._open(files.offset, files.size)
        self.journal = self._open(journal.offset, journal.size) if journal else None

    def _open(self, start: int, size: int) -> NorFlash:
        # Kept, as it counts what is done to it and may be about to tear a write.
        place = start // BLOCK_BYTES, size // BLOCK_BYTES
        if place not in self._opened:
            self._opened[place] = self.chip.partition(*place)
        return self._opened[place]

    def close(self) -> None:
        """Close the file."""
        for part in (self.chip, *self._opened.values()):
            part.close()

    def blank(self) -> None:
        """Make it as it leaves the factory: nothing is written."""
        self.path.write_bytes(b"\xff" * BYTES)

    def put(self, address: int, data: bytes) -> None:
        """Have data there, at once and whatever was there before."""
        with self.path.open("r+b") as file:
            file.seek(address)
            file.write(data)

    def get(self, address: int, count: int) -> bytes:
        """Return count bytes."""
        with self.path.open("rb") as file:
            file.seek(address)
            return file.read(count)

    def partitions(self) -> dict[str, Partition]:
        """Return the entries of the partition table, by label. Raises NotBootable for none."""
        raw = self.get(partitions.TABLE_OFFSET, partitions.TABLE_BYTES)
        try:
            return {partition.label: partition for partition in partitions.decode(raw)}
        except partitions.BadTable:
            raise NotBootable(
                "E (46) flash_parts: partition table has no valid entries\r\n"
                "E (46) boot: Failed to verify partition table\r\n"
            ) from None

    def micropython(self) -> str:
        """Return the release of MicroPython that starts. Raises NotBootable where none does."""
        if self.get(BOOTLOADER, 1)[0] != _IMAGE_MAGIC:
            word = int.from_bytes(self.get(BOOTLOADER, 4), "little")
            raise NotBootable(f"invalid header: {word:#010x}\r\n" * 8)
        if self._segments(BOOTLOADER) is None:
            raise NotBootable("csum err:0x00!=0xef\r\nets_main.c 371 \r\n")
        factory = self.partitions().get("factory")
        segments = self._segments(factory.offset) if factory else None
        if not segments:
            raise NotBootable(
                f"E (78) esp_image: image at {_APP:#x} has invalid magic byte or checksum\r\n"
                "E (78) boot: Factory app partition is not bootable\r\n"
                "E (80) boot: No bootable app partitions in the partition table\r\n"
            )
        magic, version, _ = _DESCRIPTION.unpack_from(segments[0].ljust(_DESCRIPTION_BYTES, b"\0"))
        if magic != _DESCRIPTION_MAGIC:
            raise NotBootable("Guru Meditation Error: Core  0 panic'ed (IllegalInstruction).\r\n")
        return str(version.rstrip(b"\0").decode())

    def _segments(self, address: int) -> list[bytes] | None:
        # Return what an image's segments hold; None where that is no whole image.
        magic, count = self.get(address, 2)
        if magic != _IMAGE_MAGIC:
            return None
        start = address + _IMAGE_HEAD.size
        segments = []
        for _ in range(count):
            _, size = _SEGMENT_HEAD.unpack(self.get(start, _SEGMENT_HEAD.size))
            if size > _APP_BYTES:
                return None
            segments.append(self.get(start + _SEGMENT_HEAD.size, size))
            start += _SEGMENT_HEAD.size + size
        end = start - address | 15
        (checksum,) = self.get(address + end, 1)
        return segments if checksum == _checksum(segments) else None


def holds_nvs(address: int) -> bool:
    """Tell whether a byte of the flash belongs to NVS."""
    return _NVS <= address < _NVS + _NVS_BYTES


def _image(load_address: int, segment: bytes) -> bytes:
    head = _IMAGE_HEAD.pack(
        _IMAGE_MAGIC, 1, 2, _FLASH_4MB_40MHZ, 0x40080000, _NO_PIN, 0, 0, 0, 0xFFFF, 1
    )
    body = head + _SEGMENT_HEAD.pack(load_address, len(segment)) + segment
    # The checksum is the last byte of a group of 16, the digest follows.
    body = body.ljust(len(body) | 15, b"\0") + bytes((_checksum([segment]),))
    return body + hashlib.sha256(body).digest()


def _checksum(segments: list[bytes]) -> int:
    return reduce(xor, b"".join(segments), _CHECKSUM_SEED)
