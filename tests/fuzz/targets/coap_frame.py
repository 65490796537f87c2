"""The short path's reading of CoAP: what it takes, aiocoap reads in the same way."""

from __future__ import annotations

import random

from aiocoap import Message, oscore
from aiocoap.numbers import codes
from aiocoap.numbers.types import CON
from tests.fuzz.target import Target

from feltpost_gateway.coap_frame import Protected, read_plain, read_request

_OUTER, _INNER = 0, 1
# Content-Format, twice, none, and with an Accept behind it.
_FORMATS = (b"\x11p", b"\x10", b"\x11p\x01p", b"", b"\x11p\x51p", b"\x13\0\0p")


class CoapFrame(Target):
    """The first byte says whether the rest is a datagram, or what was encrypted in one."""

    traced = ("feltpost_gateway.coap_frame",)
    tokens = (
        b"\xb1j",
        b"\x011",
        b"\x11<",
        b"\x11p",
        b"\xff",
        b"\x93\x09\x00\x01",
        b"\x0d",
        b"\xe0",
    )
    max_bytes = 300
    executions = 1500

    def generate(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            token = rng.randbytes(rng.randrange(10))
            piv, kid = rng.randbytes(rng.randrange(8)), rng.randbytes(rng.randrange(8))
            option = bytes((rng.choice((8, 8, 0, 16, 32)) | len(piv) & 7,)) + piv + kid
            outer = bytes((0x40 | len(token), 2)) + rng.randbytes(2) + token
            number = rng.choice((0x90, 0x90, 0x90, 0x80, 0xA0, 0xB0))
            outer += bytes((number | len(option) & 15,)) + option
            return bytes((_OUTER,)) + outer + b"\xff" + rng.randbytes(rng.randrange(20))
        options = b"\xb1j\x011" + rng.choice((b"\x010", b"\x0210", b"\x02\xc3\x28", b"\x00"))
        return bytes((_INNER, 3)) + options + rng.choice(_FORMATS) + b"\xff\x80"

    def run(self, data: bytes) -> tuple[str, ...]:
        if data[:1] == bytes((_OUTER,)):
            request = read_request(data[1:])
            if request is None:
                return ("not ordinary",)
            self._same_outer(data[1:], request)
        else:
            plain = read_plain(data[1:])
            if plain is None:
                return ("not ordinary within",)
            # As aiocoap's OSCORE reads it.
            inner = Message(code=codes.Code(plain.code))
            inner.payload = inner.opt.decode(data[2:])
            assert inner.opt.uri_path == plain.path
            assert inner.opt.content_format == plain.content_format
            assert inner.payload == plain.payload
            assert {int(option.number) for option in inner.opt.option_list()} <= {11, 12}
        return ()

    def _same_outer(self, datagram: bytes, request: Protected) -> None:
        message = Message.decode(datagram)
        assert (message.mtype, message.code) == (CON, codes.POST)
        assert message.mid.to_bytes(2, "big") == request.message_id
        assert message.token == request.token
        assert message.payload == request.ciphertext
        assert [int(option.number) for option in message.opt.option_list()] == [9]
        assert oscore.verify_start(message) == {
            oscore.COSE_KID: request.key_id,
            oscore.COSE_PIV: request.partial_iv,
        }
