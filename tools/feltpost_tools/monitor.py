"""A board's console for people: its text as it comes, without the frames that share the line."""

from collections.abc import Callable

from feltpost_gateway import slipmux

FRAME_SILENCE_S = 0.25
"""After so long without a byte in a frame, Screen.silence() is to be called."""

_END = 0xC0

_HEADER_BYTES = 4
_TYPES = ("CON", "NON", "ACK", "RST")
_METHODS = {1: "GET", 2: "POST", 3: "PUT", 4: "DELETE", 5: "FETCH"}


class Screen:
    """Takes what comes from the line apart, and writes what people should see of it.

    write is given UTF-8 with "\\n", or what the board has for it. frames: show each CoAP message as
    a line. Text goes out byte by byte as it comes, so that a prompt is seen.
    """

    def __init__(self, write: Callable[[bytes], None], frames: bool) -> None:
        self._write = write
        self._frames = frames
        self._decoder = slipmux.Decoder()
        self._at_start = True

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._decoder.in_frame

    def feed(self, data: bytes) -> None:
        """Take bytes from the line."""
        text = bytearray()
        for byte in data:
            # What the decoder gives as console text is whole lines; it went out before.
            for item in self._decoder.feed(bytes((byte,))):
                if not isinstance(item, slipmux.Console):
                    self._put(text)
                    text.clear()
                    self._show(item)
            if byte != _END and not self._decoder.in_frame:
                text.append(byte)
        self._put(text)

    def silence(self) -> None:
        """Take it that what looked like a frame was none, or is lost."""
        for item in self._decoder.abandon():
            if isinstance(item, slipmux.Console):
                self.note(item.text)

    def note(self, text: str) -> None:
        """Write a line that is no text of the console."""
        start = "" if self._at_start else "\n"
        self._put(f"{start}{text}\n".encode())

    def _show(self, item: slipmux.Item) -> None:
        if isinstance(item, slipmux.Diagnostic):
            self.note(item.text.rstrip())
        elif isinstance(item, slipmux.Coap) and self._frames:
            self.note(f"· {describe(item.message)}")

    def _put(self, text: bytes | bytearray) -> None:
        if text:
            self._write(bytes(text))
            self._at_start = text.endswith(b"\n")


def describe(message: bytes) -> str:
    """Return a CoAP message in one line (RFC 7252, section 3).

    What OSCORE has protected can't be shown: the outer code is POST or 2.04 whatever is inside.
    """
    if len(message) < _HEADER_BYTES:
        return f"CoAP? {message.hex()}"
    kind = _TYPES[message[0] >> 4 & 3]
    token = message[_HEADER_BYTES : _HEADER_BYTES + (message[0] & 15)].hex()
    code = message[1]
    what = _METHODS.get(code) if code < 32 else None
    number = int.from_bytes(message[2:4], "big")
    name = what or f"{code >> 5}.{code & 31:02}"
    return f"{kind} {name} id={number:04x} token={token or '-'} {len(message)} bytes"
