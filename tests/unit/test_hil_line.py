"""What lies between a board's port and the gateway in a test, and what is heard there."""

import asyncio
import os
import re

import pytest

from feltpost_gateway import slipmux
from feltpost_tools.errors import PortUnavailable
from feltpost_tools.faults.disturbance import later
from feltpost_tools.hil.console import Console
from feltpost_tools.hil.serial_relay import SerialRelay
from feltpost_tools.sim.console import SerialLine

WAIT_S = 10


class Ends:
    """A board's end of a serial line and a gateway's, with a relay between them."""

    def __init__(self, folder):
        self.to_board = bytearray()
        self.heard = bytearray()
        self._came = asyncio.Event()
        self.board = SerialLine(folder / "board", self._board_got, lambda: None, later)
        self.board.plug()
        self.relay = SerialRelay(str(folder / "board"), folder / "gateway", self._hear)
        self.relay.line.plug()
        self.relay.take_port()
        self.gateway = os.open(folder / "gateway", os.O_RDWR | os.O_NOCTTY)
        os.set_blocking(self.gateway, False)

    def _board_got(self, data):
        self.to_board += data
        self._came.set()

    def _hear(self, data):
        self.heard += data
        self._came.set()

    async def until(self, met):
        async with asyncio.timeout(WAIT_S):
            while not met():
                self._came.clear()
                await self._came.wait()


@pytest.fixture
def on_line(tmp_path):
    """Return a function that runs a coroutine function with the two ends."""

    def go(script):
        async def run():
            ends = Ends(tmp_path)
            try:
                await script(ends)
            finally:
                ends.relay.close()
                os.close(ends.gateway)
                if ends.board.plugged:
                    ends.board.unplug()

        asyncio.run(run())

    return go


def test_both_ways_and_heard(on_line):
    async def script(ends):
        os.write(ends.gateway, b"to the board")
        await ends.until(lambda: ends.to_board == b"to the board")
        ends.board.send(b"from it")
        await ends.until(lambda: ends.heard == b"from it")
        assert os.read(ends.gateway, 99) == b"from it"

    on_line(script)


def test_the_port_is_left_to_others_and_taken_again(on_line):
    async def script(ends):
        ends.relay.leave_port()
        os.write(ends.gateway, b"nobody there")
        ends.relay.take_port()
        os.write(ends.gateway, b"again")
        await ends.until(lambda: ends.to_board.endswith(b"again"))

    on_line(script)


def test_a_port_that_goes_away_is_let_go(on_line):
    async def script(ends):
        ends.board.unplug()
        async with asyncio.timeout(WAIT_S):
            while ends.relay.port is not None:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
        ends.relay.send(b"lost")
        with pytest.raises(PortUnavailable):
            ends.relay.take_port()

    on_line(script)


def test_messages_reach_the_tap_from_the_boards_side(on_line):
    class Tap:
        def __init__(self):
            self.seen = []

        def from_node(self, message):
            self.seen.append(("sent", message))

        def to_node(self, message):
            self.seen.append(("got", message))

    async def script(ends):
        ends.relay.tap = Tap()
        ends.board.send(slipmux.encode_coap(b"a request"))
        await ends.until(lambda: ends.heard)
        os.write(ends.gateway, slipmux.encode_coap(b"an answer"))
        await ends.until(lambda: ends.to_board)
        assert ends.relay.tap.seen == [("sent", b"a request"), ("got", b"an answer")]

    on_line(script)


def test_a_console_is_waited_for_in_order_and_kept_with_the_time(tmp_path):
    async def run():
        console = Console("bench-1", tmp_path / "log")
        console.hear(b"first\n" + slipmux.encode_diagnostic("gateway answers") + b"second\n>>> ")
        assert (await console.wait_for(r"f(\w+)", WAIT_S))[1] == "irst"
        await console.wait_for("answers", WAIT_S)
        # A prompt has no end of line, and comes all the same.
        await console.wait_for(">>>", WAIT_S)
        console.note("reset")
        with pytest.raises(TimeoutError, match="(?s)bench-1 did not say 'first'.*second"):
            await console.wait_for("first", 0)
        console.close()

    asyncio.run(run())
    lines = (tmp_path / "log").read_text().splitlines()
    times, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    assert texts == ("first", "gateway answers", "second", ">>>", "-- reset")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)
