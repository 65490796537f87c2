"""The serial link on a pseudo-terminal: noise, hang-ups, other boards under the same path."""

from __future__ import annotations

import asyncio
import logging
import os
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiocoap.message import Message
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, make_config, running
from tests.support.node import Node, NodeKeys, pack

from feltpost_gateway.slipmux import Coap, Decoder, encode_coap, encode_diagnostic

Run = Callable[[Any], None]


class Board(Node):
    """A node at the other end of a pseudo-terminal, which has a symlink as its stable path."""

    def __init__(self, link: Path, keys: NodeKeys) -> None:
        super().__init__(9, keys)
        self._link = link
        self.plug_in()

    def plug_in(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(slave))
        os.close(slave)
        self._decoder = Decoder()

    def unplug(self) -> None:
        os.close(self.master)

    async def exchange(self, datagram: bytes, timeout_s: float = 20) -> Message:
        """Send a frame, as often as CoAP would, until an answer comes."""
        async with asyncio.timeout(timeout_s):
            while True:
                os.write(self.master, encode_coap(datagram))
                try:
                    async with asyncio.timeout(1):
                        return await self._answer()
                except TimeoutError:
                    continue

    async def _answer(self) -> Message:
        loop = asyncio.get_running_loop()
        while True:
            readable = loop.create_future()
            loop.add_reader(self.master, lambda f=readable: f.done() or f.set_result(None))
            try:
                await readable
                data = os.read(self.master, 4096)
            except OSError:
                # Nobody has the other end open yet.
                loop.remove_reader(self.master)
                await asyncio.sleep(0.05)
                continue
            finally:
                loop.remove_reader(self.master)
            for item in self._decoder.feed(data):
                if isinstance(item, Coap):
                    return Message.decode(item.message)


def serial_config(directory: Path, link: Path) -> Any:
    return make_config(directory, serial=[{"port": str(link)}], udp=None)


def test_noise_and_a_frame_cut_off(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = tmp_path / "tty"

    async def scenario() -> None:
        board = Board(link, NodeKeys(b"\x01", KEYS[b"\x01"]))
        async with running(serial_config(tmp_path, link)):
            assert (await board.put(1, 0, pack(2))).code == codes.CHANGED
            os.write(board.master, bytes(range(256)) * 8)
            os.write(board.master, encode_diagnostic("sensor \x1b[31mlost"))
            os.write(board.master, b"Traceback: boom\r\n")
            assert (await board.put(1, 2, pack(2))).code == codes.CHANGED
            whole = encode_coap(b"a frame that is cut off in the middle")
            os.write(board.master, whole[: len(whole) // 2])
            assert (await board.put(1, 4, pack(2))).code == codes.CHANGED
            board.unplug()
            board.close()

    caplog.set_level(logging.DEBUG, "feltpost")
    run(scenario())
    assert "bad-frame" in caplog.text
    assert f'diagnostic port={link} text="sensor \N{REPLACEMENT CHARACTER}[31mlost"' in caplog.text
    assert 'text="Traceback: boom"' in caplog.text


def test_unplugged_in_mid_frame_and_plugged_in_again(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = tmp_path / "tty"

    async def scenario() -> None:
        async with running(serial_config(tmp_path, link)):
            board = Board(link, NodeKeys(b"\x01", KEYS[b"\x01"]))
            assert (await board.put(1, 0, pack(2))).code == codes.CHANGED
            for seq in (2, 4):
                os.write(board.master, encode_coap(b"a frame cut off")[:9])
                board.unplug()
                board.plug_in()
                assert (await board.put(1, seq, pack(2))).code == codes.CHANGED
            board.unplug()
            board.close()

    caplog.set_level(logging.INFO, "feltpost")
    run(scenario())
    assert caplog.text.count("opened port=") == 3


def test_path_that_leads_elsewhere(run: Run, tmp_path: Path) -> None:
    """A stable path may be given to another board while the old device is still there."""
    link = tmp_path / "tty"

    async def scenario() -> None:
        first = Board(link, NodeKeys(b"\x01", KEYS[b"\x01"]))
        async with running(serial_config(tmp_path, link)):
            assert (await first.put(1, 0, pack(2))).code == codes.CHANGED
            second = Board(link, NodeKeys(b"\x02", KEYS[b"\x02"]))
            assert (await second.put(1, 0, pack(2))).code == codes.CHANGED
            for board in (first, second):
                board.unplug()
                board.close()

    run(scenario())
