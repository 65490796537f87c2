"""RFC 8949 appendix A: what the encoder writes, and what the decoder reads."""

from binascii import unhexlify

import check
from feltpost import cbor

INTEGERS = (
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
)
STRINGS = (
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
)
SIMPLE = ((False, "f4"), (True, "f5"), (None, "f6"))
NESTED = (
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
)
# (value, 16-bit pattern, encoding)
HALVES = (
    (0.0, 0x0000, "f90000"),
    (-0.0, 0x8000, "f98000"),
    (1.0, 0x3C00, "f93c00"),
    (1.5, 0x3E00, "f93e00"),
    (65504.0, 0x7BFF, "f97bff"),
    (2.0**-24, 0x0001, "f90001"),
    (2.0**-14, 0x0400, "f90400"),
    (-4.0, 0xC400, "f9c400"),
)
SINGLES = (
    (100000.0, 0x47C3, 0x5000, "fa47c35000"),
    ((2.0**24 - 1) * 2.0**104, 0x7F7F, 0xFFFF, "fa7f7fffff"),
)
REFUSED = (
    "",  # nothing
    "18",  # argument missing
    "1b00000000000000",  # argument cut short
    "1c",  # reserved length
    "1f",  # indefinite
    "41",  # string missing
    "5affffffff",  # longer than memory
    "61ff",  # not UTF-8
    "8201",  # item missing
    "9affffffff",  # more items than bytes
    "9f01ff",  # indefinite array
    "a101",  # value missing
    "a1f601",  # a key that is null
    "a201020103",  # a key twice
    "bf6161f5ff",  # indefinite map
    "c074",  # tag
    "f7",  # undefined
    "f8ff",  # unassigned simple value
    "ff",  # break
    "0000",  # a second item
    "818181818100",  # five deep
)


def write(value, buf):
    encoder = cbor.Encoder(buf)
    _write(encoder, value)
    return encoder.view()


def _write(encoder, value):
    if value is None:
        encoder.null()
    elif isinstance(value, bool):
        encoder.bool(value)
    elif isinstance(value, int):
        encoder.int(value)
    elif isinstance(value, bytes):
        encoder.bytes(value)
    elif isinstance(value, str):
        encoder.text(value)
    elif isinstance(value, list):
        encoder.array(len(value))
        for item in value:
            _write(encoder, item)
    else:
        encoder.map(len(value))
        for key in sorted(value):
            _write(encoder, key)
            _write(encoder, value[key])


def test_encodes_appendix_a():
    for value, encoding in INTEGERS + STRINGS + SIMPLE + NESTED:
        check.equal(bytes(write(value, bytearray(64))), unhexlify(encoding), value)
    for value, bits, encoding in HALVES:
        encoder = cbor.Encoder(bytearray(3))
        encoder.float16(bits)
        check.equal(bytes(encoder.view()), unhexlify(encoding), value)
    for value, high, low, encoding in SINGLES:
        encoder = cbor.Encoder(bytearray(5))
        encoder.float32(high, low)
        check.equal(bytes(encoder.view()), unhexlify(encoding), value)


def test_encodes_decimal_fraction():
    # RFC 8949 section 3.4.4: 273.15
    encoder = cbor.Encoder(bytearray(7))
    encoder.tag(4)
    encoder.array(2)
    encoder.int(-2)
    encoder.int(27315)
    check.equal(bytes(encoder.view()), unhexlify("c48221196ab3"))


def test_decodes_appendix_a():
    for value, encoding in INTEGERS + STRINGS + SIMPLE + NESTED:
        check.equal(cbor.decode(unhexlify(encoding)), value, encoding)
    for value, _, encoding in HALVES:
        check.equal(cbor.decode(unhexlify(encoding)), value, encoding)
    for value, _, _, encoding in SINGLES:
        check.equal(cbor.decode(unhexlify(encoding)), value, encoding)
    check.equal(cbor.decode(unhexlify("fb3ff199999999999a")), 1.1)
    check.equal(cbor.decode(unhexlify("f97c00")), float("inf"))
    nan = cbor.decode(unhexlify("f97e00"))
    check.equal(nan == nan, False, "NaN")


def test_refuses_what_is_not_one_plain_item():
    for encoding in REFUSED:
        check.raises(ValueError, cbor.decode, unhexlify(encoding))


def test_an_item_that_does_not_fit_leaves_nothing():
    for value, encoding in INTEGERS + STRINGS + SIMPLE:
        buf = bytearray(len(encoding) // 2 - 1)
        encoder = cbor.Encoder(buf)
        check.raises(cbor.Full, _write, encoder, value)
        check.equal(encoder.pos, 0, value)
    for size in range(5):
        encoder = cbor.Encoder(bytearray(size))
        check.raises(cbor.Full, encoder.float32, 0x47C3, 0x5000)
        check.raises(cbor.Full, encoder.encoded, bytes(5))
        check.equal(encoder.pos, 0)


check.main(globals())
