"""The link over UDP, on Wi-Fi where the board has it."""

import asyncio
import errno
import socket

from micropython import const

from . import link

_JOIN_MS = const(20_000)
_JOIN_LOOK_MS = const(100)

# The longest answer that a gateway gives is a diagnostic text. A longer one would be cut off, and
# then fails its authentication. A whole MTU in one piece is what a heap may not have after weeks.
_ANSWER_BYTES = const(512)

# What loses this datagram and says nothing about the next: no buffer free just now, or nobody
# listened at the gateway a moment ago (which is how ICMP tells that its service restarts).
_LOST = (errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS, errno.ECONNREFUSED)


class UdpLink:
    """Datagrams to ``host``:``port``. wlan: a network.WLAN station, or None to use what is up.

    Joins the network ``ssid`` where it hasn't yet, and joins it anew when a whole connection went
    by without a datagram from the gateway: the radio may think that it is connected and not be.
    """

    name = "udp"
    mtu = link.MTU

    def __init__(self, wlan, ssid, password, host, port):
        self._wlan = wlan
        self._ssid = ssid
        self._password = password
        self._host = host
        self._port = port
        self._sock = None
        self._buf = memoryview(bytearray(_ANSWER_BYTES))
        # Whether the gateway has been heard since connect().
        self._heard = True

    async def connect(self):
        """Join the network and look the gateway up; OSError if either fails, in 20 s at most.

        Looking a name up blocks the other tasks on the ESP32; an address does not.
        """
        self.close()
        if self._wlan:
            await self._join(self._wlan)
        self._heard = False
        family, _, _, _, address = socket.getaddrinfo(self._host, self._port)[0]
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        # From here on the network stack drops what comes from anywhere else.
        self._sock.connect(address)

    def send(self, data):
        """Send one datagram."""
        try:
            self._socket().send(data)
        except OSError as error:
            if error.errno not in _LOST:
                raise

    async def receive(self, timeout_ms):
        """Return the next datagram, or None after timeout_ms."""
        # Other tasks get their turn even while datagrams pour in.
        await asyncio.sleep_ms(0)
        data = self._receive()
        if data is None and timeout_ms > 0:
            try:
                await asyncio.wait_for_ms(link.readable(self._socket()), timeout_ms)
            except asyncio.TimeoutError:
                return None
            data = self._receive()
        return data

    def close(self):
        """Give the socket back; the board stays on Wi-Fi."""
        if self._sock:
            self._sock.close()
            self._sock = None

    async def _join(self, wlan):
        wlan.active(True)
        if wlan.isconnected():
            if self._heard:
                return
            wlan.disconnect()
        wlan.connect(self._ssid, self._password)
        for _ in range(_JOIN_MS // _JOIN_LOOK_MS):
            if wlan.isconnected():
                return
            await asyncio.sleep_ms(_JOIN_LOOK_MS)
        # Left trying, the radio would refuse the next connect().
        wlan.disconnect()
        raise OSError("Wi-Fi {} can't be joined".format(self._ssid))

    def _receive(self):
        # readinto() would take no memory, but it reads on until its buffer is full or nothing is
        # left, and so joins two datagrams that wait into one.
        try:
            data = self._socket().recv(_ANSWER_BYTES)
        except OSError as error:
            if error.errno not in _LOST:
                raise
            return None
        self._heard = True
        length = len(data)
        self._buf[:length] = data
        return self._buf[:length]

    def _socket(self):
        if self._sock is None:
            raise OSError(errno.ENOTCONN)
        return self._sock
