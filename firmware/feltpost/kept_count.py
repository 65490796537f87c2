"""A count that survives resets and power cuts.

RTC memory has it within seconds, and keeps it through any reset. Without power, NVS is left, which
is brought up to date every ten minutes while the count moves: after a power cut, up to ten minutes
of it are missing. (Were it to move for ten years, a page of NVS would be erased a thousand times.)
"""

import struct
import time

import esp32
from micropython import const

from .retained import COUNTS

_NAMESPACE = "feltpost"
_KEY = "count"

# In RTC memory, for each count: pin, count.
_ENTRY = "<BxxxI"
_ENTRY_BYTES = const(8)
_ENTRIES = const(8)

_NVS_MS = const(600_000)


class KeptCount:
    """The count of a pin, as it was when the node restarted: ``restored``.

    retained: a retained.Retained, or None for a node that has none. ValueError for a ninth count.
    """

    def __init__(self, retained, pin):
        self._retained = retained
        self._pin = pin
        self._key = _KEY + str(pin)
        self._nvs = esp32.NVS(_NAMESPACE)
        self._in_nvs = self._in_rtc = 0
        try:
            self._in_nvs = self._nvs.get_i32(self._key)
        except OSError:
            # The pin's first count.
            pass
        data = (retained.get(COUNTS) if retained else None) or b""
        self._place = len(data)
        for at in range(0, len(data), _ENTRY_BYTES):
            number, count = struct.unpack_from(_ENTRY, data, at)
            if number == pin:
                self._in_rtc = count
                self._place = at
        if self._place >= _ENTRIES * _ENTRY_BYTES:
            raise ValueError("a node can keep {} counts".format(_ENTRIES))
        self.restored = max(self._in_nvs, self._in_rtc)
        # A reset may have come just before NVS was due.
        self._nvs_ms = time.ticks_add(time.ticks_ms(), -_NVS_MS)
        self._put(self.restored)

    def keep(self, count):
        """Keep the count; OSError when NVS does not take it."""
        if count != self._in_rtc:
            self._put(count)
        now_ms = time.ticks_ms()
        if time.ticks_diff(now_ms, self._nvs_ms) >= _NVS_MS:
            self._nvs_ms = now_ms
            if count != self._in_nvs:
                self._nvs.set_i32(self._key, count)
                self._nvs.commit()
                self._in_nvs = count

    def _put(self, count):
        self._in_rtc = count
        if self._retained:
            data = self._retained.get(COUNTS) or b""
            entry = struct.pack(_ENTRY, self._pin, count)
            after = data[self._place + _ENTRY_BYTES :]
            self._retained.put(COUNTS, data[: self._place] + entry + after)
