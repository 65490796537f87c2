"""Who this node is: its key, its key id, and what it counts, all of it in NVS.

Of use while the node starts, and not in memory after that: what it gives out is in reserve.py.
"""

import struct

import esp32
from micropython import const

from .reserve import Hint, Reserve, Sequence, blob, counter
from .retained import BOOT

_NAMESPACE = "feltpost"
_KEY = "key"
_KEY_ID = "key_id"
_NEW_KEY = "new_key"
_KEY_TURN = "key_turn"
_JOURNAL = "journal"
_BOOT = "boot"
_READING = "reading"
_READING_JOURNAL = "reading_of"

_KEY_BYTES = const(16)
_KEY_ID_MOST_BYTES = const(7)
# So many readings at most are in doubt when RTC memory is lost, besides those that were in it.
_READING_BLOCK = const(64)

_BOOT_FORMAT = "<I"


class NotEnrolled(Exception):
    """The node has no key: it must be enrolled before it can speak to a gateway."""


class Identity:
    """Key, key id, and the numbers of this node.

    ``new_key`` is a key that is to take the place of the one in NVS once it is known to work, and
    behind its 16 bytes its key id; empty where there is none. See key_trial.py.

    retained: a Retained for a node that sleeps deeply, None for one that only restarts.
    """

    def __init__(self, retained=None):
        self._nvs = esp32.NVS(_NAMESPACE)
        self.key = blob(self._nvs, _KEY, _KEY_BYTES)
        self.key_id = blob(self._nvs, _KEY_ID, _KEY_ID_MOST_BYTES)
        if not self.key:
            raise NotEnrolled("no key in NVS; enrol the node")
        if len(self.key) != _KEY_BYTES or not self.key_id:
            raise NotEnrolled("the key in NVS is damaged; enrol the node again")
        new_key = blob(self._nvs, _NEW_KEY, _KEY_BYTES + _KEY_ID_MOST_BYTES)
        self.new_key = new_key if len(new_key) > _KEY_BYTES else b""
        if self.new_key and not counter(self._nvs, _KEY_TURN):
            self.key = new_key[:_KEY_BYTES]
            self.key_id = new_key[_KEY_BYTES:]
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
        if counter(self._nvs, _READING_JOURNAL) != journal:
            reserve.start(0)
            self._nvs.set_i32(_READING_JOURNAL, journal)
            self._nvs.commit()
        return reserve

    def last_journal(self):
        """Return the journal for which readings() was called last, 0 for none."""
        return counter(self._nvs, _READING_JOURNAL)

    def _count(self, name):
        number = counter(self._nvs, name) + 1
        self._nvs.set_i32(name, number)
        self._nvs.commit()
        return number
