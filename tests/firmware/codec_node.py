"""Runs on MicroPython: encodes and decodes what its input says, for an oracle at the other end.

Each line of input is a command and its arguments; each line of output is the result in hex, or the
name of the exception.
"""

import sys
from binascii import hexlify, unhexlify

from feltpost import cbor, ccm, coap, metrics, oscore, senml, slip

_SIZE = 1024
_CONTEXT = oscore.Context(bytes(16), b"\x01", b"")
_REQUEST = _CONTEXT.bind(b"\x01", b"\x14")
_DECODER = slip.Decoder(bytearray(_SIZE))


def number(mantissa, digits):
    pack = senml.Pack(bytearray(64))
    pack.add(metrics.fields("n", None), int(mantissa), int(digits), 0)
    # Array, map, bt 0, n "n", and the value's label.
    return bytes(pack.end())[8:]


def seal(key, nonce, associated, plain):
    plain = unhexlify(plain)
    buf = memoryview(bytearray(plain) + bytearray(ccm.TAG_BYTES))
    key = ccm.CCM(unhexlify(key), _SIZE)
    # Twice, as the second pass has a state to undo that the first left.
    for _ in range(2):
        buf[: len(plain)] = plain
        key.seal(unhexlify(nonce), unhexlify(associated), buf, len(plain))
    return buf


def open_(key, nonce, associated, sealed):
    buf = memoryview(bytearray(unhexlify(sealed)))
    key = ccm.CCM(unhexlify(key), _SIZE)
    return buf[: key.open(unhexlify(nonce), unhexlify(associated), buf, len(buf))]


def parse_cbor(data):
    cbor.decode(unhexlify(data))
    return b""


def parse_coap(data):
    coap.Message(unhexlify(data))
    return b""


def parse_oscore(option, sealed):
    _CONTEXT.open(_REQUEST, unhexlify(option), memoryview(bytearray(unhexlify(sealed))))
    return b""


def parse_slip(data):
    found = b""
    for byte in unhexlify(data):
        if _DECODER.feed(byte) == slip.FRAME:
            found += _DECODER.buf[: _DECODER.length]
    _DECODER.reset()
    return found


_COMMANDS = {
    "number": number,
    "seal": seal,
    "open": open_,
    "cbor": parse_cbor,
    "coap": parse_coap,
    "oscore": parse_oscore,
    "slip": parse_slip,
}

while True:
    line = sys.stdin.readline()
    if not line:
        break
    command, *args = line[:-1].split(" ")
    try:
        print(hexlify(_COMMANDS[command](*args)).decode())
    except Exception as error:  # noqa: BLE001 - which one it is, is the answer
        print(type(error).__name__)
