"""machine.ADC of a simulated board."""

import struct

import _part


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3

    def __init__(self, pin, *, sample_ns=-1, atten=ATTN_0DB):
        self._place = "adc{}".format(pin.id)
        self._atten = bytes((atten,))

    def read_u16(self):
        return struct.unpack("<H", _part.ask(self._place, self._atten))[0]

    def read_uv(self):
        return struct.unpack("<I", _part.ask(self._place, self._atten + b"v"))[0]
