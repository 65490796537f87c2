"""The messages between a simulated board and its simulator.

A stream socket carries them, each with its length in two bytes before it, integers little endian.
The board's side is shims/_host.py.

Board to host
    ``I`` u32 ms, u16 doorbells: idle until input or for ms (0xFFFFFFFF: no limit)
    ``S`` u32 ms, u16 doorbells: asleep for ms
    any other letter, u8 id, payload: a request, answered with a reply

Host to board
    ``r`` u8 id, u8 errno, data: the reply
    ``W`` u32 ticks offset, i64 ms date offset: wake, your time has come
    ``D`` the same: input has been put where you read it
    ``X`` the same, u8 pin: an edge that the pin's interrupt waits for; it counts as a doorbell
"""

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

NO_LIMIT_MS = 0xFFFFFFFF

_LENGTH = struct.Struct("<H")
_REST = struct.Struct("<BIH")
_CLOCK = struct.Struct("<cIq")


class Kind(enum.IntEnum):
    """What a message from the board asks for."""

    IDLE = ord("I")
    SLEEP = ord("S")
    PART = ord("P")
    UNIQUE_ID = ord("u")
    RESET_CAUSE = ord("c")
    NVS_GET = ord("g")
    NVS_PUT = ord("p")
    NVS_ERASE = ord("e")
    NVS_COMMIT = ord("m")
    FLASH_SIZE = ord("f")
    FLASH_READ = ord("R")
    FLASH_WRITE = ord("W")
    FLASH_ERASE = ord("E")
    WLAN_STATE = ord("n")
    WLAN_JOIN = ord("j")
    WLAN_LEAVE = ord("l")
    FILES_WRITE = ord("V")
    FILES_ERASE = ord("v")
    KEYBOARD_INTERRUPT = ord("k")
    INTERRUPT_AGAIN = ord("K")
    DATE_SET = ord("t")
    RTC_READ = ord("q")
    RTC_WRITE = ord("Q")
    WATCHDOG = ord("w")
    HARD_RESET = ord("x")
    DEEP_SLEEP = ord("z")
    PIN_INTERRUPT = ord("i")


@dataclass(frozen=True)
class Rest:
    """The board waits: until input comes (unless asleep), at most limit_ms (None: for ever).

    doorbells: how many of the host's doorbells it had seen, modulo 2**16.
    """

    asleep: bool
    limit_ms: int | None
    doorbells: int


@dataclass(frozen=True)
class Request:
    """The board waits for the reply to a request."""

    kind: Kind
    id: int
    payload: bytes


def split(received: bytearray) -> Iterator[Rest | Request]:
    """Take the board's whole messages off the front of what was received; leave what is begun."""
    while len(received) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
        if len(received) < end:
            return
        message = bytes(received[_LENGTH.size : end])
        del received[:end]
        yield _decode(message)


def _decode(message: bytes) -> Rest | Request:
    kind = Kind(message[0])
    if kind in (Kind.IDLE, Kind.SLEEP):
        _, limit_ms, doorbells = _REST.unpack(message)
        return Rest(kind is Kind.SLEEP, None if limit_ms == NO_LIMIT_MS else limit_ms, doorbells)
    return Request(kind, message[1], message[2:])


def reply(request: Request, data: bytes = b"", errno: int = 0) -> bytes:
    """Answer a request with data, or with an errno that the board raises as OSError."""
    return _with_length(bytes((ord("r"), request.id, errno)) + data)


def wake(ticks_offset_ms: int, date_offset_ms: int) -> bytes:
    """Tell the board that its time has come, and what time it is."""
    return _with_length(_CLOCK.pack(b"W", ticks_offset_ms, date_offset_ms))


def doorbell(ticks_offset_ms: int, date_offset_ms: int) -> bytes:
    """Tell the board that input awaits it, and what time it is."""
    return _with_length(_CLOCK.pack(b"D", ticks_offset_ms, date_offset_ms))


def interrupt(ticks_offset_ms: int, date_offset_ms: int, pin: int) -> bytes:
    """Tell the board of an edge at one of its pins, and what time it is."""
    return _with_length(_CLOCK.pack(b"X", ticks_offset_ms, date_offset_ms) + bytes((pin,)))


def _with_length(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message
