"""Slipmux (draft-bormann-t2trg-slipmux): CoAP, diagnostics and console text on one serial line.

Both directions, and nothing but bytes: the clock and the port belong to the caller.
"""

from dataclasses import dataclass

_END = 0xC0
_ESC = 0xDB
_ESC_END = 0xDC
_ESC_ESC = 0xDD

_COAP = 0xA9
_DIAGNOSTIC = 0x0A

FRAME_MAX_BYTES = 1152
"""A receiver gives a frame up after this many bytes, counted before unescaping."""

_CONSOLE_MAX_BYTES = 256

_FCS_INIT = 0xFFFF
_FCS_GOOD = 0xF0B8


def _fcs_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_FCS_TABLE = _fcs_table()


def _fcs(data: bytes | bytearray) -> int:
    """Return the running FCS-16 (RFC 1662 appendix C.2) over `data`, not yet complemented."""
    fcs = _FCS_INIT
    for byte in data:
        fcs = fcs >> 8 ^ _FCS_TABLE[(fcs ^ byte) & 0xFF]
    return fcs


def _frame(content: bytes) -> bytes:
    escaped = content.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


def encode_coap(message: bytes) -> bytes:
    """Return the frame that carries a CoAP message."""
    content = bytes((_COAP,)) + message
    return _frame(content + (_fcs(content) ^ 0xFFFF).to_bytes(2, "little"))


def encode_diagnostic(text: str) -> bytes:
    """Return the frame that carries one diagnostic text."""
    return _frame(bytes((_DIAGNOSTIC,)) + text.encode())


@dataclass(frozen=True)
class Coap:
    """A CoAP message whose frame check was right."""

    message: bytes


@dataclass(frozen=True)
class Diagnostic:
    """One diagnostic text, undecodable bytes replaced."""

    text: str


@dataclass(frozen=True)
class Console:
    """A line of console text, or the part of one that came before a frame or 256 bytes."""

    text: str


Item = Coap | Diagnostic | Console


class Decoder:
    """Takes a serial line apart.

    Every END may open a frame, also the one that closed the last: a receiver that lost one END
    would otherwise take the inside of frames for the outside from there on.
    """

    def __init__(self) -> None:
        self.bad_frames = 0
        self._frame: bytearray | None = None
        self._raw_count = 0
        self._escaped = False
        self._at_start = False
        self._skipping = False
        self._console = bytearray()

    @property
    def in_frame(self) -> bool:
        """True between an END that may have opened a frame and the one that closes it."""
        return self._at_start or self._skipping or self._frame is not None

    def feed(self, data: bytes) -> list[Item]:
        """Return what is complete after `data`; never raises, whatever the bytes."""
        items: list[Item] = []
        for byte in data:
            if byte == _END:
                self._end(items)
            elif self._frame is not None:
                self._in_frame(byte)
            elif self._skipping:
                pass
            elif self._at_start and byte in (_COAP, _DIAGNOSTIC):
                self._flush_console(items)
                self._at_start = False
                self._frame = bytearray((byte,))
                self._raw_count = 1
            else:
                self._at_start = False
                self._console.append(byte)
                if byte == 0x0A or len(self._console) >= _CONSOLE_MAX_BYTES:
                    self._flush_console(items)
        return items

    def abandon(self) -> list[Item]:
        """Give up the frame that is under way, after 250 ms without a byte.

        What looked like a diagnostic was console text that began with a line feed.
        """
        items: list[Item] = []
        if self._frame is not None:
            if self._frame[0] == _DIAGNOSTIC:
                self._console += self._frame
            else:
                self.bad_frames += 1
        self._reset()
        self._at_start = False
        self._flush_console(items)
        return items

    def _in_frame(self, byte: int) -> None:
        assert self._frame is not None
        self._raw_count += 1
        if self._raw_count > FRAME_MAX_BYTES:
            self._give_up()
        elif self._escaped:
            self._escaped = False
            if byte == _ESC_END:
                self._frame.append(_END)
            elif byte == _ESC_ESC:
                self._frame.append(_ESC)
            else:
                self._give_up()
        elif byte == _ESC:
            self._escaped = True
        else:
            self._frame.append(byte)

    def _give_up(self) -> None:
        self.bad_frames += 1
        self._reset()
        self._skipping = True

    def _end(self, items: list[Item]) -> None:
        frame, escaped = self._frame, self._escaped
        self._reset()
        self._at_start = True
        if frame is None:
            return
        if escaped:
            self.bad_frames += 1
        elif frame[0] == _DIAGNOSTIC:
            items.append(Diagnostic(frame[1:].decode(errors="replace")))
        elif len(frame) > 3 and _fcs(frame) == _FCS_GOOD:
            items.append(Coap(bytes(frame[1:-2])))
        else:
            self.bad_frames += 1

    def _reset(self) -> None:
        self._frame = None
        self._escaped = False
        self._skipping = False

    def _flush_console(self, items: list[Item]) -> None:
        text = self._console.decode(errors="replace").strip()
        self._console.clear()
        if text:
            items.append(Console(text))
