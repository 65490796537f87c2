"""Seeded mutations of bytes: flips, numbers at the edge, blocks and lines moved, tokens put in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x1F, 0x20, 0x3F, 0x5F, 0x7E, 0x9F, 0xBF, 0xC0, 0xDB, 0xFB)
_MOST_AT_ONCE = 6


def _place(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 8, 32)))


def _flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        at = rng.randrange(len(data))
        data[at] = rng.choice((rng.choice(_EDGES), rng.randrange(256), data[at] + 1 & 0xFF))


def _cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, end = _place(rng, data)
    del data[start : rng.choice((end, end, len(data)))]


def _double(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, end = _place(rng, data)
    data[start:start] = data[start:end] * rng.choice((1, 1, 2, 16))


def _move(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, end = _place(rng, data)
    piece = data[start:end]
    del data[start:end]
    at = rng.randrange(len(data) + 1)
    data[at:at] = piece


def _insert(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4, 9)))


def _token(rng: random.Random, data: bytearray, tokens: Sequence[bytes]) -> None:
    start, end = _place(rng, data)
    data[start : rng.choice((start, end))] = rng.choice(tokens)


def _lines(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    lines = data.splitlines(keepends=True)
    if lines:
        line = lines[rng.randrange(len(lines))]
        lines.insert(rng.randrange(len(lines) + 1), line)
        if rng.random() < 0.5:
            lines.remove(line)
        data[:] = b"".join(lines)


_WAYS: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    _flip,
    _set,
    _cut,
    _double,
    _move,
    _insert,
    _lines,
)


def mutate(rng: random.Random, data: bytes, tokens: Sequence[bytes] = ()) -> bytes:
    """Return `data` with one change or a few."""
    changed = bytearray(data)
    ways = (*_WAYS, _token, _token, _token) if tokens else _WAYS
    for _ in range(rng.choice((1, 1, 2, 3, _MOST_AT_ONCE))):
        rng.choice(ways)(rng, changed, tokens)
    return bytes(changed)


def splice(rng: random.Random, first: bytes, second: bytes) -> bytes:
    """Return the beginning of one input and the end of another."""
    return first[: rng.randrange(len(first) + 1)] + second[rng.randrange(len(second) + 1) :]
