"""A simulated ESP32's RTC memory: what ``machine.RTC().memory()`` reads and writes.

It keeps its content while the chip has power, through resets of any kind and deep sleep
(MicroPython's ports/esp32/machine_rtc.c, ``RTC_NOINIT_ATTR``). A write is one copy from the first
byte on; a reset in the middle of it leaves new bytes in front of old ones.
"""

import asyncio
import random

from feltpost_tools.errors import FeltpostError

RTC_BYTES = 2048

# How many of its bytes a brown-out changes.
_DECAYED_SHARE = 8


class WriteTorn(FeltpostError):
    """The chip was reset in the middle of a write; it must boot again."""


class RtcMemory:
    """The memory. writes counts the whole writes since it was made; torn is set by one that is not
    whole."""

    def __init__(self) -> None:
        self.writes = 0
        self.torn = asyncio.Event()
        self._data = bytearray(RTC_BYTES)
        self._length = 0
        self._taken = bytearray()
        self._tear: tuple[int, int] | None = None

    def read(self) -> bytes:
        """Return what the last whole write has put in; nothing after the power was lost."""
        return bytes(self._data[: self._length])

    def take(self, length: int, start: int, piece: bytes) -> None:
        """Take a piece of what is to be written; the last one, at its end, makes it one write."""
        if start == 0:
            self._taken.clear()
        self._taken += piece
        if len(self._taken) == length:
            self.write(bytes(self._taken))

    def write(self, data: bytes) -> None:
        """Copy data over the first bytes. Raises WriteTorn where tear_at asked for it."""
        if len(data) > RTC_BYTES:
            raise ValueError("buffer too long")
        if self._tear:
            left, done = self._tear
            self._tear = (left - 1, done) if left > 1 else None
            if left == 1:
                done = min(done, len(data))
                self._data[:done] = data[:done]
                self.torn.set()
                raise WriteTorn(f"reset after {done} bytes of a write of {len(data)}")
        self._data[: len(data)] = data
        self._length = len(data)
        self.writes += 1

    def tear_at(self, write: int, done: int) -> None:
        """Reset the chip in that write, counted from 1 for the next, after so many bytes."""
        self._tear = write, done
        self.torn.clear()

    def lose(self) -> None:
        """Lose the content with the power."""
        self._data = bytearray(RTC_BYTES)
        self._length = 0

    def decay(self, seed: int) -> None:
        """Change some of the bytes, as a supply voltage that dips may."""
        chance = random.Random(seed)
        for position in chance.sample(range(RTC_BYTES), RTC_BYTES // _DECAYED_SHARE):
            self._data[position] = chance.getrandbits(8)
