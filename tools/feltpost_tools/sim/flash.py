"""A NOR flash chip in a file: it wears, it obeys the chip's rules, and the power can be cut.

Modelled on the serial NOR flash of ESP32 modules: an erase sets a block of 4,096 bytes to 0xFF, a
write can only clear bits, and neither is whole when the power goes meanwhile.
"""

import enum
import random
from collections.abc import Callable
from pathlib import Path

from feltpost_tools.errors import FeltpostError

BLOCK_BYTES = 4096

_ERASED = 0xFF


class Torn(enum.Enum):
    """What an operation leaves when the power is cut."""

    NOTHING = "nothing is done"
    PREFIX = "the first bytes are done, the others untouched"
    BITS = "a write clears some of its bits; an erase leaves any content"
    WHOLE = "all is done, but nobody is told"


class PowerCut(FeltpostError):
    """The power went during a write or an erase; the board must be started anew."""


class FlashMisuse(FeltpostError):
    """The firmware asked for what the chip can't do; the message says what and where."""


class NorFlash:
    """The chip, or a partition of it. Positions are bytes from the beginning of a block.

    What is written is in the file before a call returns, so a process that is killed leaves what
    it had written. writes and erases count the operations of each block; programmed_bytes what all
    writes together carried.
    """

    def __init__(self, path: Path, blocks: int):
        """Open the file, or make it a blank chip of so many blocks if there is none.

        Raises FeltpostError where there is a file of another size.
        """
        self.blocks = blocks
        self.writes = [0] * blocks
        self.erases = [0] * blocks
        self.programmed_bytes = 0
        self._cut: tuple[int, Torn, random.Random] | None = None
        if not path.exists():
            path.write_bytes(bytes((_ERASED,)) * (blocks * BLOCK_BYTES))
        if path.stat().st_size != blocks * BLOCK_BYTES:
            raise FeltpostError(
                f"{path}: {path.stat().st_size} bytes, but {blocks} blocks of {BLOCK_BYTES} were "
                "asked for; remove the file to start with a blank chip"
            )
        self._file = path.open("r+b", buffering=0)
        self._path = path
        self._first = 0

    def partition(self, first: int, blocks: int) -> "NorFlash":
        """Return some of its blocks as a flash of its own, with its own counts and power cuts."""
        if first + blocks > self.blocks:
            raise FeltpostError(f"{self._path}: {self.blocks} blocks, none at {first + blocks - 1}")
        part = NorFlash(self._path, self.blocks)
        part.blocks = blocks
        part.writes = [0] * blocks
        part.erases = [0] * blocks
        part._first = self._first + first
        return part

    @property
    def operations(self) -> int:
        """How many writes and erases there have been."""
        return sum(self.writes) + sum(self.erases)

    def cut_at(self, operation: int, torn: Torn, seed: int = 0) -> None:
        """Cut the power in that write or erase, counted from 1 for the next one."""
        self._cut = operation, torn, random.Random(seed)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, block: int, position: int, count: int) -> bytes:
        """Return count bytes."""
        self._file.seek(self._start(block, position, count))
        data = self._file.read(count)
        assert len(data) == count, "the file was cut short"
        return data

    def write(self, block: int, position: int, data: bytes) -> None:
        """Clear the bits that are 0 in data. Raises FlashMisuse where data needs one set."""
        before = self.read(block, position, len(data))
        for i, (old, new) in enumerate(zip(before, data, strict=True)):
            if new & ~old:
                raise FlashMisuse(
                    f"block {block}, byte {position + i}: {old:#04x} can't become {new:#04x} "
                    "without an erase"
                )
        self.writes[block] += 1
        self.programmed_bytes += len(data)

        def some_bits(random_byte: Callable[[], int]) -> bytes:
            return bytes(old & (new | random_byte()) for old, new in zip(before, data, strict=True))

        self._change(block, position, before, data, some_bits)

    def erase(self, block: int) -> None:
        """Set all bits of a block."""
        before = self.read(block, 0, BLOCK_BYTES)
        self.erases[block] += 1

        def any_content(random_byte: Callable[[], int]) -> bytes:
            return bytes(random_byte() for _ in range(BLOCK_BYTES))

        self._change(block, 0, before, bytes((_ERASED,)) * BLOCK_BYTES, any_content)

    def flip(self, block: int, position: int, bit: int) -> None:
        """Let one bit decay."""
        (byte,) = self.read(block, position, 1)
        self._put(block, position, bytes((byte ^ 1 << bit,)))

    def _change(
        self,
        block: int,
        position: int,
        before: bytes,
        after: bytes,
        partly: Callable[[Callable[[], int]], bytes],
    ) -> None:
        # Make a change, or as much of it as the power lasts for.
        if self._cut is None:
            self._put(block, position, after)
            return
        left, torn, chance = self._cut
        if left > 1:
            self._cut = left - 1, torn, chance
            self._put(block, position, after)
            return
        self._cut = None
        match torn:
            case Torn.NOTHING:
                after = before
            case Torn.PREFIX:
                done = chance.randrange(len(after))
                after = after[:done] + before[done:]
            case Torn.BITS:
                after = partly(lambda: chance.getrandbits(8))
            case Torn.WHOLE:
                pass
        self._put(block, position, after)
        raise PowerCut(f"power cut, block {block}, byte {position}: {torn.value}")

    def _put(self, block: int, position: int, data: bytes) -> None:
        self._file.seek(self._start(block, position, len(data)))
        self._file.write(data)

    def _start(self, block: int, position: int, count: int) -> int:
        if not (0 <= block < self.blocks and 0 <= position <= BLOCK_BYTES - count):
            raise FlashMisuse(f"block {block} has no {count} bytes at {position}")
        return (self._first + block) * BLOCK_BYTES + position
