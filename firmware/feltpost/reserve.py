"""Numbers that must never be used twice, and what else is remembered in NVS while the node runs.

A power cut leaves NVS either old or new. Numbers are reserved there in blocks before the first of a
block is used (RFC 8613 appendix B.1.1): a cut skips numbers, and never repeats one.

A node that sleeps deeply keeps the next OSCORE number in RTC memory, so that waking skips none.
"""

import struct

from micropython import const

from .retained import SEQUENCE

_SEQUENCE = "ssn"
_HINT = "wifi"
_HINT_BYTES = const(16)

# A block lasts hours at a request a minute, and a boot skips half a block on average: NVS wears by
# less than a page a week, and the number stays within three bytes on the wire for years.
_BLOCK = const(128)
_LAST = const(0x7FFFFFFF)


class Exhausted(Exception):
    """Every number of this key has been used: the node needs a new key."""


class Reserve:
    """Numbers that may have been used: those below ``limit``, which NVS holds.

    Of the last ``block`` of them some may not have been: who remembers the next may go on there.
    """

    def __init__(self, nvs, name, block):
        self._nvs = nvs
        self._name = name
        self.block = block
        self.limit = counter(nvs, name)

    def cover(self, number):
        """See to it that the number is below the limit, before it is used."""
        if number >= self.limit:
            if number > _LAST - self.block:
                raise Exhausted("numbers used up ({}); enrol the node anew".format(self._name))
            self.start(number + self.block)

    def start(self, limit):
        """Set the limit, for numbers that begin there."""
        self._nvs.set_i32(self._name, limit)
        self._nvs.commit()
        self.limit = limit

    def last_known(self, number):
        """Tell whether that can be the next number of somebody who remembers it."""
        return self.limit - self.block <= number <= self.limit


class Sequence:
    """The OSCORE sender sequence number, kept in RTC memory where retained is given."""

    def __init__(self, nvs, retained):
        self._reserve = Reserve(nvs, _SEQUENCE, _BLOCK)
        self._retained = retained
        self._next = self._reserve.limit
        data = retained.get(SEQUENCE) if retained else None
        if data:
            number = struct.unpack("<I", data)[0]
            # The first of a block may have been used by a boot that did not note it here.
            if self._reserve.last_known(number) and self._reserve.last_known(number - 1):
                self._next = number

    def next(self):
        """Return a number that this key has never used."""
        number = self._next
        self._reserve.cover(number)
        self._next = number + 1
        if self._retained:
            self._retained.put(SEQUENCE, struct.pack("<I", number + 1))
        return number


class Hint:
    """Up to 16 bytes that shorten joining the Wi-Fi."""

    def __init__(self, nvs):
        self._nvs = nvs

    def get(self):
        """Return them, none at first."""
        return blob(self._nvs, _HINT, _HINT_BYTES)

    def put(self, data):
        """Keep other ones."""
        self._nvs.set_blob(_HINT, data)
        self._nvs.commit()


def blob(nvs, name, most_bytes):
    """Return the bytes of that name, none where there are none."""
    buf = bytearray(most_bytes)
    try:
        return bytes(buf[: nvs.get_blob(name, buf)])
    except OSError:
        return b""


def counter(nvs, name):
    """Return the number of that name, 0 where there is none."""
    try:
        return nvs.get_i32(name)
    except OSError:
        return 0
