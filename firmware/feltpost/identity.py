"""Who this node is: its key, its key id, and the numbers that must never be used twice.

All of it lives in NVS, which a power cut leaves either old or new. Numbers are reserved there in
blocks before the first of a block is used (RFC 8613 appendix B.1.1): a cut skips numbers, and
never repeats one.
"""

import esp32
from micropython import const

_NAMESPACE = "feltpost"
_KEY = "key"
_KEY_ID = "key_id"
_SEQUENCE = "ssn"
_JOURNAL = "journal"
_BOOT = "boot"

_KEY_BYTES = const(16)
_KEY_ID_MOST_BYTES = const(7)
# A block lasts hours at a request a minute, and a boot skips half a block on average: NVS wears by
# less than a page a week, and the number stays within three bytes on the wire for years.
_BLOCK = const(128)
_LAST = const(0x7FFFFFFF)


class NotEnrolled(Exception):
    """The node has no key: it must be enrolled before it can speak to a gateway."""


class Exhausted(Exception):
    """Every number of this key has been used: the node needs a new key."""


class Sequence:
    """The OSCORE sender sequence number."""

    def __init__(self, nvs):
        self._nvs = nvs
        self._next = self._limit = _counter(nvs, _SEQUENCE)

    def next(self):
        """Return a number that this key has never used."""
        if self._next >= self._limit:
            if self._limit > _LAST - _BLOCK:
                raise Exhausted("sender sequence numbers used up; give the node a new key")
            self._nvs.set_i32(_SEQUENCE, self._limit + _BLOCK)
            self._nvs.commit()
            self._limit += _BLOCK
        number = self._next
        self._next += 1
        return number


class Identity:
    """Key, key id, sender sequence and the next journal's number."""

    def __init__(self):
        self._nvs = esp32.NVS(_NAMESPACE)
        self.key = self._blob(_KEY, _KEY_BYTES)
        self.key_id = self._blob(_KEY_ID, _KEY_ID_MOST_BYTES)
        if len(self.key) != _KEY_BYTES or not self.key_id:
            raise NotEnrolled("the key in NVS is damaged; enrol the node again")
        self.sequence = Sequence(self._nvs)

    def new_journal(self):
        """Return a number, 1 or more, that no journal of this node has had."""
        return self._count(_JOURNAL)

    def new_boot(self):
        """Return a number larger than that of any boot before."""
        return self._count(_BOOT)

    def _count(self, name):
        number = _counter(self._nvs, name) + 1
        self._nvs.set_i32(name, number)
        self._nvs.commit()
        return number

    def _blob(self, name, most_bytes):
        buf = bytearray(most_bytes)
        try:
            length = self._nvs.get_blob(name, buf)
        except OSError:
            raise NotEnrolled("no key in NVS; enrol the node")
        return bytes(buf[:length])


def _counter(nvs, name):
    try:
        return nvs.get_i32(name)
    except OSError:
        return 0
