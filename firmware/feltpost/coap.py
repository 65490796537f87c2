"""CoAP messages (RFC 7252 section 3): header, token and options, written and read."""

from micropython import const

CON = const(0)
NON = const(1)
ACK = const(2)
RST = const(3)

EMPTY = const(0x00)
GET = const(0x01)
POST = const(0x02)
PUT = const(0x03)
BAD_REQUEST = const(0x80)
UNAUTHORIZED = const(0x81)

# RFC 7252 table 4, RFC 8613 section 2, RFC 9175 section 2.2.1.
OSCORE = const(9)
URI_PATH = const(11)
CONTENT_FORMAT = const(12)
MAX_AGE = const(14)
ECHO = const(252)

_VERSION = const(0x40)
_HEADER_BYTES = const(4)
_MOST_TOKEN_BYTES = const(8)
_PAYLOAD_MARKER = const(0xFF)

# Deltas and lengths below 13 fit the nibble; the next 256 take one byte more, the rest two.
_EXTENDED = const(13)
_EXTENDED_TWICE = const(269)


class Full(ValueError):
    """The message doesn't fit into its buffer."""


def code_text(code):
    """Return a code as people write it: 0x84 as "4.04"."""
    return "{}.{:02}".format(code >> 5, code & 0x1F)


class Writer:
    """Writes a message, or the part of one, into ``buf``; ``pos`` is where the next byte goes."""

    def __init__(self, buf):
        self._buf = memoryview(buf)
        self._size = len(buf)
        self._number = 0
        self.pos = 0

    def view(self):
        """Return what has been written, as a memoryview into the buffer."""
        return self._buf[: self.pos]

    def header(self, kind, code, message_id):
        """Start a message without a token: kind is CON, NON, ACK or RST."""
        self.pos = 0
        self._byte(_VERSION | kind << 4)
        self.code(code)
        self._byte(message_id >> 8)
        self._byte(message_id & 0xFF)

    def code(self, code):
        """Write the code; options follow, counted from 0 again (RFC 8613 section 5.3)."""
        self._byte(code)
        self._number = 0

    def option(self, number, value):
        """Write an option; numbers must not fall. value: bytes or str."""
        if isinstance(value, str):
            value = value.encode()
        self._option_head(number, len(value))
        pos = self.pos
        if pos + len(value) > self._size:
            raise Full("CoAP: message too long")
        buf = self._buf
        # A slice would be an object on the heap, and these are few bytes.
        for byte in value:
            buf[pos] = byte
            pos += 1
        self.pos = pos

    def uint_option(self, number, value):
        """Write an option whose value is an unsigned integer (RFC 7252 section 3.2)."""
        length = 0
        while value >> (8 * length):
            length += 1
        self._option_head(number, length)
        while length:
            length -= 1
            self._byte(value >> (8 * length) & 0xFF)

    def payload(self, data):
        """Write the payload marker and the payload; nothing for an empty one."""
        if data:
            self._byte(_PAYLOAD_MARKER)
            end = self.pos + len(data)
            if end > self._size:
                raise Full("CoAP: message too long")
            self._buf[self.pos : end] = data
            self.pos = end

    def marker(self):
        """Write the payload marker alone, for a payload that is put behind it in place."""
        self._byte(_PAYLOAD_MARKER)

    def _option_head(self, number, length):
        delta = number - self._number
        self._byte(_nibble(delta) << 4 | _nibble(length))
        self._extension(delta)
        self._extension(length)
        self._number = number

    def _extension(self, value):
        if value >= _EXTENDED_TWICE:
            value -= _EXTENDED_TWICE
            self._byte(value >> 8)
            self._byte(value & 0xFF)
        elif value >= _EXTENDED:
            self._byte(value - _EXTENDED)

    def _byte(self, byte):
        if self.pos >= self._size:
            raise Full("CoAP: message too long")
        self._buf[self.pos] = byte
        self.pos += 1


def _nibble(value):
    return value if value < _EXTENDED else 13 if value < _EXTENDED_TWICE else 14


class Message:
    """A received message: kind, code, message_id, token, options and payload.

    ``options`` is a list of (number, value) in the order of the message; values, token and payload
    are memoryviews into ``data``. ValueError for anything that RFC 7252 calls a format error.
    """

    def __init__(self, data):
        data = memoryview(data)
        if len(data) < _HEADER_BYTES or data[0] & 0xC0 != _VERSION:
            raise ValueError("CoAP: not a message of version 1")
        self.kind = data[0] >> 4 & 3
        self.code = data[1]
        self.message_id = data[2] << 8 | data[3]
        end = _HEADER_BYTES + (data[0] & 0x0F)
        if end - _HEADER_BYTES > _MOST_TOKEN_BYTES or end > len(data):
            raise ValueError("CoAP: bad token length")
        if self.code == EMPTY and len(data) > _HEADER_BYTES:
            raise ValueError("CoAP: bytes after an empty message")
        self.token = data[_HEADER_BYTES:end]
        self.options, self.payload = parse_options(data[end:])

    def option(self, number):
        """Return the value of the first option of that number, or None."""
        return find(self.options, number)


def parse_options(data):
    """Split what follows a token, or an OSCORE inner code, into (options, payload)."""
    options = []
    number = 0
    pos = 0
    size = len(data)
    while pos < size:
        first = data[pos]
        pos += 1
        if first == _PAYLOAD_MARKER:
            if pos == size:
                raise ValueError("CoAP: no payload after its marker")
            return options, data[pos:]
        delta, pos = _extended(data, pos, first >> 4)
        length, pos = _extended(data, pos, first & 0x0F)
        number += delta
        if length > size - pos or number > 0xFFFF:
            raise ValueError("CoAP: option out of bounds")
        options.append((number, data[pos : pos + length]))
        pos += length
    return options, data[size:]


def _extended(data, pos, nibble):
    if nibble < 13:
        return nibble, pos
    extra = nibble - 12
    if extra > 2 or pos + extra > len(data):
        raise ValueError("CoAP: bad option")
    if extra == 1:
        return data[pos] + _EXTENDED, pos + 1
    return (data[pos] << 8 | data[pos + 1]) + _EXTENDED_TWICE, pos + 2


def find(options, number):
    """Return the value of the first option of that number, or None."""
    for found, value in options:
        if found == number:
            return value
    return None


def uint(value, most_bytes):
    """Return an option's value as an unsigned integer; ValueError if it is longer than allowed."""
    if len(value) > most_bytes:
        raise ValueError("CoAP: number too long")
    return int.from_bytes(value, "big")
