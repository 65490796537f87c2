"""CBOR (RFC 8949) as nobody should write it: any item, and given values with parts gone wrong."""

from __future__ import annotations

import random
import struct
from typing import Any

_EDGES = (0, 1, 23, 24, 255, 256, 65_535, 65_536, (1 << 31) - 1, 1 << 32, (1 << 63), (1 << 64) - 1)
_SIMPLE = (20, 21, 22, 23, 19, 31)
_TAGS = (0, 1, 2, 3, 4, 4, 4, 5, 28, 29, 30, 35, 55_799)
_FLOATS = (0.0, -0.0, 1.5, 1e300, 5e-324, 65_504.0, 0.1, float("inf"), float("nan"))
_TEXTS = ("", "co2", "temperature", "urn:dev:mac:020000fffe000001_", "æ", "\0", "x" * 70)
_DEPTH = 6
_ODDNESS = 0.03


def head(rng: random.Random, major: int, argument: int, oddness: float = _ODDNESS) -> bytes:
    """A head, now and then longer than it need be; `oddness` is how likely it lies."""
    if rng.random() < oddness:
        return bytes((major << 5 | 31,))
    if rng.random() < oddness:
        argument = rng.choice(_EDGES)
    sizes = [size for size in (0, 1, 2, 4, 8) if argument < (24 if not size else 1 << 8 * size)]
    size = sizes[0] if rng.random() < 0.9 else rng.choice(sizes)
    if not size:
        return bytes((major << 5 | argument,))
    return bytes((major << 5 | 23 + size.bit_length(),)) + argument.to_bytes(size, "big")


def item(rng: random.Random, depth: int = _DEPTH) -> bytes:
    """Any item, or what begins as one."""
    kind = rng.randrange(9 if depth else 5)
    if kind < 2:
        return head(rng, kind, rng.choice((rng.choice(_EDGES), rng.randrange(100))))
    if kind == 2:
        content = rng.randbytes(rng.choice((0, 1, 8, 16, 17)))
        return head(rng, 2, len(content)) + content
    if kind == 3:
        return encode(rng, rng.choice(_TEXTS), 0)
    if kind == 4:
        return encode(rng, rng.choice(_FLOATS), 0)
    if kind == 5:
        return bytes((0xE0 | rng.choice(_SIMPLE),))
    if kind == 6:
        return head(rng, 6, rng.choice(_TAGS)) + item(rng, depth - 1)
    count = rng.choice((0, 1, 2, 2, 3, 5))
    parts = [item(rng, depth - 1) for _ in range(count * (kind - 6))]
    end = b"\xff" if rng.random() < 0.05 else b""
    return head(rng, kind - 3, count) + b"".join(parts) + end


def encode(rng: random.Random, value: Any, wildness: float) -> bytes:
    """A value of integers, floats, texts, bytes, lists and maps; `wildness` is how likely it is
    that a part of it is something else.
    """
    if rng.random() < wildness:
        return item(rng, 2)
    if isinstance(value, bool) or value is None:
        return bytes((0xF6 if value is None else 0xF4 + value,))
    if isinstance(value, float):
        return _float(rng, value)
    oddness = wildness / 2
    if isinstance(value, int):
        return head(rng, value < 0, value if value >= 0 else -1 - value, oddness)
    if isinstance(value, str | bytes):
        content = value.encode() if isinstance(value, str) else value
        return head(rng, 3 if isinstance(value, str) else 2, len(content), oddness) + content
    major, parts = 4, value
    if isinstance(value, dict):
        major, parts = 5, [part for pair in value.items() for part in pair]
    content = b"".join(encode(rng, part, wildness) for part in parts)
    if rng.random() < _ODDNESS:
        return bytes((major << 5 | 31,)) + content + b"\xff"
    return head(rng, major, len(value), oddness) + content


def _float(rng: random.Random, value: float) -> bytes:
    forms = [(b"\xfb", ">d"), (b"\xfa", ">f"), (b"\xf9", ">e")]
    rng.shuffle(forms)
    for initial, form in forms:
        try:
            return initial + struct.pack(form, value)
        except OverflowError:
            continue
    raise AssertionError(value)
