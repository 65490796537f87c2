"""Encodes what a node tells the gateway once per boot (report.py).

Of use while the node starts, and not in memory after that.
"""

import sys

from micropython import const

from . import VERSION, cbor, crash

_VERSION = const(0)
_MICROPYTHON = const(1)
_BOARD = const(2)
_CAUSE = const(3)
_PROBLEMS = const(4)
_TRACEBACK = const(5)
_SAFE = const(6)

# With CoAP and OSCORE around it, well within one message.
_BYTES = const(512)
_PROBLEM_BYTES = const(120)
# What is in every report takes less: versions, a board's text of so many bytes at most, numbers,
# and the heads of the others.
_FIXED_BYTES = const(208)
# What the uptime takes, which report.py adds; and what an array of problems takes beside it: key,
# its head, and the head of each.
_UPTIME_BYTES = const(6)
_ARRAY_BYTES = const(3)
_TEXT_BYTES = const(2)


def encode(boots, board, problems):
    """Return the report as bytes in CBOR, a map of which the uptime is yet to be added at its end,
    and whether a traceback is in it.
    """
    traceback = _traceback(boots.crashes)
    # Most reports are short, and a long buffer is hard to find in a heap that is nearly full.
    room = _FIXED_BYTES + len(traceback or b"") + (_PROBLEM_BYTES + _TEXT_BYTES) * len(problems)
    room = min(room, _BYTES)
    encoder = cbor.Encoder(bytearray(room))
    encoder.map(4 + (boots.cause != 0) + bool(problems) + bool(traceback) + boots.safe)
    encoder.int(_VERSION)
    encoder.text(VERSION)
    encoder.int(_MICROPYTHON)
    encoder.text(".".join([str(number) for number in sys.implementation.version[:3]]))
    encoder.int(_BOARD)
    encoder.text(_cut(board))
    if boots.cause:
        encoder.int(_CAUSE)
        encoder.int(boots.cause)
    if boots.safe:
        encoder.int(_SAFE)
        encoder.bool(True)
    if traceback:
        encoder.int(_TRACEBACK)
        encoder.text(traceback)
    if problems:
        encoder.int(_PROBLEMS)
        _texts(encoder, problems, room)
    return bytes(encoder.view()), bool(traceback)


def _traceback(more):
    # The kept one, UTF-8, and how many crashes there have been since; None where there is none.
    text = crash.kept()
    return text + "\n{} more crashes since".format(more).encode() if text and more else text


def _texts(encoder, problems, room):
    texts = []
    left = room - encoder.pos - _ARRAY_BYTES - _UPTIME_BYTES
    for problem in problems:
        text = _cut(problem)
        left -= len(text) + _TEXT_BYTES
        if left < 0:
            break
        texts.append(text)
    encoder.array(len(texts))
    for text in texts:
        encoder.text(text)


def _cut(text):
    # Its first bytes, whole characters only: bytes that begin with 0b10 are inside one.
    data = text.encode()
    end = min(len(data), _PROBLEM_BYTES)
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end -= 1
    return data[:end]
