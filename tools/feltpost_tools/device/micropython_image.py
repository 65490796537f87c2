"""MicroPython for a chip, as a file to be written to its flash: what it is, and its parts.

The file is what MicroPython offers for download: bootloader, partition table and application in one
piece. The formats are ESP-IDF's (esp_image_header_t, esp_app_desc_t).
"""

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from feltpost_tools.device import partitions
from feltpost_tools.errors import UnusableImage
from feltpost_tools.language import _

OLDEST = (1, 25)
"""The oldest MicroPython that the firmware runs on."""

_MAGIC = 0xE9
_CHIP_AT = 12
_DESCRIPTION_AT = 0x20
_DESCRIPTION = struct.Struct("<I12x32s")
_DESCRIPTION_MAGIC = 0xABCD5432

_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Chip:
    """A kind of chip that Feltpost runs on.

    number: the one in the header of its images. bootloader: where in its flash that lies.
    download: the board's name among MicroPython's downloads.
    """

    name: str
    number: int
    bootloader: int
    download: str


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("ESP32", 0, 0x1000, "ESP32_GENERIC"),
        Chip("ESP32-S3", 9, 0x0, "ESP32_GENERIC_S3"),
        Chip("ESP32-C3", 5, 0x0, "ESP32_GENERIC_C3"),
        Chip("ESP32-C6", 13, 0x0, "ESP32_GENERIC_C6"),
    )
}
"""By the name that esptool has for it."""


@dataclass(frozen=True)
class MicropythonImage:
    """An image whose parts are there and whose digest, where one is given, is right.

    version: as its application tells it, None where it does not.
    """

    path: Path
    chip: Chip
    version: tuple[int, ...] | None
    table: tuple[partitions.Partition, ...]
    bootloader: bytes
    application: bytes
    sha256: str


def read(path: Path) -> MicropythonImage:
    """Read and check an image; where there is a ``.sha256`` beside it, that too.

    Raises UnusableImage.
    """
    try:
        data = _whole(path)
    except OSError as error:
        raise UnusableImage(
            path, _("It can't be read: {why}.").format(why=error.strerror)
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    _check_digest(path, digest)
    if len(data) < _DESCRIPTION_AT or data[0] != _MAGIC:
        raise UnusableImage(path, _("It is no image for an ESP32."))
    (number,) = struct.unpack_from("<H", data, _CHIP_AT)
    chip = next((chip for chip in CHIPS.values() if chip.number == number), None)
    if chip is None:
        raise UnusableImage(path, _("It is for a chip that Feltpost does not run on."))
    flash = b"\xff" * chip.bootloader + data
    try:
        table = partitions.decode(flash[partitions.TABLE_OFFSET :][: partitions.TABLE_BYTES])
        place = partitions.application(table)
    except partitions.BadTable:
        place = None
    if place is None or not flash.startswith(bytes((_MAGIC,)), place.offset):
        raise UnusableImage(
            path, _("It is not a whole MicroPython, with bootloader, partition table and program.")
        )
    program = flash[place.offset : place.end]
    return MicropythonImage(
        path=path,
        chip=chip,
        version=_version(program),
        table=tuple(table),
        bootloader=flash[chip.bootloader : partitions.TABLE_OFFSET],
        application=program,
        sha256=digest,
    )


def _whole(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UnusableImage(path, _("It is no image for an ESP32."))
    return data


def _check_digest(path: Path, digest: str) -> None:
    beside = path.with_name(path.name + ".sha256")
    if not beside.exists():
        return
    # As sha256sum writes it, or the digest alone.
    expected = beside.read_text(errors="replace").split()
    if not expected or expected[0].lower() != digest:
        raise UnusableImage(
            path,
            _("Its SHA-256 is not the one in {name}; fetch it again.").format(name=beside.name),
        )


def _version(program: bytes) -> tuple[int, ...] | None:
    magic, text = _DESCRIPTION.unpack_from(program.ljust(256, b"\0"), _DESCRIPTION_AT)
    found = re.match(rb"v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if magic != _DESCRIPTION_MAGIC or not found:
        return None
    return tuple(int(number) for number in found.groups(b"0"))
