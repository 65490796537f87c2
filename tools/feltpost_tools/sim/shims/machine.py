"""The machine module of a simulated board: pins and buses that end at the simulator's models."""

import struct

import _host

PWRON_RESET = 1
HARD_RESET = 2
SOFT_RESET = 5


class Pin:
    IN = 1
    OUT = 3

    def __init__(self, id, mode=IN, pull=None, value=None):
        self.id = id


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400_000):
        self._id = id

    def _transfer(self, address, data, length):
        head = struct.pack("<BBH", self._id, address, length)
        return _host.call(0x69, head + bytes(data))

    def writeto(self, address, data, stop=True):
        self._transfer(address, data, 0)
        return len(data)

    def readfrom_into(self, address, buf, stop=True):
        buf[:] = self._transfer(address, b"", len(buf))

    def readfrom(self, address, length, stop=True):
        return self._transfer(address, b"", length)

    def scan(self):
        return list(_host.call(0x73, bytes((self._id,))))


def unique_id():
    return _host.call(0x75)


def reset_cause():
    return _host.call(0x63)[0]


def reset():
    raise SystemExit(65)


def soft_reset():
    raise SystemExit(64)
