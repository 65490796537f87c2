"""The link over UDP, on Wi-Fi where the board has it."""

import asyncio
import errno
import socket

from micropython import const

from . import link

# After how many connections without a word from the gateway the network is joined anew.
_SILENT_EARLY = (1, 2, 4, 8)
_SILENT_LATER = const(16)

# What loses this datagram and says nothing about the next: no buffer free just now, or nobody
# listened at the gateway a moment ago (which is how ICMP tells that its service restarts).
_LOST = (errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS, errno.ECONNREFUSED)


class UdpLink:
    """Datagrams to ``host``:``port``. wlan: a network.WLAN station, or None to use what is up.

    ssid, password, address and memory are those of wifi.Network. The link joins the network where
    the station isn't on it. After connections in which nothing came from the gateway it joins anew
    now and then: the radio may think that it is connected and not be. But the gateway may as well
    be away for days, so not each time.
    """

    mtu = link.MTU

    def __init__(self, wlan, ssid, password, host, port, address=None, memory=None):
        self.name = "udp"
        self._network = None
        if wlan:
            from .wifi import Network

            self.name = "udp " + ssid
            self._network = Network(wlan, ssid, password, address, memory)
        self._host = host
        self._port = port
        self._sock = None
        # Connections in a row in which the gateway was not heard, this one included.
        self._silent = 0

    async def connect(self):
        """Join the network and look the gateway up; OSError if either fails, in 20 s at most.

        Looking a name up blocks the other tasks on the ESP32; an address does not.
        """
        self.close()
        if self._network:
            await self._network.join(self._is_suspect())
        self._silent += 1
        try:
            family, _, _, _, address = socket.getaddrinfo(self._host, self._port)[0]
        except OSError as error:
            raise OSError("{} can't be looked up ({})".format(self._host, error))
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

    def sleep(self):
        """Put the radio off."""
        self.close()
        if self._network:
            self._network.sleep()

    def rssi(self):
        """Return the strength of the signal in dBm, None where there is none."""
        return self._network.rssi() if self._network else None

    def _is_suspect(self):
        silent = self._silent
        return silent in _SILENT_EARLY or bool(silent) and silent % _SILENT_LATER == 0

    def _receive(self):
        # readinto() would take no memory, but it reads on until its buffer is full or nothing is
        # left, and so joins two datagrams that wait into one.
        try:
            data = self._socket().recv(link.ANSWER_BYTES)
        except OSError as error:
            if error.errno not in _LOST:
                raise
            return None
        self._silent = 0
        # Most answers are short: a copy to write into costs less than room for the longest.
        return memoryview(bytearray(data))

    def _socket(self):
        if self._sock is None:
            raise OSError(errno.ENOTCONN)
        return self._sock
