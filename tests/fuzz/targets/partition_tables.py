"""The partition table that was read from a board's flash, and the one that is made of it."""

from __future__ import annotations

import hashlib
import random

from tests.fuzz.target import Target

from feltpost_tools.device import partitions

_FLASH_BYTES = 4 << 20
_TABLE = (
    partitions.Partition("nvs", partitions.TYPE_DATA, 2, 0x9000, 0x6000),
    partitions.Partition("factory", partitions.TYPE_APP, 0, 0x10000, 0x1F0000),
    partitions.Partition("vfs", partitions.TYPE_DATA, partitions.SUBTYPE_FAT, 0x200000, 0x200000),
)


def with_digest(entries: bytes) -> bytes:
    return entries + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries).digest()


class PartitionTables(Target):
    """The digest is made right for what the input says, or nothing would come through."""

    refusals = (partitions.BadTable, partitions.NoRoom)
    traced = ("feltpost_tools.device.partitions",)
    tokens = (b"\xaa\x50", b"vfs", b"journal\0", b"\0\0\0\x80", b"\xff\xff\xff\xff")
    max_bytes = 640
    executions = 600

    def generate(self, rng: random.Random) -> bytes:
        entries = [partitions.encode((partition,))[:32] for partition in _TABLE]
        return b"".join(rng.choices(entries, k=rng.randrange(1, 5)))

    def run(self, data: bytes) -> None:
        table = partitions.decode(with_digest(data))
        assert table
        made = partitions.with_journal(table, _FLASH_BYTES)
        assert partitions.find(made, partitions.JOURNAL)
        assert partitions.decode(partitions.encode(made)) == made
