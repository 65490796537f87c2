"""The gateway's rule for CBOR: what passes is decoded by cbor2, and is the same written again."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import cbor2
from tests.fuzz import cbor_grammar
from tests.fuzz.target import Target

from feltpost_gateway.cborshape import check_shape
from feltpost_gateway.errors import PackError

_DEPTH = 4


def _nested(rng: random.Random, depth: int) -> Any:
    if not depth:
        return rng.choice((0, -1, 1 << 40, "a", True, 1.5))
    inner = [_nested(rng, depth - 1) for _ in range(rng.randrange(1, 3))]
    return inner if rng.random() < 0.5 else dict(zip((0, "b"), inner, strict=False))


def depth_of(value: Any) -> int:
    # An empty array or map has no level below it.
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=-1)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=-1)
    assert isinstance(value, int | float | str | Decimal), value
    return 0


def items_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(items_of(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return 1 + sum(map(items_of, value))
    # A decimal fraction is a tag and an array of two.
    return 4 if isinstance(value, Decimal) else 1


def heads_in(data: bytes) -> int:
    """How many items there are in all of `data`, which is CBOR as it should be."""
    found = at = 0
    while at < len(data):
        major, info = data[at] >> 5, data[at] & 31
        size = 1 << info - 24 if 24 <= info <= 27 else 0
        argument = int.from_bytes(data[at + 1 : at + 1 + size], "big") if size else info
        found += data[at] != 0xFF
        at += 1 + size + (argument if major == 3 else 0)
    return found


class Cborshape(Target):
    refusals = (PackError,)
    traced = ("feltpost_gateway.cborshape",)
    tokens = (b"\xc4\x82", b"\x9f", b"\xbf", b"\xff", b"\x1b" + bytes(8), b"\xfb", b"\xf9\x7e\x00")
    executions = 1500

    def generate(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return cbor_grammar.item(rng)
        return cbor_grammar.encode(rng, _nested(rng, rng.randrange(7)), 0.01)

    def run(self, data: bytes) -> None:
        check_shape(data)
        value = cbor2.loads(data)
        assert depth_of(value) <= _DEPTH
        # Nothing was passed over: no second item, and no key that another one has hidden.
        assert items_of(value) == heads_in(data)
        again = cbor2.dumps(value)
        check_shape(again)
        # By their bytes, as a NaN is not equal to itself.
        assert cbor2.dumps(cbor2.loads(again)) == again
