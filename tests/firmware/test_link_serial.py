"""The node's serial link on MicroPython, at the other end of a pseudo-terminal."""

from __future__ import annotations

import os
import select
import subprocess
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from feltpost_tools.sim.interpreter import Interpreter

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = Path(__file__).with_name("serial_node.py")

DEADLINE_S = 20
# A node gives a frame up after 250 ms of silence; this is silence for certain.
SILENCE_S = 0.6

READY = b"\x0aready\n"
INTERRUPTED = b"\x0ainterrupted\n"


def frame(message: bytes) -> bytes:
    checked = b"\xa9" + message
    fcs = 0xFFFF
    for byte in checked:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ (0x8408 if fcs & 1 else 0)
    checked += (fcs ^ 0xFFFF).to_bytes(2, "little")
    return b"\xc0" + checked.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Line:
    """This end of the line."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.fd, theirs = os.openpty()
        tty.setraw(theirs)
        self.process = subprocess.Popen(
            [*interpreter.command, "-X", "heapsize=128K", str(SCRIPT)],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        )
        os.close(theirs)
        self._text = b""

    def send(self, data: bytes) -> None:
        os.write(self.fd, data)

    def quiet(self, duration_s: float) -> bool:
        """Return whether nothing comes for so long."""
        return not self._text and not select.select([self.fd], [], [], duration_s)[0]

    def receive(self) -> bytes:
        """Return the next frame from its kind on, unescaped."""
        while self._text.count(b"\xc0") < 2:
            ready, _, _ = select.select([self.fd], [], [], DEADLINE_S)
            assert ready, "the node says nothing"
            self._text += os.read(self.fd, 4096)
        _, content, self._text = self._text.split(b"\xc0", 2)
        return content.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")

    def exchange(self, message: bytes) -> None:
        """Send a message and see it come back."""
        self.send(frame(message))
        assert self.receive()[1:-2] == message


@pytest.fixture
def line(micropython: Interpreter) -> Iterator[Line]:
    line = Line(micropython)
    assert line.receive() == READY
    yield line
    line.process.kill()
    line.process.communicate()
    os.close(line.fd)


def test_datagrams_pass_both_ways(line: Line) -> None:
    for message in (b"a", b"\x03\x03", b"\xc0\xdb\xdc\xdd" * 30, bytes(range(256)) + bytes(62)):
        line.exchange(message)


@pytest.mark.parametrize("before", [b"", b"\r", b"text", b"\xc0", b"\xc0\xc0"])
def test_an_interrupt_outside_frames_stops_the_application(line: Line, before: bytes) -> None:
    line.send(before + b"\x03")
    assert line.receive() == INTERRUPTED


def test_an_interrupt_right_behind_a_frame(line: Line) -> None:
    line.exchange(b"message")
    line.send(frame(b"") + b"\x03")
    assert line.receive() == INTERRUPTED


def test_an_interrupt_in_a_frame_that_comes_in_pieces_is_data(line: Line) -> None:
    message = b"before\x03after"
    whole = frame(message)
    cut = whole.index(b"\x03")
    line.send(whole[:cut])
    line.send(whole[cut : cut + 1])
    line.send(whole[cut + 1 :])
    assert line.receive()[1:-2] == message
    line.exchange(b"still here")


def test_a_frame_that_stops_in_the_middle_is_given_up(line: Line) -> None:
    line.send(frame(b"message")[:5])
    assert line.quiet(SILENCE_S)
    line.send(b"\x03")
    assert line.receive() == INTERRUPTED


def test_a_frame_after_one_that_stopped_in_the_middle(line: Line) -> None:
    line.send(frame(b"message")[:5])
    line.exchange(b"next")


def test_a_frame_without_end_is_given_up(line: Line) -> None:
    line.send(b"\xc0\xa9" + b"\x03" * 1152)
    line.exchange(b"next")
    line.send(b"\xc0\xa9" + b"a" * 1152 + b"\x03")
    assert line.receive() == INTERRUPTED


def test_noise_and_damaged_frames_are_dropped(line: Line) -> None:
    damaged = bytearray(frame(b"message"))
    damaged[4] ^= 1
    line.send(b"text\xff" + bytes(damaged) + b"more text")
    line.exchange(b"next")


def test_more_frames_at_once_than_there_is_room_for(line: Line) -> None:
    messages = [bytes((number,)) * 3 for number in range(0x20, 0x60)]
    line.send(b"".join(frame(message) for message in messages))
    line.send(frame(b"last"))
    # Some are dropped, as datagrams may be, but what arrives is whole and in order.
    received = [line.receive()[1:-2]]
    while not line.quiet(SILENCE_S):
        received.append(line.receive()[1:-2])
    assert set(received) <= {*messages, b"last"}
    assert received == sorted(received)
    line.exchange(b"next")


def test_the_end_of_the_line_ends_the_reader(micropython: Interpreter) -> None:
    done = subprocess.run(
        [*micropython.command, str(SCRIPT)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        timeout=DEADLINE_S,
    )
    assert b"ended" in done.stdout
