"""A decoder that has every fault there is, for the tests of the fuzzer."""

from __future__ import annotations


class RefusedError(Exception):
    """The input is refused, as it may be."""


def _deep(data: bytes) -> None:
    # Each letter is a step of its own.
    if data[:1] != b"d":
        return
    if data[1:2] != b"e":
        return
    if data[2:3] != b"e":
        return
    assert data[3:4] != b"p"


def _endless(data: bytes) -> None:
    _endless(data)


def take(data: bytes) -> None:
    """Look at the letters of an input."""
    _deep(data)
    if b"E" in data:
        raise IndexError
    # As a whole, so that no mutation comes here.
    assert data != b"assertion"
    if data == b"recursion":
        _endless(data)
    while data == b"endlessly":
        pass
    if data == b"memory":
        bytes(1 << 24)
    if data[:1] == b"n":
        raise RefusedError
