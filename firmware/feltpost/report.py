"""What a node tells the gateway once per boot: versions, why it restarted, what is wrong with it.

docs/protocol.md, ``PUT /h/<boot>``.
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
_UPTIME = const(7)

# With CoAP and OSCORE around it, well within one message.
_BYTES = const(896)
_PROBLEM_BYTES = const(120)
# Key and value of the uptime, which is written anew each time the report is sent; and what an array
# of problems takes beside them: key, its head, and the head of each.
_UPTIME_BYTES = const(6)
_ARRAY_BYTES = const(3)
_TEXT_BYTES = const(2)


class Report:
    """The report of one boot, encoded while the heap is fresh.

    path: where it is to be put. problems: texts; those that don't fit are left out, and the longest
    cut. board: a text for people.
    """

    def __init__(self, boot, boots, board, problems, clock):
        self.path = ("h", str(boot))
        self._boots = boots
        self._clock = clock
        traceback = _traceback(boots.crashes)
        encoder = cbor.Encoder(bytearray(_BYTES))
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
            _texts(encoder, problems)
        encoder.int(_UPTIME)
        self._uptime_at = encoder.pos
        data = bytearray(encoder.pos + _UPTIME_BYTES)
        data[: encoder.pos] = encoder.view()
        self._encoder = cbor.Encoder(data)

    def payload(self):
        """Return the report with the uptime of now, as a memoryview; Content-Format 60."""
        self._encoder.pos = self._uptime_at
        self._encoder.int(self._clock.uptime_ms() // 1000)
        return self._encoder.view()

    def delivered(self):
        """Forget the traceback, which the gateway has on disk; the boot is a good one."""
        crash.forget()
        self._boots.reported()


def _traceback(more):
    # The kept one, UTF-8, and how many crashes there have been since; None where there is none.
    text = crash.kept()
    return text + "\n{} more crashes since".format(more).encode() if text and more else text


def _texts(encoder, problems):
    texts = []
    left = _BYTES - encoder.pos - _ARRAY_BYTES - _UPTIME_BYTES
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
