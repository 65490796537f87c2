"""machine.UART of a simulated board: eight data bits, no parity, one stop bit."""

import struct

import _part


class UART:
    def __init__(
        self,
        id,
        baudrate=115200,
        bits=8,
        parity=None,
        stop=1,
        *,
        tx=-1,
        rx=-1,
        rxbuf=256,
        timeout=0,
    ):
        if (bits, parity, stop, timeout) != (8, None, 1, 0):
            raise NotImplementedError
        self._place = "uart{}".format(id)
        self._ask(b"o" + struct.pack("<IH", baudrate, rxbuf))

    def _ask(self, request):
        return _part.ask(self._place, request)

    def any(self):
        return struct.unpack("<H", self._ask(b"a"))[0]

    def read(self, nbytes=0xFFFF):
        return self._ask(b"r" + struct.pack("<H", nbytes)) or None

    def readinto(self, buf, nbytes=None):
        data = self.read(len(buf) if nbytes is None else min(len(buf), nbytes))
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def write(self, buf):
        self._ask(b"w" + bytes(buf))
        return len(buf)

    def deinit(self):
        pass
