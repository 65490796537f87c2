"""The node's links in order of preference: which one to use now, and which ones to leave alone.

A link that fails is put aside, for longer each time, and the next one is used at once. When its
time is over it is tried again, even while a lesser one works. Nothing gets lost in between: what
was not acknowledged is in the journal, and goes over whichever link is next.
"""

import random

from micropython import const

_PAUSE_FIRST_MS = const(2_000)
ASIDE_MOST_MS = const(480_000)
LEVEL_MOST = const(8)


def backoff_ms(failures, most_ms):
    """Return how long to wait after a failure that came after so many others: 2 s, doubled each
    time up to most_ms, less up to half of it by chance, so that nodes don't all come back at once.
    """
    half_ms = min(_PAUSE_FIRST_MS << min(failures, 10), most_ms) // 2
    return half_ms + random.randint(0, half_ms)


class _Entry:
    # A link and what is held against it. Success halves the level rather than clear it, so that
    # a link which works now and then is not asked again every two seconds.
    def __init__(self, link):
        self.link = link
        self.level = 0
        self.aside_until_ms = 0
        self.failed = False


class Links:
    """What the client speaks over: one of ``links`` (see link.py) at a time, preferred ones first.

    uptime_ms: a function that returns milliseconds since boot. open() gives the client, connected;
    after the exchange either worked() or failed() tells what became of it.
    """

    def __init__(self, client, links, uptime_ms):
        self.client = client
        self._entries = [_Entry(link) for link in links]
        self._uptime_ms = uptime_ms
        self._current = self._entries[0]
        self._connected = False

    async def open(self):
        """Return the client, connected over the link to use now.

        OSError if that link can't be connected, upon which failed() is to be called.
        """
        # When all are aside, the one that is closest to its return gets a chance.
        entry = self._next() or min(self._entries, key=lambda entry: entry.aside_until_ms)
        if entry is not self._current:
            self._leave()
            self._current = entry
        if not self._connected:
            self.client.link = entry.link
            await entry.link.connect()
            self._connected = True
        return self.client

    def worked(self):
        """Note that the gateway, and nobody else, answered over the link that open() chose."""
        self._current.level >>= 1
        self._current.aside_until_ms = 0
        self._begin_round()

    def failed(self):
        """Put the link that open() chose aside; tell whether another is to be tried at once.

        Each link is tried once, then it is time for a pause.
        """
        entry = self._current
        entry.aside_until_ms = self._uptime_ms() + backoff_ms(entry.level, ASIDE_MOST_MS)
        entry.level = min(entry.level + 1, LEVEL_MOST)
        entry.failed = True
        self._leave()
        if self._next():
            return True
        self._begin_round()
        return False

    def close(self):
        """Close every link; open() makes them usable again."""
        self._connected = False
        for entry in self._entries:
            entry.link.close()

    def rssi(self):
        """Return the strength of the Wi-Fi signal in dBm, None where there is none."""
        for entry in self._entries:
            if hasattr(entry.link, "rssi"):
                return entry.link.rssi()
        return None

    def _next(self):
        # The most preferred link that neither is aside nor has failed in this round; None if all.
        now_ms = self._uptime_ms()
        for entry in self._entries:
            if not entry.failed and entry.aside_until_ms <= now_ms:
                return entry
        return None

    def _begin_round(self):
        for entry in self._entries:
            entry.failed = False

    def _leave(self):
        self._current.link.close()
        self._connected = False
