"""What a person sees of a line that text and frames share."""

import pytest

from feltpost_gateway import slipmux
from feltpost_tools.monitor import Screen, describe

MESSAGE = bytes.fromhex("42021a2bbeef") + b"\xb1jprotected"
LINE = "CON POST id=1a2b token=beef 17 bytes"


@pytest.fixture
def screen():
    """Return a function that makes a screen and the bytes that it writes."""

    def make(frames=False):
        written = bytearray()
        return Screen(written.extend, frames), written

    return make


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_frames_are_taken_out_and_text_is_not(screen, size):
    made, written = screen()
    data = b"boot\r\n" + slipmux.encode_coap(MESSAGE) + b">>> 6 * 7\r\n42\r\n"
    for start in range(0, len(data), size):
        made.feed(data[start : start + size])
    assert written == b"boot\r\n>>> 6 * 7\r\n42\r\n"


def test_a_prompt_is_seen_before_its_line_ends(screen):
    made, written = screen()
    made.feed(b">>> ")
    assert written == b">>> "


def test_diagnostics_are_lines(screen):
    made, written = screen()
    made.feed(b"half" + slipmux.encode_diagnostic("sensor lost\n") + b"way\n")
    assert written == b"half\nsensor lost\nway\n"


def test_frames_are_lines_when_asked_for(screen):
    made, written = screen(frames=True)
    made.feed(slipmux.encode_coap(MESSAGE) * 2)
    assert written.decode() == f"· {LINE}\n" * 2


def test_a_frame_that_is_none_is_shown_after_a_silence(screen):
    made, written = screen()
    # A line feed after a frame may begin a diagnostic.
    made.feed(slipmux.encode_coap(MESSAGE) + b"\nMicroPython\n>>> ")
    assert made.in_frame and not written
    made.silence()
    assert b"MicroPython" in written and not made.in_frame


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (MESSAGE, LINE),
        (bytes.fromhex("60451a2b"), "ACK 2.05 id=1a2b token=- 4 bytes"),
        (bytes.fromhex("70000001"), "RST 0.00 id=0001 token=- 4 bytes"),
        (bytes.fromhex("4002"), "CoAP? 4002"),
    ],
)
def test_a_message_in_a_line(message, line):
    assert describe(message) == line
