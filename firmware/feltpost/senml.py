"""SenML packs in CBOR (RFC 8428 section 6), written record by record into one buffer.

A reading is a decimal fraction of integers. It is written in the shortest form from which the
gateway gets that decimal back (docs/protocol.md, "Packs"). All of it is integer arithmetic, so the
bytes are the same on a board with single-precision floats and on one with double.
"""

from micropython import const

from . import cbor

# RFC 8428 table 4.
_BASE_TIME = const(-3)
_TIME = const(6)

# Ours: docs/protocol.md, "Marks".
_MARKS = b"q"

_DECIMAL_FRACTION = const(4)

# Up to here the array's head is one byte, which can be written last.
_MOST_RECORDS = const(23)
_ARRAY_HEAD = const(0x80)

# What a base time of our century takes: label and a 32-bit unsigned integer.
_BASE_TIME_BYTES = const(6)

_POWERS = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)


class Pack:
    """One pack at a time, in ``buf``: begin(), add() until it is full, end()."""

    def __init__(self, buf):
        self._buf = buf
        self._encoder = cbor.Encoder(buf)
        self.begin()

    def begin(self):
        """Start a new pack; what was in the buffer is gone."""
        self._encoder.pos = 1
        self._base_s = None
        self._last_s = None
        # How many records shared the time before this one; the next time is likely to do as well.
        self._sharing = 0
        self.count = 0

    def add(self, fields, mantissa, digits, time_s, marks=0):
        """Add the reading mantissa / 10**digits; return False, with nothing written, if full.

        fields: what metrics.fields() returned for its channel; mantissa: 32 bits signed; digits: 0
        to 6; time_s: whole Unix seconds; marks: the bits of docs/protocol.md, "Marks", 0 to 7.
        """
        if self.count == _MOST_RECORDS:
            return False
        encoder = self._encoder
        start = encoder.pos
        sharing = self._sharing
        base_s = self._base_s
        if time_s == self._last_s:
            sharing += 1
            set_base = False
        else:
            set_base = base_s is None or sharing * _time_bytes(time_s - base_s) > _BASE_TIME_BYTES
            sharing = 1
        if set_base:
            base_s = time_s
        try:
            # Name, value, and a unit if that is what the fields begin with.
            encoder.map(2 + fields[0] + (set_base or time_s != base_s) + (marks != 0))
            if set_base:
                encoder.int(_BASE_TIME)
                encoder.int(time_s)
            elif time_s != base_s:
                encoder.int(_TIME)
                encoder.int(time_s - base_s)
            if marks:
                encoder.text(_MARKS)
                encoder.int(marks)
            encoder.encoded(fields)
            _number(encoder, mantissa, digits)
        except cbor.Full:
            encoder.pos = start
            return False
        self._base_s = base_s
        self._last_s = time_s
        self._sharing = sharing
        self.count += 1
        return True

    def end(self):
        """Return the pack, as a memoryview that holds until the next begin()."""
        self._buf[0] = _ARRAY_HEAD | self.count
        return self._encoder.view()


def _time_bytes(delta_s):
    # What label and value of a record's own time take.
    if delta_s < 0:
        delta_s = -1 - delta_s
    return 2 if delta_s < 24 else 3 if delta_s < 0x100 else 4 if delta_s < 0x10000 else 6


def _number(encoder, mantissa, digits):
    # Write mantissa / 10**digits in the shortest form from which the decimal comes back.
    while digits and mantissa % 10 == 0:
        mantissa //= 10
        digits -= 1
    if not digits:
        encoder.int(mantissa)
        return
    sign = 0
    magnitude = mantissa
    if mantissa < 0:
        sign = 0x8000
        magnitude = -mantissa
    last = magnitude % 10
    power = _POWERS[digits]
    # Scale by 2**shift until the whole part has the 11 bits of a binary16's significand. From 1024
    # up a binary16 can't tell halves, let alone tenths, and shift stays 0.
    shift = 0
    least = power << 10
    while magnitude < least:
        magnitude <<= 1
        shift += 1
    if shift > 24:
        # Below 2**-14 a binary16 counts in steps of 2**-24 (subnormal).
        whole = (magnitude >> (shift - 24)) // power
        rest = (magnitude >> (shift - 24)) - whole * power
        whole = _shortest(whole, rest, power, 1 << 24, last)
        bits = whole
    elif shift:
        whole = magnitude // power
        whole = _shortest(whole, magnitude - whole * power, power, 1 << shift, last)
        bits = ((25 - shift) << 10) + whole - (1 << 10)
    else:
        whole = 0
    if whole:
        encoder.float16(sign | bits)
        return
    # 13 more bits make the 24 of a binary32's significand; fewer where there are more than 11 yet.
    more = 13
    least <<= 1
    while magnitude >= least and more:
        least <<= 1
        more -= 1
    if more:
        whole = magnitude // power
        rest = (magnitude - whole * power) << more
        whole = (whole << more) + rest // power
        shift += more
        whole = _shortest(whole, rest % power, power, 1 << shift, last)
        # A binary32 that fits binary16 would be read as the shortest decimal of that, which this
        # isn't. It fits if it has no bits below the 11th, nor below 2**-24.
        if whole & ((1 << max(13, shift - 24)) - 1):
            high = ((149 - shift) << 7) + (whole >> 16)
            encoder.float32(sign | high, whole & 0xFFFF)
            return
    encoder.tag(_DECIMAL_FRACTION)
    encoder.array(2)
    encoder.int(-digits)
    encoder.int(mantissa)


def _shortest(whole, rest, power, unit, last):
    # A decimal with the last digit ``last`` is (whole + rest / power) / unit. Return the
    # significand that it rounds to, or 0 unless it is the shortest decimal that rounds there.
    if 2 * rest > power or (2 * rest == power and whole & 1):
        whole += 1
        rest -= power
    # The next decimal as long, 1 / power away, must be farther from the float than this one.
    if 2 * abs(rest) >= unit:
        return 0
    # The next shorter decimals, below and above, must round elsewhere. Above a power of two the
    # floats lie twice as far apart as below it; taking the wider gap on both sides is safe.
    gap = power if whole & (whole - 1) else 2 * power
    below = 2 * (last * unit - rest)
    above = 2 * ((10 - last) * unit + rest)
    if below < gap or above < gap or ((below == gap or above == gap) and not whole & 1):
        return 0
    return whole
