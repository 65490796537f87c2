"""machine.I2C of a simulated board."""

import struct

import _part


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400_000):
        self._place = "i2c{}".format(id)

    def _transfer(self, address, data, length):
        return _part.ask(self._place, struct.pack("<BH", address, length) + bytes(data))

    def writeto(self, address, data, stop=True):
        self._transfer(address, data, 0)
        return len(data)

    def readfrom_into(self, address, buf, stop=True):
        buf[:] = self._transfer(address, b"", len(buf))

    def readfrom(self, address, length, stop=True):
        return self._transfer(address, b"", length)

    def scan(self):
        return list(_part.ask(self._place))
