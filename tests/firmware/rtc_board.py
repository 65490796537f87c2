"""RTC memory, NVS and flash of a board whose chip can be reset, and whose power can be cut."""

import sys

from nor_flash import Nor

_RTC_BYTES = 2048
# So few records, and so few numbers reserved at a time, that a short scenario uses them up.
SLOTS = 12
NUMBERS = 8
_SLOT_BYTES = 16


class Rtc:
    """RTC memory as the ESP32 port gives it; watch is called with the data before each write."""

    def __init__(self):
        self.data = bytearray(_RTC_BYTES)
        self.length = 0
        self.writes = 0
        self.watch = None

    def memory(self, data=None):
        if data is None:
            return bytes(self.data[: self.length])
        self.writes += 1
        if self.watch:
            self.watch(data)
        self.data[: len(data)] = data
        self.length = len(data)
        return None

    def torn(self, data, done):
        """Return what a reset leaves that comes when so much of data is written."""
        rtc = Rtc()
        rtc.data[:] = self.data
        rtc.data[:done] = data[:done]
        rtc.length = len(data) if done == len(data) else self.length
        return rtc


class Nvs:
    """NVS: what is not committed is gone with the board that set it. The tests' boards share it."""

    stored = {}
    # Called before each commit.
    watch = None

    def __init__(self, namespace):
        self._values = dict(Nvs.stored)

    def get_i32(self, key):
        if key not in self._values:
            raise OSError(-0x1102)
        return self._values[key]

    def set_i32(self, key, value):
        self._values[key] = value

    def get_blob(self, key, buf):
        value = self.get_i32(key)
        buf[: len(value)] = value
        return len(value)

    def commit(self):
        if Nvs.watch:
            Nvs.watch(self._values)
        Nvs.stored = dict(self._values)


class Esp32:
    NVS = Nvs


sys.modules["esp32"] = Esp32

from feltpost.identity import Identity  # noqa: E402
from feltpost.journal_rtc import RtcJournal  # noqa: E402
from feltpost.retained import Retained  # noqa: E402


class SmallRetained(Retained):
    def tail(self):
        return super().tail()[: SLOTS * _SLOT_BYTES]


class SmallIdentity(Identity):
    def readings(self, journal):
        reserve = super().readings(journal)
        reserve.block = NUMBERS
        return reserve


class Board:
    """The three memories. chip: a Nor, or None for a board without a journal partition."""

    def __init__(self, chip, rtc=None, stored=None):
        self.chip = chip
        self.rtc = rtc or Rtc()
        self.stored = stored or {"key": bytes(16), "key_id": b"\x01"}

    def journal(self, boot):
        """Start the board and open its journal."""
        Nvs.stored = self.stored
        retained = SmallRetained(self.rtc.memory)
        journal = RtcJournal(retained, SmallIdentity(retained), boot, self.chip)
        self.stored = Nvs.stored
        return journal

    def copy(self, chip=None, rtc=None, stored=None):
        """Return another board with the same content, but for what is given."""
        if self.chip and not chip:
            chip = Nor(self.chip.blocks, self.chip.block_bytes, self.chip.image)
        rtc = rtc or self.rtc.torn(self.rtc.memory(), self.rtc.length)
        return Board(chip, rtc, dict(stored or Nvs.stored))
