"""Answers to a node's request: whatever comes, only what was sealed for it counts as a success."""

from __future__ import annotations

import random

from tests.fuzz.micropython import NodeTarget

_RAW, _SEALED, _BENT = range(3)
_OPTIONS = (
    b"\xc1\x3c",
    b"\xc0",
    b"\xe1\x0f",
    b"\xe5" + bytes(5),
    b"\xd1\xf0",
    b"\xd8\xef" + bytes(8),
)


class NodeAnswers(NodeTarget):
    decoder = "answers"
    max_bytes = 320
    tokens = (*_OPTIONS, b"\xff", b"\x60\x44\x00\x00\x90\xff", b"\x60\x81\x00\x00")
    executions = 250

    def generate(self, rng: random.Random) -> bytes:
        plain = bytes((rng.choice((0x44, 0x45, 0x80, 0x81, 0xA3, 0, 2)),))
        plain += b"".join(rng.sample(_OPTIONS, rng.randrange(3)))
        plain += b"\xff" + rng.randbytes(rng.randrange(200)) if rng.random() < 0.7 else b""
        if rng.random() < 0.4:
            pairs = [rng.randbytes(2) for _ in range(rng.randrange(3))]
            return bytes((_BENT, len(pairs))) + b"".join(pairs) + plain
        raw = bytes((rng.choice((0x40, 0x50, 0x60, 0x70, 0x61)),)) + plain[:1] + b"\0\0"
        raw += rng.choice((b"", b"\x90", b"\x92\x01\x05", b"\x9d\x00"))
        return rng.choice((bytes((_SEALED,)) + plain, bytes((_RAW,)) + raw + b"\xff" + plain))

    def features(self, said: str) -> tuple[str, ...]:
        return tuple(said.split(" ")[:3])
