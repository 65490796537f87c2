"""Who this node is: its key, its key id, and the numbers that must never be used twice.

All of it lives in NVS, which a power cut leaves either old or new. Numbers are reserved there in
blocks before the first of a block is used (RFC 8613 appendix B.1.1): a cut skips numbers, and
never repeats one.

A node that sleeps deeply keeps the next OSCORE number in RTC memory, so that waking skips none.
"""

import struct

import esp32
from micropython import const

from .retained import BOOT, SEQUENCE

_NAMESPACE = "feltpost"
_KEY = "key"
_KEY_ID = "key_id"
_SEQUENCE = "ssn"
_JOURNAL = "journal"
_BOOT = "boot"
_READING = "reading"
_READING_JOURNAL = "reading_of"
_HINT = "wifi"

_KEY_BYTES = const(16)
_KEY_ID_MOST_BYTES = const(7)
_HINT_BYTES = const(16)
# A block lasts hours at a request a minute, and a boot skips half a block on average: NVS wears by
# less than a page a week, and the number stays within three bytes on the wire for years.
_BLOCK = const(128)
_LAST = const(0x7FFFFFFF)
# So many readings at most are in doubt when RTC memory is lost, besides those that were in it.
_READING_BLOCK = const(64)

_BOOT_FORMAT = "<I"


class NotEnrolled(Exception):
    """The node has no key: it must be enrolled before it can speak to a gateway."""


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
        self.limit = _counter(nvs, name)

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
        return _blob(self._nvs, _HINT, _HINT_BYTES)

    def put(self, data):
        """Keep other ones."""
        self._nvs.set_blob(_HINT, data)
        self._nvs.commit()


class Identity:
    """Key, key id, and the numbers of this node.

    retained: a Retained for a node that sleeps deeply, None for one that only restarts.
    """

    def __init__(self, retained=None):
        self._nvs = esp32.NVS(_NAMESPACE)
        self.key = _blob(self._nvs, _KEY, _KEY_BYTES)
        self.key_id = _blob(self._nvs, _KEY_ID, _KEY_ID_MOST_BYTES)
        if not self.key:
            raise NotEnrolled("no key in NVS; enrol the node")
        if len(self.key) != _KEY_BYTES or not self.key_id:
            raise NotEnrolled("the key in NVS is damaged; enrol the node again")
        self.sequence = Sequence(self._nvs, retained)
        self.hint = Hint(self._nvs)

    def new_journal(self):
        """Return a number, 1 or more, that no journal of this node has had."""
        return self._count(_JOURNAL)

    def new_boot(self):
        """Return a number larger than that of any boot before."""
        return self._count(_BOOT)

    def boot(self, retained, resumed):
        """Return this boot's number; resumed: whether it goes on after a deep sleep."""
        data = retained.get(BOOT) if resumed else None
        if data:
            return struct.unpack(_BOOT_FORMAT, data)[0]
        boot = self.new_boot()
        retained.put(BOOT, struct.pack(_BOOT_FORMAT, boot))
        return boot

    def readings(self, journal):
        """Return the Reserve of that journal's readings, for one that is not on flash at once."""
        reserve = Reserve(self._nvs, _READING, _READING_BLOCK)
        if _counter(self._nvs, _READING_JOURNAL) != journal:
            reserve.start(0)
            self._nvs.set_i32(_READING_JOURNAL, journal)
            self._nvs.commit()
        return reserve

    def last_journal(self):
        """Return the journal for which readings() was called last, 0 for none."""
        return _counter(self._nvs, _READING_JOURNAL)

    def _count(self, name):
        number = _counter(self._nvs, name) + 1
        self._nvs.set_i32(name, number)
        self._nvs.commit()
        return number


def _blob(nvs, name, most_bytes):
    buf = bytearray(most_bytes)
    try:
        return bytes(buf[: nvs.get_blob(name, buf)])
    except OSError:
        return b""


def _counter(nvs, name):
    try:
        return nvs.get_i32(name)
    except OSError:
        return 0
