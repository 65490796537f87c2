"""The network module of a simulated board: a station that is joined while the air carries it."""

import _host

STA_IF = 0
STAT_IDLE = 1000
STAT_GOT_IP = 1010


class WLAN:
    IF_STA = STA_IF

    def __init__(self, interface=STA_IF):
        self._active = False
        self._joined = False

    def active(self, value=None):
        if value is None:
            return self._active
        self._active = bool(value)
        if not value:
            self._joined = False
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):
        self._joined = True

    def disconnect(self):
        self._joined = False

    def isconnected(self):
        return self._active and self._joined and _host.call(0x6E) == b"\x01"

    def status(self, what=None):
        return STAT_GOT_IP if self.isconnected() else STAT_IDLE

    def config(self, *args, **kwargs):
        return None
