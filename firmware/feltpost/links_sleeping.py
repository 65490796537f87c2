"""The links of a node that sleeps deeply: what is held against them is remembered."""

import struct

from micropython import const

from .links import ASIDE_MOST_MS, LEVEL_MOST, Links

# A link's state is a little-endian 16-bit number: its level and, below, seconds left aside.
_STATE_BYTES = const(2)
_STATE_SECONDS = const(0xFFF)
_STATE_LEVEL_SHIFT = const(12)


class SleepingLinks(Links):
    """Links that are put to sleep with the node; state() and restore() go around that."""

    def sleep(self):
        """Close every link, and put the radio off."""
        self.close()
        for entry in self._entries:
            if hasattr(entry.link, "sleep"):
                entry.link.sleep()

    def state(self):
        """Return what is to be remembered through deep sleep: two bytes a link."""
        now_ms = self._uptime_ms()
        data = bytearray(_STATE_BYTES * len(self._entries))
        for i, entry in enumerate(self._entries):
            left_s = max(0, entry.aside_until_ms - now_ms + 999) // 1000
            word = entry.level << _STATE_LEVEL_SHIFT | min(left_s, _STATE_SECONDS)
            struct.pack_into("<H", data, _STATE_BYTES * i, word)
        return bytes(data)

    def restore(self, state, elapsed_ms):
        """Take over what state() gave so long ago. Without effect if it is of other links."""
        if len(state) != _STATE_BYTES * len(self._entries):
            return
        now_ms = self._uptime_ms()
        for i, entry in enumerate(self._entries):
            (word,) = struct.unpack_from("<H", state, _STATE_BYTES * i)
            entry.level = min(word >> _STATE_LEVEL_SHIFT, LEVEL_MOST)
            aside_ms = min((word & _STATE_SECONDS) * 1000, ASIDE_MOST_MS)
            entry.aside_until_ms = now_ms + aside_ms - elapsed_ms
