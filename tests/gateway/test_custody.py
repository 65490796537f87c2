"""What the gateway answers when it can't store: 5.03, never a 2.04, and never a nonce twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiocoap.message import Message
from aiocoap.numbers import codes
from tests.gateway.conftest import make_config, make_node, running
from tests.support.node import Node, pack

Run = Callable[[Any], None]

pytestmark = pytest.mark.usefixtures("way")

TRIGGER = """
CREATE TRIGGER full BEFORE INSERT ON packs BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END
"""


def change_schema(directory: Path, statement: str) -> None:
    """Break or mend the store from outside, as a failing disk would: the commit fails."""
    connection = sqlite3.connect(directory / "feltpost.db", timeout=10)
    connection.execute(statement)
    connection.commit()
    connection.close()


async def put_raw(node: Node, seq: int) -> tuple[Message, bytes]:
    """A PUT's decrypted answer, and the answer's OSCORE option (empty: the request's nonce)."""
    datagram, request_id = node.protect(codes.PUT, f"/j/1/{seq}", pack(1), 112)
    outer = await node.exchange(datagram)
    option = outer.opt.oscore
    return node.unprotect(outer, request_id), option


def test_failed_commit_is_answered_5_03_with_an_own_partial_iv(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            await asyncio.to_thread(change_schema, tmp_path, TRIGGER)
            partial_ivs = set()
            for _ in range(10):
                answer, option = await put_raw(node, 1)
                assert answer.code == codes.SERVICE_UNAVAILABLE
                assert answer.opt.max_age == 30
                assert len(option) > 1
                partial_ivs.add(option)
            assert len(partial_ivs) == 10
            await asyncio.to_thread(change_schema, tmp_path, "DROP TRIGGER full")
            answer, option = await put_raw(node, 1)
            assert answer.code == codes.CHANGED
            assert option == b""
            node.close()

    run(scenario())


def test_without_reserved_numbers_there_is_no_answer(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            await asyncio.to_thread(change_schema, tmp_path, TRIGGER)
            put_off = 0
            while True:
                datagram, request_id = node.protect(codes.PUT, "/j/1/1", pack(1), 112)
                answer = await node.exchange(datagram)
                if answer.code == codes.EMPTY:
                    break
                assert node.unprotect(answer, request_id).code == codes.SERVICE_UNAVAILABLE
                put_off += 1
                assert put_off <= 128, "more own Partial IVs were used than were reserved"
            await asyncio.to_thread(change_schema, tmp_path, "DROP TRIGGER full")
            assert (await node.put(1, 1, pack(1))).code == codes.CHANGED
            node.close()

    run(scenario())


def test_partial_ivs_are_not_used_again_after_a_restart(run: Run, tmp_path: Path) -> None:
    """Each start without a replay window asks for an Echo, with a Partial IV of its own."""
    seen: list[int] = []

    async def challenge(sequence_number: int) -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway, sequence_number=sequence_number)
            for _ in range(3):
                datagram, request_id = node.protect(codes.GET, "/t")
                outer = await node.exchange(datagram)
                seen.append(int.from_bytes(outer.opt.oscore[1:], "big"))
                assert node.unprotect(outer, request_id).opt.echo
            node.close()

    for start in range(4):
        run(challenge(start * 10))
    assert seen == sorted(set(seen))


def test_lost_window_is_recovered_by_echo(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            protected, request_id = node.keys.protect(
                Message(
                    code=codes.PUT, payload=pack(1), content_format=112, uri_path=("j", "1", "1")
                )
            )
            node.unprotect(await node.exchange(node.outer(protected)), request_id)
            sequence_number = node.keys.sender_sequence_number
            node.close()
        change_schema(tmp_path, "UPDATE oscore SET window_index = NULL, window_bits = NULL")
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway, sequence_number=sequence_number)
            replayed = await node.exchange(node.outer(protected))
            assert node.unprotect(replayed, request_id).opt.echo, "old requests are not taken"
            assert (await node.put(1, 1, pack(1))).code == codes.CHANGED
            again = await node.exchange(node.outer(protected))
            assert again.code == codes.UNAUTHORIZED
            assert again.opt.oscore is None
            node.close()

    run(scenario())


def test_no_answer_before_the_commit(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node, passer_by = make_node(gateway), make_node(gateway, b"\x02")
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            outside = sqlite3.connect(tmp_path / "feltpost.db", isolation_level=None)
            outside.execute("BEGIN IMMEDIATE")
            # The writer now waits for us, and with it the answer must.
            put = asyncio.create_task(node.put(1, 1, pack(1)))
            for _ in range(5):
                # Refusals need no disk: each shows that the gateway has got round to the PUT.
                refused = await passer_by.exchange(passer_by.outer(Message(code=codes.GET)))
                assert refused.code == codes.UNAUTHORIZED
            assert not put.done()
            outside.execute("ROLLBACK")
            assert (await put).code == codes.CHANGED
            rows = outside.execute("SELECT first FROM packs ORDER BY id").fetchall()
            assert rows == [(0,), (1,)]
            outside.close()
            node.close()
            passer_by.close()

    run(scenario())
