"""The node's links in order of preference: which one to use now, and which ones to leave alone.

A link that fails is put aside, for longer each time, and the next one is used at once. When its
time is over it is tried again, even while a lesser one works. Nothing gets lost in between: what
was not acknowledged is in the journal, and goes over whichever link is next.
"""

import random
import struct
import sys

from micropython import const

_PAUSE_FIRST_MS = const(2_000)
_ASIDE_MOST_MS = const(480_000)
_LEVEL_MOST = const(8)
# A battery pays for each second of listening to a gateway that is away: 21 s at most with this,
# 93 s with RFC 7252's four.
_BATTERY_RETRANSMIT = const(2)

# A link's state is a little-endian 16-bit number: its level and, below, seconds left aside.
_STATE_BYTES = const(2)
_STATE_SECONDS = const(0xFFF)
_STATE_LEVEL_SHIFT = const(12)


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
        entry.aside_until_ms = self._uptime_ms() + backoff_ms(entry.level, _ASIDE_MOST_MS)
        entry.level = min(entry.level + 1, _LEVEL_MOST)
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
            entry.level = min(word >> _STATE_LEVEL_SHIFT, _LEVEL_MOST)
            aside_ms = min((word & _STATE_SECONDS) * 1000, _ASIDE_MOST_MS)
            entry.aside_until_ms = now_ms + aside_ms - elapsed_ms

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


def open_links(entries, context, uptime_ms, memory=None, battery=False):
    """Return Links for the configuration's entries, and the serial link among them or None.

    context: an oscore.Context. memory: keeps up to 16 bytes about the Wi-Fi, see wifi.Network.
    battery: whether to give up early. The serial link's run() has to run whichever link is in use:
    it keeps the way to the prompt.
    """
    from .client import Client

    links = []
    serial = None
    for entry in entries:
        link = _link(entry, memory)
        links.append(link)
        if entry.kind == "serial":
            serial = link
    patience = {"max_retransmit": _BATTERY_RETRANSMIT} if battery else {}
    return Links(Client(links[0], context, **patience), links, uptime_ms), serial


def _link(entry, memory):
    # The module of a link that the node doesn't have would cost heap.
    if entry.kind == "udp":
        import network

        from .link_udp import UdpLink

        wlan = network.WLAN(network.STA_IF)
        return UdpLink(
            wlan, entry.ssid, entry.password, entry.host, entry.port, entry.address, memory
        )
    from .link_serial import SerialLink

    return SerialLink(sys.stdin.buffer, sys.stdout.buffer)
