"""A technician always gets in: 0x03 outside a frame stops the application, inside it is data."""

import asyncio
import os
import subprocess
import sys
import tty

import pytest

from feltpost_gateway import slipmux

PROMPT = b">>> "
WAIT_S = 10


async def hand_over_the_line(running):
    """Stop the gateway, for one line has one reader, and take its place."""
    await running.gateway.stop()
    # Time must not race while somebody reads: a terminal that can't keep up loses output.
    running.world.listening = lambda: True
    # Nor may the hour pass in a moment after which the watchdog ends a prompt. The minute between
    # two rounds of readings is a second now.
    running.world.speed = 60


class Terminal:
    """The technician's end of a board's serial line."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._fd)
        os.set_blocking(self._fd, False)
        self._data = bytearray()
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self):
        self._data += os.read(self._fd, 4096)
        self._more.set()

    def send(self, data):
        os.write(self._fd, data)

    async def expect(self, text):
        """Wait for text and return what came up to its end."""
        async with asyncio.timeout(WAIT_S):
            while text not in self._data:
                self._more.clear()
                await self._more.wait()
        end = self._data.index(text) + len(text)
        seen = bytes(self._data[:end])
        del self._data[:end]
        return seen

    def close(self):
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


@pytest.fixture
def on_terminal(rig):
    """Return a function that runs a coroutine function on the terminal of a running node.

    The gateway is stopped first: one line, one reader.
    """

    def go(script):
        async def run():
            async with rig(["serial"]) as running:
                await running.until(120)
                await hand_over_the_line(running)
                terminal = Terminal(running.nodes[0].board.line.path)
                try:
                    await script(terminal, running)
                finally:
                    terminal.close()

        asyncio.run(run())

    return go


def test_interrupt_outside_a_frame_gives_the_prompt(on_terminal):
    async def script(terminal, _):
        terminal.send(b"\r\x03")
        seen = await terminal.expect(PROMPT)
        assert b"KeyboardInterrupt" in seen
        terminal.send(b"6 * 7\r")
        assert b"42" in await terminal.expect(PROMPT)

    on_terminal(script)


def test_interrupt_inside_a_frame_is_data(on_terminal):
    async def script(terminal, running):
        frame = slipmux.encode_coap(b"\x60\x03\x03\x03")
        assert b"\x03" in frame
        terminal.send(frame)
        # The application goes on: it sends readings as before.
        before = running.ledger.nodes["node-1"].sampled
        while running.ledger.nodes["node-1"].sampled < before + 4:
            await terminal.expect(b"\xc0\xa9")
        # And it is still the application that the next one stops.
        terminal.send(b"\r\x03")
        assert b"KeyboardInterrupt" in await terminal.expect(PROMPT)

    on_terminal(script)


def test_a_frame_that_never_ends_does_not_lock_the_technician_out(on_terminal):
    async def script(terminal, running):
        terminal.send(b"\xc0\xa9begun, and the cable was pulled")
        before = running.simulated_s
        while running.simulated_s < before + 1:
            await terminal.expect(b"\xc0\xa9")
        terminal.send(b"\r\x03")
        await terminal.expect(PROMPT)

    on_terminal(script)


def test_mpremote_gets_into_a_running_node_and_leaves_it_usable(rig):
    async def run():
        async with rig(["serial"]) as running:
            await running.until(120)
            await hand_over_the_line(running)
            port = running.nodes[0].board.line.path
            mpremote = [sys.executable, "-m", "mpremote", "connect", str(port)]
            result = await asyncio.to_thread(
                subprocess.run,
                [*mpremote, "resume", "exec", "print(6 * 7)"],
                capture_output=True,
                timeout=30,
            )
            assert (result.returncode, result.stdout.strip()) == (0, b"42"), result
            listing = await asyncio.to_thread(
                subprocess.run, [*mpremote, "fs", "ls"], capture_output=True, timeout=30
            )
            assert b"main.py" in listing.stdout, listing

    asyncio.run(run())


def test_a_node_without_a_key_says_so_and_gives_the_prompt(rig, tmp_path):
    async def run():
        async with rig(["serial"]) as running:
            board = running.nodes[0].board
            await board.power_off()
            board.nvs.erase("feltpost/key")
            board.nvs.commit()
            await hand_over_the_line(running)
            terminal = Terminal(board.line.path)
            await board.power_on()
            seen = await terminal.expect(PROMPT)
            assert b"can't start: no key in NVS; enrol the node" in seen
            terminal.close()

    asyncio.run(run())
