"""What RTC memory keeps through deep sleep and resets: small sections at fixed places, and a tail.

A section is kept in two copies, written in turn, each with a generation and a CRC-32, so a reset
in the middle of a write leaves the old content or the new. CHANNELS has one copy: such a reset
loses it. The tail is for the journal, whose records carry a CRC each.

MicroPython's ``RTC.memory(data)`` copies from the first byte on, and ``memory()`` gives back no
more than the last call has put in. So the whole content stays in RAM too, and every write copies
all of it, 2,048 bytes at most; what has not changed is overwritten with itself, which no reset can
hurt. A node that keeps only the first sections pays for no more than these.
"""

import struct
from binascii import crc32

from micropython import const

# Sections, in the order of their places.
HEALTH = const(0)
BOOT = const(1)
COUNTS = const(2)
CLOCK = const(3)
WAKE = const(4)
SEQUENCE = const(5)
JOURNAL = const(6)
CHANNELS = const(7)

# The most that each may hold, in units of 4 bytes.
_ROOMS = b"\x04\x04\x10\x10\x0a\x02\x19\x74"
_BYTES = const(2048)

# CRC, generation, length
_HEAD = "<IHH"
_HEAD_BYTES = const(8)
_CRC_BYTES = const(4)
# What CRCs start from; another one for another layout, so that a new firmware finds all lost.
_LAYOUT = const(0x5201)


class Retained:
    """RTC memory, as sections.

    memory: machine.RTC().memory. kept: False where the power was lost or dipped (PWRON_RESET):
    what RTC memory gives then may be anything.
    """

    def __init__(self, memory, kept=True):
        self._memory = memory
        self._data = bytearray(memory() if kept else 0)

    def get(self, section):
        """Return what was last put into the section, None if it is lost or there never was any."""
        at = self._newest(section)
        if at < 0:
            return None
        start = at + _HEAD_BYTES
        return bytes(memoryview(self._data)[start : start + self._length(at)])

    def put(self, section, data):
        """Keep data in the section; it survives any reset from when this returns."""
        place, room, copies = _place(section)
        if len(data) > room:
            raise ValueError("too long for its section")
        self._grow(place + copies * (_HEAD_BYTES + room))
        at = self._newest(section)
        generation = 0
        if at >= 0:
            generation = struct.unpack_from(_HEAD, self._data, at)[1] + 1 & 0xFFFF
        if at == place and copies == 2:
            place += _HEAD_BYTES + room
        struct.pack_into(_HEAD, self._data, place, 0, generation, len(data))
        start = place + _HEAD_BYTES
        self._data[start : start + len(data)] = data
        struct.pack_into("<I", self._data, place, self._crc(place))
        self.store()

    def tail(self):
        """Return the bytes behind the sections, for reading and writing; store() keeps them."""
        self._grow(_BYTES)
        place, room, _ = _place(CHANNELS)
        return memoryview(self._data)[place + _HEAD_BYTES + room :]

    def store(self):
        """Copy all to RTC memory."""
        self._memory(self._data)

    def _newest(self, section):
        # Return the place of the section's newest good copy, -1 where there is none.
        place, room, copies = _place(section)
        found = -1
        newest = 0
        for _ in range(copies):
            if self._good(place, room):
                generation = struct.unpack_from(_HEAD, self._data, place)[1]
                if found < 0 or generation - newest & 0x8000 == 0:
                    found, newest = place, generation
            place += _HEAD_BYTES + room
        return found

    def _good(self, at, room):
        return (
            at + _HEAD_BYTES + room <= len(self._data)
            and self._length(at) <= room
            and struct.unpack_from("<I", self._data, at)[0] == self._crc(at)
        )

    def _length(self, at):
        return struct.unpack_from(_HEAD, self._data, at)[2]

    def _crc(self, at):
        end = at + _HEAD_BYTES + self._length(at)
        return crc32(memoryview(self._data)[at + _CRC_BYTES : end], _LAYOUT)

    def _grow(self, size):
        missing = size - len(self._data)
        if missing > 0:
            self._data.extend(bytes(missing))


def _place(section):
    # Return where a section is, its room in bytes, and its number of copies.
    place = 0
    for before in range(section):
        place += 2 * (_HEAD_BYTES + 4 * _ROOMS[before])
    return place, 4 * _ROOMS[section], 1 if section == CHANNELS else 2
