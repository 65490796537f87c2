"""slipmux frames (draft-bormann-t2trg-slipmux): SLIP (RFC 1055), a kind byte, and a frame check.

The check is the FCS-16 of RFC 1662 appendix C.2, over the kind and the message before escaping,
least significant byte first. Diagnostic texts go without.
"""

from array import array

from micropython import const

COAP = const(0xA9)
DIAGNOSTIC = const(0x0A)

# What Decoder.feed() says of a byte.
NOTHING = const(0)
FRAME = const(1)
OUTSIDE = const(2)

_END = const(0xC0)
_ESC = const(0xDB)
_ESC_END = const(0xDC)
_ESC_ESC = const(0xDD)

_FCS_START = const(0xFFFF)
# What the register holds after a message and its own check, RFC 1662 appendix C.2.
_FCS_GOOD = const(0xF0B8)
_FCS_BYTES = const(2)
# The polynomial's remainders for four bits at a time: 32 bytes of table instead of 512.
_REMAINDERS = array("H")
for _remainder in range(16):
    for _ in range(4):
        _remainder = _remainder >> 1 ^ (0x8408 if _remainder & 1 else 0)
    _REMAINDERS.append(_remainder)

# A longer frame is not one of ours; its bytes may be console text after a damaged END.
_MOST_BYTES = const(1152)

_STATE_OUTSIDE = const(0)
# After the END that closed a frame. If an END was lost or made up it was the next one's opening;
# 0xA9 then begins a message, as it begins no text.
_STATE_CLOSED = const(1)
_STATE_OPENED = const(2)
_STATE_INSIDE = const(3)


def fcs16(data, fcs=_FCS_START):
    """Return the FCS register after ``data``; its complement is what goes on the line."""
    remainders = _REMAINDERS
    for byte in data:
        fcs = fcs >> 4 ^ remainders[(fcs ^ byte) & 0x0F]
        fcs = fcs >> 4 ^ remainders[(fcs ^ byte >> 4) & 0x0F]
    return fcs


def encoded_bytes(length):
    """Return the most bytes that a frame with ``length`` bytes of message can take."""
    return 2 * (length + _FCS_BYTES) + 3


def encode(kind, data, out):
    """Write a frame of that kind with ``data`` into ``out``; return how many bytes it took.

    out: encoded_bytes(len(data)) long at least, else IndexError may be raised.
    """
    out[0] = _END
    out[1] = kind
    pos = _escape(data, out, 2)
    if kind == COAP:
        fcs = ~fcs16(data, fcs16(bytes((kind,))))
        pos = _escape(bytes((fcs & 0xFF, fcs >> 8 & 0xFF)), out, pos)
    out[pos] = _END
    return pos + 1


def _escape(data, out, pos):
    for byte in data:
        if byte == _END:
            out[pos] = _ESC
            byte = _ESC_END
            pos += 1
        elif byte == _ESC:
            out[pos] = _ESC
            byte = _ESC_ESC
            pos += 1
        out[pos] = byte
        pos += 1
    return pos


class Decoder:
    """Takes a byte stream apart; allocates nothing while it does.

    ``buf`` is where the current frame's message gathers: a bytearray of any size, which its owner
    may exchange for another when a frame is complete. A longer message is dropped. ``length`` is
    the complete message's.
    """

    def __init__(self, buf):
        self.buf = buf
        self.length = 0
        self.reset()

    def reset(self):
        """Give the current frame up: what comes next lies outside, until an END."""
        self._state = _STATE_OUTSIDE
        self._kind = 0
        self._escaped = False
        self._good = False
        self._count = 0
        self._fcs = _FCS_START

    @property
    def inside(self):
        """Whether a frame has been opened and is neither complete nor given up."""
        return self._state >= _STATE_OPENED

    def feed(self, byte):
        """Take one byte. FRAME: it completed a CoAP message, whose check is right. OUTSIDE: it
        lies outside frames. NOTHING: neither.
        """
        state = self._state
        if byte == _END:
            if state == _STATE_INSIDE:
                return self._close()
            self._state = _STATE_OPENED
            return NOTHING
        if state == _STATE_OUTSIDE:
            return OUTSIDE
        if state != _STATE_INSIDE:
            return self._open(byte, state)
        if byte == _ESC and not self._escaped:
            self._escaped = True
            return NOTHING
        self._count += 1
        if self._count > _MOST_BYTES:
            self.reset()
            return OUTSIDE
        if self._escaped:
            self._escaped = False
            if byte == _ESC_END:
                byte = _END
            elif byte == _ESC_ESC:
                byte = _ESC
            else:
                # Not SLIP. The rest is still this frame's, and no 0x03 in it means the prompt.
                self._good = False
        self._put(byte)
        return NOTHING

    def _open(self, byte, state):
        if byte != COAP and (byte != DIAGNOSTIC or state == _STATE_CLOSED):
            self._state = _STATE_OUTSIDE
            return OUTSIDE
        self._state = _STATE_INSIDE
        self._kind = byte
        self._escaped = False
        self._good = True
        self._count = 0
        fcs = _FCS_START >> 4 ^ _REMAINDERS[(_FCS_START ^ byte) & 0x0F]
        self._fcs = fcs >> 4 ^ _REMAINDERS[(fcs ^ byte >> 4) & 0x0F]
        return NOTHING

    def _put(self, byte):
        # The check's own bytes pass through the buffer too, where there is room for them.
        index = self._count - 1
        if index < len(self.buf):
            self.buf[index] = byte
        fcs = self._fcs
        fcs = fcs >> 4 ^ _REMAINDERS[(fcs ^ byte) & 0x0F]
        self._fcs = fcs >> 4 ^ _REMAINDERS[(fcs ^ byte >> 4) & 0x0F]

    def _close(self):
        length = self._count - _FCS_BYTES
        good = self._good and not self._escaped and self._kind == COAP
        good = good and 0 < length <= len(self.buf) and self._fcs == _FCS_GOOD
        self.reset()
        self._state = _STATE_CLOSED
        self.length = length
        return FRAME if good else NOTHING
