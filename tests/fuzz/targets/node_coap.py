"""The node's reading of CoAP messages, against aiocoap: refused, or the same message."""

from __future__ import annotations

import random

from aiocoap import Message
from tests.fuzz.micropython import NodeTarget


class NodeCoap(NodeTarget):
    decoder = "coap"
    max_bytes = 320
    tokens = (b"\xff", b"\x90", b"\xd1\x01\x78", b"\xe1\x00\x00\x78", b"\x0e\x00\x00", b"\xf0")
    executions = 800

    def generate(self, rng: random.Random) -> bytes:
        token = rng.randbytes(rng.randrange(10))
        message = bytes((0x40 | rng.randrange(4) << 4 | len(token), rng.randrange(256)))
        message += rng.randbytes(2) + token
        for _ in range(rng.randrange(4)):
            value = rng.randbytes(rng.randrange(13))
            message += bytes((rng.randrange(13) << 4 | len(value),)) + value
        return message + (b"\xff" + rng.randbytes(rng.randrange(9)) if rng.random() < 0.5 else b"")

    def check(self, data: bytes, said: str) -> None:
        try:
            message = Message.decode(data)
        except UnicodeDecodeError:
            # It looks into options at once; the node does where it uses one.
            return
        # Values as they came: aiocoap writes numbers anew, without zeros before them.
        kind, code, message_id, token, options, payload = said.split(" ")
        assert (int(kind), int(code), int(message_id)) == (message.mtype, message.code, message.mid)
        assert bytes.fromhex(token[1:]) == message.token
        assert bytes.fromhex(payload[1:]) == message.payload
        numbers = [] if options == "-" else [int(o.partition("=")[0]) for o in options.split(",")]
        assert sorted(numbers) == sorted(int(o.number) for o in message.opt.option_list())
