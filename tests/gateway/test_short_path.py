"""The short way past aiocoap: what takes it, what doesn't, and that no answer tells which it was.

`way` (conftest) runs a test on both.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers import codes
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import ACK, CON, NON, RST
from aiocoap.optiontypes import OpaqueOption
from tests.gateway.conftest import FixedClock, make_config, make_node, running
from tests.support.node import Node, pack

from feltpost_gateway.service import Gateway
from feltpost_gateway.short_path import ShortPath
from feltpost_gateway.store import Store

Run = Callable[[Any], None]

# Elective and known to nobody (RFC 7252 section 5.4.1); within, a critical one as well.
UNKNOWN = 65_000
UNKNOWN_CRITICAL = 65_001

ORDINARY: list[tuple[Any, str, bytes, int | None]] = [
    (codes.PUT, "/j/1/0", pack(4), 112),
    (codes.PUT, "/j/1/0", pack(4), 112),
    (codes.PUT, "/j/1/9", pack(1), 112),
    (codes.PUT, "/j/1/4", cbor2.dumps({0: 5, 1: 1}), 60),
    (codes.POST, "/s", pack(3), 112),
    (codes.PUT, "/h/3", cbor2.dumps({0: "1.2"}), 60),
    (codes.PUT, "/j/1/10", b"no CBOR", 112),
    (codes.PUT, "/j/1/10", pack(64) + bytes(1024), 112),
    (codes.PUT, "/j/1/10", pack(1), 50),
    (codes.PUT, "/j/1/10", pack(1), None),
    (codes.PUT, "/j/0/10", pack(1), 112),
    (codes.PUT, "/j/1", pack(1), 112),
    (codes.PUT, "/j/1/10/2", pack(1), 112),
    (codes.POST, "/s/1", pack(1), 112),
    (codes.PUT, "/j/1/10", pack(2), 112),
]


@pytest.fixture
def through_aiocoap(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The messages that came to aiocoap."""
    seen: list[Message] = []
    dispatch = MessageManager.dispatch_message

    def watched(self: MessageManager, message: Message) -> None:
        seen.append(message)
        dispatch(self, message)

    monkeypatch.setattr(MessageManager, "dispatch_message", watched)
    return seen


@contextmanager
def held_store(directory: Path) -> Iterator[None]:
    """A disk that takes its time: no commit comes to an end while this lasts."""
    outside = sqlite3.connect(directory / "feltpost.db", isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        outside.execute("ROLLBACK")
        outside.close()


async def is_silent(node: Node) -> None:
    """Show that nothing is on its way to the node: a ping is answered, and by that alone."""
    node.send(b"\x40\x00\xff\xff")
    answer = Message.decode(await node.receive())
    assert (answer.mtype, answer.mid) == (RST, 0xFFFF)


async def acquaint(node: Node) -> None:
    """Go through the Echo of a first contact."""
    assert (await node.put(1, 0, pack(1))).code == codes.CHANGED


@asynccontextmanager
async def acquainted(directory: Path) -> AsyncIterator[tuple[Gateway, Node]]:
    """A gateway, and a node that has stored reading 0 of journal 1."""
    async with running(make_config(directory)) as gateway:
        node = make_node(gateway)
        await acquaint(node)
        yield gateway, node
        node.close()


def with_option(message: Message, number: int, value: bytes = b"x") -> Message:
    message.opt.add_option(OpaqueOption(OptionNumber(number), value))
    return message


def test_both_ways_answer_with_the_same_bytes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through_aiocoap: list[Message]
) -> None:
    async def answers(directory: Path) -> list[bytes]:
        async with running(make_config(directory), FixedClock()) as gateway:
            node = make_node(gateway)
            node.message_id = 0
            assert (await node.request(codes.GET, "/t")).code == codes.CONTENT
            through_aiocoap.clear()
            collected = []
            for request in ORDINARY:
                datagram, _ = node.protect(*request)
                node.send(datagram)
                collected.append(await node.receive())
            node.close()
            return collected

    async def scenario() -> None:
        for name in ("short", "long"):
            (tmp_path / name).mkdir()
        short = await answers(tmp_path / "short")
        assert not through_aiocoap
        monkeypatch.setattr(ShortPath, "take", lambda *_: False)
        long = await answers(tmp_path / "long")
        assert len(through_aiocoap) == len(ORDINARY)
        assert short == long

    run(scenario())
    dumps = [
        list(sqlite3.connect(tmp_path / name / "feltpost.db").iterdump())
        for name in ("short", "long")
    ]
    rows = [
        [line for line in dump if line.startswith(('INSERT INTO "packs"', 'INSERT INTO "gaps"'))]
        for dump in dumps
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 5


def put(**outer: Any) -> Message:
    message = Message(code=codes.PUT, payload=pack(1), content_format=112, **outer)
    message.opt.uri_path = ("j", "2", "0")
    return message


UNUSUAL: dict[str, tuple[Message, Any]] = {
    "get": (Message(code=codes.GET, uri_path=("t",)), codes.CONTENT),
    "accept": (put(accept=60), codes.CHANGED),
    "echo nobody asked for": (put(echo=bytes(8)), codes.CHANGED),
    "unknown critical option": (with_option(put(), UNKNOWN_CRITICAL), codes.BAD_OPTION),
    "unknown elective option": (with_option(put(), UNKNOWN), codes.CHANGED),
    "block": (put(block1=(0, True, 2)), codes.BAD_OPTION),
    "query": (put(uri_query=("a=1",)), codes.BAD_OPTION),
    "another resource": (
        Message(code=codes.PUT, uri_path=("x",), payload=b"1"),
        codes.NOT_FOUND,
    ),
    "another method": (
        Message(code=codes.POST, uri_path=("j", "1", "0"), payload=b"1"),
        codes.METHOD_NOT_ALLOWED,
    ),
    "without a payload": (Message(code=codes.PUT, uri_path=("j", "1", "0")), None),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_requests_go_through_aiocoap(
    run: Run, tmp_path: Path, through_aiocoap: list[Message], name: str
) -> None:
    message, expected = UNUSUAL[name]

    async def scenario() -> None:
        async with acquainted(tmp_path) as (_, node):
            through_aiocoap.clear()
            protected, request_id = node.keys.protect(message.copy())
            answer = node.unprotect(await node.exchange(node.outer(protected)), request_id)
            assert len(through_aiocoap) == 1
            assert answer.code == (expected or codes.UNSUPPORTED_CONTENT_FORMAT)

    run(scenario())


def test_unusual_messages_go_through_aiocoap(
    run: Run, tmp_path: Path, through_aiocoap: list[Message]
) -> None:
    async def scenario() -> None:
        async with acquainted(tmp_path) as (_, node):
            through_aiocoap.clear()

            protected, request_id = node.keys.protect(put())
            datagram = node.outer(with_option(protected, UNKNOWN))
            node.send(datagram)
            answer = await node.receive()
            assert node.unprotect(Message.decode(answer), request_id).code == codes.CHANGED
            node.send(datagram)
            assert await node.receive() == answer

            datagram, request_id = node.protect(codes.PUT, "/j/2/1", pack(1), 112)
            unconfirmable = await node.exchange(bytes((datagram[0] | 0x10,)) + datagram[1:])
            assert unconfirmable.mtype is NON
            assert node.unprotect(unconfirmable, request_id).code == codes.CHANGED
            assert len(through_aiocoap) == 3
            await is_silent(node)

    run(scenario())


@pytest.mark.usefixtures("way")
def test_a_repetition_gets_the_same_answer_and_is_not_stored(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with acquainted(tmp_path) as (gateway, node):
            other = make_node(gateway, b"\x02")
            datagram, request_id = node.protect(codes.POST, "/s", pack(2), 112)
            node.send(datagram)
            answer = await node.receive()
            assert node.unprotect(Message.decode(answer), request_id).code == codes.CHANGED
            taken = gateway.watch.readings_taken.total()
            await acquaint(other)
            for _ in range(3):
                node.send(datagram)
                assert await node.receive() == answer
            assert gateway.watch.readings_taken.total() == taken + 1, "the other node's"

            # From elsewhere it is no repetition but a replay.
            passer_by = make_node(gateway)
            replayed = await passer_by.exchange(datagram)
            assert (replayed.code, replayed.opt.oscore) == (codes.UNAUTHORIZED, None)
            # And with another message id it is one as well.
            renumbered = datagram[:2] + bytes((datagram[2] ^ 1,)) + datagram[3:]
            assert (await node.exchange(renumbered)).code == codes.UNAUTHORIZED
            other.close()
            passer_by.close()

    run(scenario())


@pytest.mark.usefixtures("way")
def test_a_repetition_while_the_disk_is_slow_is_not_taken_up(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with acquainted(tmp_path) as (gateway, node):
            with held_store(tmp_path):
                datagram, request_id = node.protect(codes.POST, "/s", pack(2), 112)
                for _ in range(3):
                    node.send(datagram)
                await is_silent(node)
            answer = Message.decode(await node.receive())
            assert answer.mtype is ACK
            assert node.unprotect(answer, request_id).code == codes.CHANGED
            await is_silent(node)
            assert gateway.watch.readings_taken.total() == 3

    run(scenario())


@pytest.mark.usefixtures("way")
def test_a_slow_disk_has_the_answer_sent_separately(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with acquainted(tmp_path) as (_, node):
            # What has its answer is not acknowledged once more when its time is over.
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            with held_store(tmp_path):
                datagram, request_id = node.protect(codes.PUT, "/j/1/1", pack(1), 112)
                for _ in range(2):
                    acknowledgement = await node.exchange(datagram)
                    assert (acknowledgement.mtype, acknowledgement.code) == (ACK, codes.EMPTY)
                    assert acknowledgement.mid.to_bytes(2, "big") == datagram[2:4]
                    assert acknowledgement.token == b""
            first = await node.receive()
            answer = Message.decode(first)
            assert (answer.mtype, answer.token) == (CON, datagram[4:6])
            assert node.unprotect(answer, request_id).code == codes.CHANGED
            # Unacknowledged it comes again; acknowledged it does not.
            assert await node.receive() == first
            node.send(b"\x60\x00" + first[2:4])
            assert (await node.put(1, 2, pack(1))).code == codes.CHANGED
            await is_silent(node)

    run(scenario())


def test_a_message_id_that_is_used_again_is_no_repetition(run: Run, tmp_path: Path) -> None:
    """A node that was restarted may count from the same number again; aiocoap would repeat itself.

    That the request is not an old one is for the replay window to say.
    """

    async def scenario() -> None:
        async with acquainted(tmp_path) as (_, node):
            first, _ = node.protect(codes.PUT, "/j/1/1", pack(1), 112)
            await node.exchange(first)
            second, request_id = node.protect(codes.PUT, "/j/1/2", pack(1), 112)
            answer = await node.exchange(first[:6] + second[6:])
            assert cbor2.loads(node.unprotect(answer, request_id).payload)[1] == 3

    run(scenario())


def test_a_second_request_under_way_goes_through_aiocoap(
    run: Run, tmp_path: Path, through_aiocoap: list[Message]
) -> None:
    """Each is answered, and so are its repetitions, though the node breaks RFC 7252 section 4.7."""

    async def scenario() -> None:
        async with acquainted(tmp_path) as (_, node):
            through_aiocoap.clear()
            requests = [node.protect(codes.PUT, f"/j/1/{seq}", pack(1), 112) for seq in (1, 2)]
            with held_store(tmp_path):
                for datagram, _ in requests:
                    node.send(datagram)
                await is_silent(node)
                assert [message.code for message in through_aiocoap] == [codes.POST, codes.EMPTY]
            answers = {}
            for _ in requests:
                answer = await node.receive()
                answers[answer[2:4]] = answer
            for datagram, request_id in requests:
                answer = answers[datagram[2:4]]
                assert node.unprotect(Message.decode(answer), request_id).code == codes.CHANGED
                node.send(datagram)
                assert await node.receive() == answer

    run(scenario())


@pytest.mark.usefixtures("way")
def test_a_fault_of_ours_is_answered_5_00_and_logged(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    async def scenario() -> None:
        async with acquainted(tmp_path) as (_, node):
            with monkeypatch.context() as patch:
                patch.setattr(Store, "write", fail)
                datagram, _ = node.protect(codes.PUT, "/j/1/1", pack(1), 112)
                answer = await node.exchange(datagram)
            assert (answer.mtype, answer.code) == (ACK, codes.INTERNAL_SERVER_ERROR)
            assert (answer.token, answer.opt.encode(), answer.payload) == (datagram[4:6], b"", b"")
            assert (await node.put(1, 1, pack(1))).code == codes.CHANGED

    run(scenario())
    assert "a fault of ours" in caplog.text


@pytest.mark.usefixtures("way")
def test_what_is_under_way_when_the_gateway_stops_is_stored_and_not_answered(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with acquainted(tmp_path) as (gateway, node):
            with held_store(tmp_path):
                datagram, _ = node.protect(codes.PUT, "/j/1/1", pack(1), 112)
                node.send(datagram)
                await is_silent(node)
                stopping = asyncio.create_task(gateway.stop())
                with pytest.raises(ConnectionRefusedError):
                    while True:
                        await is_silent(node)
            await stopping
            with pytest.raises(TimeoutError):
                await node.receive(timeout_s=0)
        with sqlite3.connect(tmp_path / "feltpost.db") as store:
            assert store.execute("SELECT first FROM packs").fetchall() == [(0,), (1,)]

    run(scenario())
    assert "unsent" not in caplog.text
