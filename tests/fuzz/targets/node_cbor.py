"""The node's CBOR decoder, against cbor2: refused, or the same value."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import cbor2
from tests.fuzz import cbor_grammar
from tests.fuzz.micropython import NodeTarget


def told(value: Any) -> str:
    """A value in the words of fuzz_decoders.py."""
    match value:
        case None | bool():
            return str(value)
        case int():
            return f"i{value}"
        case float():
            return "f" + ("nan" if math.isnan(value) else struct.pack(">d", value).hex())
        case bytes():
            return "b" + value.hex()
        case str():
            return "t" + value.encode().hex()
        case list():
            return f"[{','.join(map(told, value))}]"
    pairs = sorted((told(key), told(inner)) for key, inner in value.items())
    return "{" + ",".join(f"{key}:{inner}" for key, inner in pairs) + "}"


class NodeCbor(NodeTarget):
    decoder = "cbor"
    max_bytes = 320
    tokens = (b"\x9f", b"\xff", b"\xfb", b"\xf9\x7e\x00", b"\xa1", b"\x5b" + bytes(8))
    executions = 800

    def generate(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return cbor_grammar.item(rng)
        answer = {0: 1_790_000_000_000, 1: 5, 2: True, 3: {0: b"\x01", 1: bytes(16)}}
        return cbor_grammar.encode(rng, answer, 0.05)

    def check(self, data: bytes, said: str) -> None:
        assert said == told(cbor2.loads(data))
