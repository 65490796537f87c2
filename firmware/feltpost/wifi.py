"""Joining a Wi-Fi network with the ESP32's one radio, and what to tell people when it fails.

Written against ports/esp32/network_wlan.c of MicroPython 1.25. Three things there shape it: while
the radio tries by itself, connect() raises; status() keeps an old failure after a new connect()
has begun; and retries by itself never end unless they are bounded.
"""

import asyncio
import struct

from micropython import const

_JOIN_MS = const(20_000)
_LOOK_MS = const(20)
# A join that takes longer than most is looked at less often.
_MOST_JOIN_MS = const(2_000)
_LOOK_LATER_MS = const(200)
# By then the radio has told of the end of the connection that it was asked to leave.
_LEAVE_MS = const(100)
# Twice through all channels. A failure that status() still shows by then is none of before.
_SEARCH_MS = const(5_000)
_RECONNECTS = const(1)

# network.STAT_IDLE; what lies below are 802.11's and Espressif's reasons for a disconnection
# (esp_wifi_types.h, wifi_err_reason_t).
_IDLE = const(1000)
_HANDSHAKE_4WAY_TIMEOUT = const(15)
_NO_AP = const(201)
_AUTH_FAIL = const(202)
_HANDSHAKE_TIMEOUT = const(204)
_NO_AP_SECURITY = const(210)
_NO_AP_AUTHMODE = const(211)
_NO_AP_RSSI = const(212)

# A hint: check sum of the name, channel.
_HINT = "<HB"
_HINT_BYTES = const(3)


class Network:
    """The network ``ssid``, for the station ``wlan`` (network.WLAN), which several may share.

    address: (IP with prefix length, gateway, DNS server) as texts, or None for DHCP. memory: has
    get(), which returns bytes, empty ones at first, and put(data) for up to 16 bytes; it keeps the
    channel of the last good join, of this network or another. None: nothing is kept.
    """

    def __init__(self, wlan, ssid, password, address=None, memory=None):
        self._wlan = wlan
        self._ssid = ssid
        self._password = password
        self._address = address
        self._memory = memory

    async def join(self, anew=False):
        """Be on the network: at once where the station is, unless anew. Takes 20 s at most.

        OSError, whose text tells people the reason, when it fails.
        """
        wlan = self._wlan
        try:
            wlan.active(True)
            if not anew and wlan.isconnected() and wlan.config("ssid") == self._ssid:
                return
            if wlan.status() != _IDLE:
                wlan.disconnect()
                await asyncio.sleep_ms(_LEAVE_MS)
            self._set_address()
            wlan.config(reconnects=_RECONNECTS)
            self._connect()
            joined = await self._wait()
        except RuntimeError as error:
            # What the port raises for ESP-IDF's errors that it has no name for, out of memory
            # among them.
            raise OSError("Wi-Fi {}: {}".format(self._ssid, error))
        if not joined:
            reason = _reason(wlan)
            wlan.disconnect()
            self._remember(0)
            raise OSError("Wi-Fi {}: {}".format(self._ssid, reason))
        self._remember(wlan.config("channel"))

    def rssi(self):
        """Return the strength of the access point's signal in dBm, None where there is none."""
        return rssi(self._wlan)

    def sleep(self):
        """Put the radio off."""
        self._wlan.active(False)

    def _set_address(self):
        # On a radio that may have been on a network with another kind of address.
        if not self._address:
            self._wlan.ipconfig(dhcp4=True)
            return
        import network

        ip, gateway, dns = self._address
        self._wlan.ipconfig(addr4=ip, gw4=gateway)
        network.ipconfig(dns=dns)

    def _connect(self):
        channel = self._remembered()
        if channel:
            try:
                # The search begins with this channel and, if need be, goes on with the others.
                self._wlan.connect(self._ssid, self._password, channel=channel)
                return
            except TypeError:
                # MicroPython as it is released takes no channel (its pull request 11819).
                pass
        self._wlan.connect(self._ssid, self._password)

    async def _wait(self):
        # Tell whether the network is joined.
        wlan = self._wlan
        waited_ms = 0
        while waited_ms < _JOIN_MS:
            if wlan.isconnected():
                return True
            if waited_ms >= _SEARCH_MS and wlan.status() < _IDLE and rssi(wlan) is None:
                return False
            look_ms = _LOOK_MS if waited_ms < _MOST_JOIN_MS else _LOOK_LATER_MS
            await asyncio.sleep_ms(look_ms)
            waited_ms += look_ms
        return False

    def _remembered(self):
        hint = self._memory.get() if self._memory else b""
        if len(hint) != _HINT_BYTES:
            return 0
        name, channel = struct.unpack(_HINT, hint)
        return channel if name == self._name() else 0

    def _remember(self, channel):
        # Only what is new: the memory may be flash.
        if self._memory and channel != self._remembered():
            self._memory.put(struct.pack(_HINT, self._name(), channel))

    def _name(self):
        name = 0
        for byte in self._ssid.encode():
            name = (name * 31 + byte) & 0xFFFF
        return name


def rssi(wlan):
    """Return the strength of the access point's signal in dBm, None while there is none."""
    try:
        return wlan.status("rssi")
    except OSError:
        return None


def _reason(wlan):
    if rssi(wlan) is not None:
        return "joined, but it gives no address"
    status = wlan.status()
    if status in (_HANDSHAKE_4WAY_TIMEOUT, _AUTH_FAIL, _HANDSHAKE_TIMEOUT):
        return "refused, probably for a wrong password"
    if status == _NO_AP or status == _NO_AP_RSSI:
        return "no such network in reach"
    if status in (_NO_AP_SECURITY, _NO_AP_AUTHMODE):
        return "its security is not supported; WPA2 or WPA3 is needed"
    return "can't be joined (status {})".format(status)
