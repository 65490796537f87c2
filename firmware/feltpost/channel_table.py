"""Every channel that this node has ever had, by a number that never changes.

A reading in the journal says by number which channel it is of, and may be sent after the
configuration has changed: the number must mean then what it meant when the reading was taken. The
table is in NVS and only grows.
"""

import esp32
from micropython import const

_NAMESPACE = "feltpost"
_KEY = "channels"
# NVS takes about 4,000 bytes in one piece: some 200 channels.
_MOST_BYTES = const(3900)
# A journal's record has a byte for it.
_LAST_NUMBER = const(255)


class ChannelTable:
    """``entries`` has (name, unit or None) by number."""

    def __init__(self):
        self._nvs = esp32.NVS(_NAMESPACE)
        self.entries = []
        buf = bytearray(_MOST_BYTES)
        try:
            length = self._nvs.get_blob(_KEY, buf)
        except OSError:
            return
        for line in bytes(buf[:length]).decode().split("\n"):
            name, unit = line.split("\t")
            self.entries.append((name, unit or None))

    def number(self, name, unit):
        """Return the number of a channel, which is entered if it is new.

        ValueError where the table has no room for it.
        """
        entry = (name, unit)
        if entry not in self.entries:
            text = "\n".join([n + "\t" + (u or "") for n, u in self.entries + [entry]]).encode()
            if len(text) > _MOST_BYTES or len(self.entries) > _LAST_NUMBER:
                raise ValueError("the node has had too many different channels")
            self._nvs.set_blob(_KEY, text)
            self._nvs.commit()
            self.entries.append(entry)
        return self.entries.index(entry)
