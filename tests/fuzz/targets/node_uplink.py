"""A whole node and a gateway whose authentic answers, or mail, mean nothing for a while."""

from __future__ import annotations

import random

from tests.fuzz import cbor_grammar
from tests.fuzz.micropython import NodeTarget

_CODES = (0x44, 0x44, 0x45, 0x45, 0x80, 0x81, 0x8D, 0xA0, 0xA3, 0x5F)
_TIMES = (0, 1_795_000_000_000, 1 << 63, (1 << 64) - 1, -(1 << 63), 4_000_000_000_000)


class NodeUplink(NodeTarget):
    decoder = "uplink"
    max_bytes = 250
    heap = "256K"
    executions = 25

    def generate(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            mail = {0: {0: rng.randbytes(rng.choice((1, 7, 8, 0))), 1: rng.randbytes(16)}}
            # The first answer is to the time, in which mail is announced.
            payload = cbor_grammar.encode(rng, {**mail, 2: True}, rng.choice((0, 0.1)))
        else:
            answer = {0: rng.choice(_TIMES), 1: rng.choice((0, 3, 1 << 40)), 2: True}
            payload = cbor_grammar.encode(rng, answer, rng.choice((0, 0.1)))
        return bytes((rng.choice(_CODES), rng.randrange(1, 8))) + payload

    def features(self, said: str) -> tuple[str, ...]:
        # What it logged, without the numbers in it.
        lines = bytes.fromhex(said.rpartition(" ")[2]).decode().split("', '")
        return tuple("".join(filter(str.isalpha, line))[:30] for line in lines)
