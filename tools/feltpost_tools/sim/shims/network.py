"""The network module of a simulated board: the simulator's model of the radio, asked each time."""

import struct

import _host

STA_IF = 0
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010

# What the channel to the simulator says for "until it succeeds".
_UNLIMITED = 255
_ENOSYS = 38


class _Settings:
    # Of the one radio, whichever WLAN object they came through.
    active = False
    static = False
    reconnects = _UNLIMITED
    ssid = ""


def ipconfig(dns):
    pass


class WLAN:
    IF_STA = STA_IF

    def __init__(self, interface=STA_IF):
        pass

    def active(self, value=None):
        if value is not None:
            _Settings.active = bool(value)
            if not value:
                self.disconnect()
        return _Settings.active

    def connect(self, ssid=None, key=None, *, bssid=None, channel=0):
        if self.status() in (STAT_CONNECTING, STAT_GOT_IP):
            raise OSError("Wifi Internal Error")
        _Settings.ssid = ssid
        name = ssid.encode()
        head = struct.pack("<BBBB", channel, _Settings.static, _Settings.reconnects, len(name))
        try:
            _host.call(0x6A, head + name + (key or "").encode())
        except OSError as error:
            if error.errno != _ENOSYS:
                raise
            raise TypeError("extra keyword arguments given")

    def disconnect(self):
        _host.call(0x6C)

    def isconnected(self):
        return _Settings.active and self.status() == STAT_GOT_IP

    def status(self, what=None):
        status, associated, _, rssi_dbm = self._state()
        if what is None:
            return status
        if what != "rssi":
            raise ValueError("unknown status param")
        if not associated:
            raise OSError("Wifi Not Connected")
        return rssi_dbm

    def config(self, what=None, *, reconnects=None):
        if what == "ssid":
            return _Settings.ssid
        if what == "channel":
            return self._state()[2]
        if what is not None:
            raise ValueError("unknown config param")
        _Settings.reconnects = _UNLIMITED if reconnects < 0 else reconnects
        return None

    def ipconfig(self, *, addr4=None, gw4=None, dhcp4=None):
        _Settings.static = addr4 is not None

    def _state(self):
        return struct.unpack("<HBBb", _host.call(0x6E))
