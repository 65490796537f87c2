"""CBOR (RFC 8949): an encoder into a fixed buffer, and a decoder for the gateway's answers.

The encoder writes the preferred (shortest) serialisation and definite lengths only. Floating-point
numbers are given as bit patterns, since the ESP32's own floats have too few bits to carry them.
"""

import struct

from micropython import const

_UINT = const(0x00)
_NEGATIVE = const(0x20)
_BYTES = const(0x40)
_TEXT = const(0x60)
_ARRAY = const(0x80)
_MAP = const(0xA0)
_TAG = const(0xC0)
_SIMPLE = const(0xE0)

_FALSE = const(0xF4)
_TRUE = const(0xF5)
_NULL = const(0xF6)
_FLOAT16 = const(0xF9)
_FLOAT32 = const(0xFA)

# An answer is a map of plain values; whatever nests deeper than this was not meant for a node.
_MOST_DEPTH = const(4)


class Full(ValueError):
    """The value doesn't fit into what is left of the encoder's buffer; nothing of it is written."""


class Encoder:
    """Writes CBOR items one after the other into ``buf``; ``pos`` is where the next one goes.

    Every method raises Full, and leaves ``pos`` where it was, when its item doesn't fit.
    """

    def __init__(self, buf):
        self._buf = memoryview(buf)
        self._size = len(buf)
        self.pos = 0

    def view(self):
        """Return what has been written, as a memoryview into the buffer."""
        return self._buf[: self.pos]

    def int(self, value):
        """Write an integer from -2**64 to 2**64 - 1."""
        if value >= 0:
            self._head(_UINT, value)
        else:
            self._head(_NEGATIVE, -1 - value)

    def bytes(self, value):
        """Write a byte string from anything that has the buffer protocol."""
        self._string(_BYTES, value)

    def bytes_head(self, length):
        """Write the head of a byte string; its ``length`` bytes follow, by other methods."""
        self._head(_BYTES, length)

    def encoded(self, items):
        """Write ``items``, bytes that are CBOR already."""
        pos = self.pos
        if pos + len(items) > self._size:
            raise Full
        buf = self._buf
        # A slice would be an object on the heap, and these are few bytes.
        for byte in items:
            buf[pos] = byte
            pos += 1
        self.pos = pos

    def text(self, value):
        """Write a text string, from a str or from bytes that are UTF-8 already."""
        self._string(_TEXT, value.encode() if isinstance(value, str) else value)

    def array(self, count):
        """Write the head of an array; its ``count`` items follow."""
        self._head(_ARRAY, count)

    def map(self, count):
        """Write the head of a map; its ``count`` pairs follow, key before value."""
        self._head(_MAP, count)

    def tag(self, number):
        """Write a tag; the item that it is about follows."""
        self._head(_TAG, number)

    def bool(self, value):
        """Write true or false."""
        self._byte(_TRUE if value else _FALSE)

    def null(self):
        """Write null."""
        self._byte(_NULL)

    def float16(self, bits):
        """Write a binary16 number from its 16-bit pattern (IEEE 754)."""
        pos = self.pos
        if pos + 3 > self._size:
            raise Full
        buf = self._buf
        buf[pos] = _FLOAT16
        buf[pos + 1] = bits >> 8
        buf[pos + 2] = bits & 0xFF
        self.pos = pos + 3

    def float32(self, high, low):
        """Write a binary32 number from the upper and the lower 16 bits of its pattern.

        In halves, because the whole pattern is not a small integer on a 32-bit board.
        """
        pos = self.pos
        if pos + 5 > self._size:
            raise Full
        self._buf[pos] = _FLOAT32
        struct.pack_into(">HH", self._buf, pos + 1, high, low)
        self.pos = pos + 5

    def _byte(self, byte):
        if self.pos >= self._size:
            raise Full
        self._buf[self.pos] = byte
        self.pos += 1

    def _string(self, major, value):
        start = self.pos
        length = len(value)
        self._head(major, length)
        pos = self.pos
        if pos + length > self._size:
            self.pos = start
            raise Full
        if length:
            self._buf[pos : pos + length] = value
        self.pos = pos + length

    def _head(self, major, value):
        # The first byte of an item and the 0, 1, 2, 4 or 8 bytes of its argument.
        pos = self.pos
        buf = self._buf
        if value < 24:
            end = pos + 1
            if end > self._size:
                raise Full
            buf[pos] = major | value
        elif value < 0x100:
            end = pos + 2
            if end > self._size:
                raise Full
            buf[pos] = major | 24
            buf[pos + 1] = value
        elif value < 0x10000:
            end = pos + 3
            if end > self._size:
                raise Full
            buf[pos] = major | 25
            buf[pos + 1] = value >> 8
            buf[pos + 2] = value & 0xFF
        else:
            wide = value >= 0x100000000
            end = pos + (9 if wide else 5)
            if end > self._size:
                raise Full
            buf[pos] = major | (27 if wide else 26)
            struct.pack_into(">Q" if wide else ">I", buf, pos + 1, value)
        self.pos = end


def decode(data):
    """Return the one CBOR item that ``data`` holds, as Python values; ValueError if it is not one.

    Integers up to 64 bits, byte and text strings, arrays, maps with integer or text keys,
    true, false, null and floating-point numbers, nested at most four deep, definite lengths only.
    """
    decoder = _Decoder(data)
    value = decoder.item(_MOST_DEPTH)
    if decoder.pos != len(decoder.data):
        raise ValueError("CBOR: bytes after the item")
    return value


class _Decoder:
    def __init__(self, data):
        self.data = memoryview(data)
        self.pos = 0

    def item(self, depth):
        first = self._take(1)[0]
        major = first & 0xE0
        if major == _SIMPLE:
            return self._simple(first)
        value = self._argument(first & 0x1F)
        if major == _UINT:
            return value
        if major == _NEGATIVE:
            return -1 - value
        if major == _BYTES:
            return bytes(self._take(value))
        if major == _TEXT:
            return self._text(value)
        if not depth:
            raise ValueError("CBOR: nested too deep")
        # Each item takes a byte at least: no count beyond what is there is worth a loop.
        if value > len(self.data) - self.pos:
            raise ValueError("CBOR: cut short")
        if major == _ARRAY:
            return [self.item(depth - 1) for _ in range(value)]
        if major == _MAP:
            return self._map(value, depth - 1)
        raise ValueError("CBOR: tags are not understood")

    def _map(self, count, depth):
        pairs = {}
        for _ in range(count):
            key = self.item(0)
            if not isinstance(key, (int, str)):
                raise ValueError("CBOR: a key that is neither integer nor text")
            if key in pairs:
                raise ValueError("CBOR: a key twice in one map")
            pairs[key] = self.item(depth)
        return pairs

    def _text(self, length):
        try:
            return str(self._take(length), "utf-8")
        except UnicodeError:
            raise ValueError("CBOR: text that is not UTF-8")

    def _simple(self, first):
        if first == _FALSE or first == _TRUE:
            return first == _TRUE
        if first == _NULL:
            return None
        if first == _FLOAT16:
            return _half(self._argument(25))
        if first == _FLOAT32:
            return struct.unpack(">f", self._take(4))[0]
        if first == 0xFB:
            return struct.unpack(">d", self._take(8))[0]
        raise ValueError("CBOR: simple value not understood")

    def _argument(self, info):
        if info < 24:
            return info
        if info > 27:
            raise ValueError("CBOR: indefinite or reserved length")
        value = 0
        for byte in self._take(1 << (info - 24)):
            value = value << 8 | byte
        return value

    def _take(self, length):
        start = self.pos
        if length > len(self.data) - start:
            raise ValueError("CBOR: cut short")
        self.pos = start + length
        return self.data[start : self.pos]


def _half(bits):
    # MicroPython's struct knows binary16 on some ports only.
    exponent = bits >> 10 & 0x1F
    fraction = bits & 0x3FF
    if exponent == 0x1F:
        value = float("nan") if fraction else float("inf")
    elif exponent:
        value = (fraction + 1024) * 2.0 ** (exponent - 25)
    else:
        value = fraction * 2.0**-24
    return -value if bits & 0x8000 else value
