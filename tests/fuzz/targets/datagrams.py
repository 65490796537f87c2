"""The whole entrance of the gateway: datagram, OSCORE, request, store, answer, on both its ways.

Of two gateways with the same keys one has the short path and one has not. They get the same
datagrams, and must give the same answers and have the same in their stores.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import cbor2
from aiocoap import Message
from aiocoap.numbers import codes
from tests.fuzz import cbor_grammar
from tests.fuzz.gateways import Bench, bench
from tests.fuzz.sealing import Request, Sealer
from tests.fuzz.target import Target
from tests.gateway.conftest import KEYS
from tests.support.node import NodeKeys, pack

_RAW, _SEALED, _BENT = range(3)
_KEY_ID = b"\x01"
_GET_TIME = b"\x01\xb1t"
_REPORT = b"\x03\xb1h\x0293\x11\x3c\xff" + cbor2.dumps({0: "valid"})

_PATHS = (b"\xb1j\x011\x013", b"\xb1j\x011\x0210", b"\xb1s", b"\xb1h\x011", b"\xb1t", b"\xb1m")
_ODD_PATHS = (
    b"\xb1j\x010\x010",
    b"\xb1j\x01x\x010",
    b"\xb1j",
    b"\xb0",
    b"\xb1j\x011\x0a4294967296",
)
_FORMATS = (b"\x11\x70", b"\x11\x3c", b"\x10", b"\x12\x27\x10", b"", b"\x11\x70\x51\x3c")
_CODES = (3, 3, 3, 2, 1, 0, 5, 0x45, 0xE0)

_Answers = list[tuple[int, int | None, bytes, int | None]]


class Datagrams(Target):
    """The first byte of an input says what the rest is: a datagram; what a request says, to be
    sealed with the node's key; or the same, after so many pairs of a place and what is to be
    flipped there in the sealed message.
    """

    traced = (
        "feltpost_gateway.coap_frame",
        "feltpost_gateway.short_path",
        "feltpost_gateway.oscore_site",
        "feltpost_gateway.request_cipher",
        "feltpost_gateway.ingest",
        "feltpost_gateway.senml",
        "feltpost_gateway.reports",
        "feltpost_gateway.links.base",
    )
    tokens = (*_PATHS, *_FORMATS, b"\xff", b"\xd2\xef\x08\x00", b"\xd2\x00\x08", b"\x61\x00")
    max_bytes = 1300
    executions = 60
    # aiocoap remembers messages for a minute.
    heap_bytes = 8 << 20

    @contextmanager
    def opened(self) -> Iterator[None]:
        with bench(True, False) as self._bench:
            self._sealer = Sealer(NodeKeys(_KEY_ID, KEYS[_KEY_ID]))
            self._message_id = 0
            self._acquaint(self._bench)
            yield

    def generate(self, rng: random.Random) -> bytes:
        path = rng.choice(_PATHS if rng.random() < 0.9 else _ODD_PATHS)
        plain = bytes((rng.choice(_CODES),)) + path + rng.choice(_FORMATS)
        payloads = (
            pack(rng.choice((1, 2, 40)), rng.randrange(5000)),
            cbor_grammar.encode(rng, {0: rng.choice((0, 1, 9)), 1: rng.randrange(6)}, 0.05),
            cbor_grammar.encode(rng, [{0: "c", 2: 5, -3: 1_790_000_000}], 0.05),
            b"",
        )
        payload = rng.choice(payloads)
        plain += b"\xff" + payload if payload or rng.random() < 0.1 else b""
        if rng.random() < 0.3:
            pairs = [rng.randbytes(2) for _ in range(rng.randrange(4))]
            return bytes((_BENT, len(pairs))) + b"".join(pairs) + plain
        return bytes((_SEALED,)) + plain

    def mutate(self, rng: random.Random, data: bytes) -> bytes:
        # Mostly as it is sealed: few changes of the first byte lead anywhere.
        keep = 1 if rng.random() < 0.9 else 0
        return data[:keep] + super().mutate(rng, data[keep:])

    def run(self, data: bytes) -> tuple[str, ...]:
        datagram, request = self._message(data)
        before = [side.kept() for side in self._bench.sides]
        answers = self._exchange(datagram, request)
        after = [side.kept() for side in self._bench.sides]
        self._bench.faults.check()
        assert answers[0] == answers[1], answers
        assert after[0] == after[1]
        if not any(code in (codes.CHANGED, codes.CONTENT) for code, *_ in answers[0]):
            assert after == before, "what was refused has left something in the store"
        self._answers_on()
        return tuple(f"answer {code}" for code, *_ in answers[0])

    def _message(self, data: bytes) -> tuple[bytes, Request | None]:
        self._message_id = (self._message_id + 1) % 0xFFFF
        if data[:1] == bytes((_RAW,)) or len(data) < 2:
            return data[1:], None
        bends, plain = b"", data[1:]
        if data[0] == _BENT:
            end = 2 + 2 * data[1]
            bends, plain = data[2:end], data[end:]
        request = self._sealer.seal(plain)
        message = bytearray(request.datagram(self._message_id, b"tk"))
        for place, flipped in zip(bends[::2], bends[1::2], strict=False):
            message[place % len(message)] ^= flipped
        return bytes(message), request

    def _exchange(self, datagram: bytes, request: Request | None) -> list[_Answers]:
        answers = []
        for side in self._bench.sides:
            messages = self._bench.do(side.exchange(datagram))
            answers.append([self._told(message, request) for message in messages])
        return answers

    def _told(
        self, message: Message, request: Request | None
    ) -> tuple[int, int | None, bytes, int | None]:
        if request is not None:
            message = self._sealer.open(message, request)
        assert message.code != codes.INTERNAL_SERVER_ERROR, message
        content_format = message.opt.content_format
        return (
            int(message.code),
            None if content_format is None else int(content_format),
            message.payload,
            message.opt.max_age,
        )

    def _answers_on(self) -> None:
        # Through the window of each gateway, and into each store.
        self._message_id = (self._message_id + 1) % 0xFFFF
        request = self._sealer.seal(_REPORT)
        answers = self._exchange(request.datagram(self._message_id), request)
        assert [code for told in answers for code, *_ in told] == [codes.CHANGED] * 2, answers

    def _acquaint(self, made: Bench) -> None:
        # The first request is answered with an Echo, which the second brings back.
        for side in made.sides:
            request = self._sealer.seal(_GET_TIME)
            (challenge,) = made.do(side.exchange(request.datagram(1)))
            echo = self._sealer.open(challenge, request).opt.echo
            assert echo is not None
            request = self._sealer.seal(_GET_TIME + b"\xd8\xe4" + echo)
            (answer,) = made.do(side.exchange(request.datagram(2)))
            assert self._sealer.open(answer, request).code == codes.CONTENT
