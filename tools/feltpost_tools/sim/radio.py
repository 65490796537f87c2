"""A simulated board's Wi-Fi station: which networks are in reach, and how joining one goes.

It behaves as MicroPython's ESP32 port does (ports/esp32/network_wlan.c of 1.25): the search goes
through the channels and ends at the first access point of that name, status() keeps the last
failure, and after a failure or a loss the port tries again by itself as often as it was told.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_CHANNELS = 13
# ESP-IDF's default for the active search (esp_wifi_set_scan_parameters). The others are such that
# joining on channel 6 with DHCP takes 1.6 s.
_CHANNEL_US = 120_000
_ASSOCIATE_US = 200_000
_ADDRESS_US = 700_000
_HANDSHAKE_US = 2_500_000

# What network.WLAN.status() gives.
_IDLE, _CONNECTING, _GOT_IP = 1000, 1001, 1010
_HANDSHAKE_FAILED, _BEACON_LOST, _NO_AP = 15, 200, 201

_UNLIMITED = 255
_REQUEST = struct.Struct("<BBBB")
_STATE = struct.Struct("<HBBb")
_FOR_EVER_US = 1 << 62


@dataclass
class AccessPoint:
    """A network. A test changes it while boards run.

    up: whether it transmits; addresses: whether its DHCP answers; carries: whether datagrams pass,
    where not, stations believe that they are connected.
    """

    ssid: str
    password: str = ""
    channel: int = 6
    rssi_dbm: int = -60
    up: bool = True
    addresses: bool = True
    carries: bool = True


@dataclass(frozen=True)
class _Request:
    ssid: str
    password: str
    channel: int
    static: bool
    reconnects: int


class Radio:
    """The station. ``reach`` is the networks around it, in no order.

    joins counts what the firmware began; joined_us is how long the last one took. With
    takes_channel, connect() takes the channel to begin with, which no release of MicroPython does.
    """

    def __init__(self, reach: Sequence[AccessPoint], now_us: Callable[[], int]):
        self.reach = list(reach)
        self.takes_channel = False
        self.joins = 0
        self.joined_us = 0
        self._now_us = now_us
        self._begun_us = 0
        self.reset()

    def reset(self) -> None:
        """Start anew, as the chip does with every boot."""
        self._request: _Request | None = None
        self._point: AccessPoint | None = None
        self._channel = 0
        self._tried_us = self._address_us = 0
        self._reconnects_left = 0
        self._reason = 0

    @property
    def point(self) -> AccessPoint | None:
        """The network it is on, with an address; None where it is on none."""
        self._advance()
        return self._point if self._now_us() >= self._address_us else None

    # What the firmware asks for

    def join(self, payload: bytes) -> bool:
        """Begin to join. False: connect() takes no channel here."""
        channel, static, reconnects, ssid_end = _REQUEST.unpack_from(payload)
        if channel and not self.takes_channel:
            return False
        text = payload[_REQUEST.size :].decode()
        self.leave()
        self._request = _Request(
            text[:ssid_end], text[ssid_end:], channel, bool(static), reconnects
        )
        self._reconnects_left = reconnects
        self._tried_us = self._begun_us = self._now_us()
        self.joins += 1
        return True

    def leave(self) -> None:
        """Leave the network and give up trying."""
        self._advance()
        if self._point:
            self._reason = 0
        self._point = self._request = None

    def state(self) -> bytes:
        """Return status, whether associated, channel and signal strength, as the shim reads it."""
        self._advance()
        status = self._status()
        rssi_dbm = self._point.rssi_dbm if self._point else 0
        return _STATE.pack(status, self._point is not None, self._channel, rssi_dbm)

    # How it goes

    def _status(self) -> int:
        if self._point and self._now_us() >= self._address_us:
            return _GOT_IP
        if self._reason == _NO_AP:
            return _NO_AP
        if self._request and self._reconnects_left >= 0:
            return _CONNECTING
        return self._reason or _IDLE

    def _advance(self) -> None:
        # Let happen what has happened by now.
        now_us = self._now_us()
        point = self._point
        if point and not (point.up and point in self.reach and point.channel == self._channel):
            self._point = None
            self._fail(_BEACON_LOST, now_us)
        elif point and self._reason and now_us >= self._address_us:
            self._reason = 0
        while self._request and not self._point and self._reconnects_left >= 0:
            end_us = self._try(self._request)
            if end_us > now_us:
                return
            self._conclude(self._request, end_us)

    def _try(self, request: _Request) -> int:
        # When the try that is under way ends: in an association or a failure.
        found = self._find(request)
        searched_us = self._tried_us + self._searched(request, found) * _CHANNEL_US
        if found is None:
            return searched_us
        if found.password != request.password:
            return searched_us + _HANDSHAKE_US
        return searched_us + _ASSOCIATE_US

    def _conclude(self, request: _Request, end_us: int) -> None:
        found = self._find(request)
        if found is None:
            self._fail(_NO_AP, end_us)
        elif found.password != request.password:
            self._fail(_HANDSHAKE_FAILED, end_us)
        else:
            self._point = found
            self._channel = found.channel
            self._address_us = end_us
            if not request.static:
                self._address_us += _ADDRESS_US if found.addresses else _FOR_EVER_US
            self.joined_us = self._address_us - self._begun_us

    def _fail(self, reason: int, end_us: int) -> None:
        self._reason = reason
        self._tried_us = end_us
        if self._reconnects_left != _UNLIMITED:
            self._reconnects_left -= 1

    def _order(self, request: _Request) -> list[int]:
        channels = list(range(1, _CHANNELS + 1))
        if request.channel:
            channels.remove(request.channel)
            channels.insert(0, request.channel)
        return channels

    def _find(self, request: _Request) -> AccessPoint | None:
        order = self._order(request)
        points = [p for p in self.reach if p.up and p.ssid == request.ssid]
        return min(points, key=lambda p: order.index(p.channel), default=None)

    def _searched(self, request: _Request, found: AccessPoint | None) -> int:
        # How many channels the search went through.
        return self._order(request).index(found.channel) + 1 if found else _CHANNELS
