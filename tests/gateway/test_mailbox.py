"""The mailbox: a new key reaches the node under its old one, and nobody else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap import Message
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, FixedClock, make_config, make_node, running
from tests.gateway.disks import failing_writes
from tests.gateway.operators import KEY, add_node, listed, operate, operate_beside, write_key
from tests.support.node import Node, NodeKeys, pack

from feltpost_gateway.mailbox import Mailbox
from feltpost_gateway.service import Gateway

Run = Callable[[Any], None]

OTHER_ID = b"\x77\x01"


async def mail(node: Node) -> dict[int, Any]:
    answer = await node.request(codes.GET, "/m")
    assert answer.code == codes.CONTENT
    assert answer.opt.content_format == 60
    found: dict[int, Any] = cbor2.loads(answer.payload)
    return found


async def waits(node: Node) -> bool:
    """Whether the answers to all kinds of requests say that mail waits."""
    said = set()
    for code, path, payload, content_format in (
        (codes.PUT, "/j/1/0", pack(1), 112),
        (codes.PUT, "/j/1/1", cbor2.dumps({0: 1, 1: 1}), 60),
        (codes.POST, "/s", pack(1), 112),
        (codes.PUT, "/h/1", cbor2.dumps({0: "1.0"}), 60),
        (codes.GET, "/t", b"", None),
    ):
        answer = cbor2.loads((await node.request(code, path, payload, content_format)).payload)
        assert answer.get(2) in (None, True)
        said.add(2 in answer)
    (same,) = said
    return same


def connect(gateway: Gateway, pair: dict[int, bytes], sequence_number: int = 0) -> Node:
    """A node with the new key of a mail."""
    assert gateway.udp_port
    return Node(gateway.udp_port, NodeKeys(pair[0], pair[1], sequence_number))


@pytest.mark.usefixtures("way")
def test_a_key_is_fetched_until_it_is_used(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "feltpost")
    keys = []

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            assert not await waits(node)
            assert await mail(node) == {}
            said = await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            assert await waits(node)
            new = (await mail(node))[0]
            assert f"node-01 will fetch the key 0x{new[0].hex()}" in said.output
            assert await mail(node) == {0: new}
            keys.append(new[1])
            node.close()
        # Neither a restart nor the node's entry in the configuration file changes anything.
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway, sequence_number=100)
            assert await waits(node)
            assert await mail(node) == {0: new}
            shown = await operate_beside(tmp_path, "nodes", "show", "node-01")
            assert f"yet to fetch and use the key 0x{new[0].hex()}" in shown.output
            renewed = connect(gateway, new)
            assert not await waits(renewed)
            assert (await node.put(1, 9, pack(1))).code == codes.UNAUTHORIZED
            assert await mail(renewed) == {}
            shown = await operate_beside(tmp_path, "nodes", "show", "node-01")
            assert "yet to fetch" not in shown.output
            node.close()
            renewed.close()
        async with running(make_config(tmp_path)) as gateway:
            renewed = connect(gateway, new, 100)
            assert not await waits(renewed)
            renewed.close()

    run(scenario())
    assert "mail-fetched node=node-01" in caplog.text
    assert listed(tmp_path)[0]["key_ids"] != ["01"]
    for key in (*KEYS.values(), *keys):
        assert key.hex() not in caplog.text
        assert repr(key) not in caplog.text


def test_mail_is_for_its_node_only(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            other = make_node(gateway, b"\x02")
            assert not await waits(other)
            assert await mail(other) == {}
            forger = connect(gateway, {0: b"\x01", 1: KEY})
            assert (await forger.request(codes.GET, "/m")).code == codes.BAD_REQUEST
            plain = Message(code=codes.GET)
            plain.opt.uri_path = ("m",)
            assert (await forger.exchange(forger.outer(plain))).code == codes.UNAUTHORIZED
            other.close()
            forger.close()

    run(scenario())


def test_mail_is_neither_kept_on_the_way_nor_observed(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            node = make_node(gateway)
            await mail(node)
            request = Message(code=codes.GET, observe=0)
            request.opt.uri_path = ("m",)
            protected, request_id = node.keys.protect(request)
            outer = await node.exchange(node.outer(protected))
            answer = node.unprotect(outer, request_id)
            assert (answer.code, answer.opt.max_age) == (codes.CONTENT, 0)
            assert answer.opt.observe is None
            assert outer.opt.observe is None
            node.close()

    run(scenario())


def test_a_recorded_request_for_mail_is_not_answered_again(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            node = make_node(gateway)
            await mail(node)
            datagram, request_id = node.protect(codes.GET, "/m")
            assert node.unprotect(await node.exchange(datagram), request_id).code == codes.CONTENT
            # With another message id it is no retransmission.
            again = datagram[:2] + b"\xff\xff" + datagram[4:]
            assert (await node.exchange(again)).code == codes.UNAUTHORIZED
            node.close()

    run(scenario())


def test_a_key_that_comes_by_cable_is_not_mailed(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            given_up = connect(gateway, (await mail(node))[0])
            key_file = write_key(tmp_path, OTHER_ID, KEY)
            await operate_beside(tmp_path, "nodes", "rotate", "node-01", "--key-file", key_file)
            assert not await waits(node)
            assert await mail(node) == {}
            assert (await given_up.put(1, 0, pack(1))).code == codes.UNAUTHORIZED
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            assert (await mail(node))[0][0] not in (b"\x01", OTHER_ID)
            node.close()
            given_up.close()

    run(scenario())


def test_mail_ends_with_the_nodes_keys(run: Run, tmp_path: Path) -> None:
    keys = []

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            node = make_node(gateway)
            new = (await mail(node))[0]
            await operate_beside(tmp_path, "nodes", "revoke", "node-01")
            renewed = connect(gateway, new)
            for refused in (node, renewed):
                assert (await refused.request(codes.GET, "/m")).code == codes.UNAUTHORIZED
            said = await operate_beside(tmp_path, "nodes", "rotate", "node-01", status=1)
            assert "has no key under which it could fetch a new one" in said.output
            node.close()
            renewed.close()
        keys.append(new[1])

    run(scenario())
    content = b"".join(path.read_bytes() for path in tmp_path.glob("feltpost.db*"))
    assert keys[0] not in content


def test_a_request_under_way_does_not_get_the_mail_of_the_next_owner_of_its_key_id(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            mailbox = Mailbox(gateway._registry)
            revoked = gateway._registry.contexts[b"\x01"]
            await operate_beside(tmp_path, "nodes", "revoke", "node-01")
            await asyncio.to_thread(add_node, tmp_path, 3)
            key_file = write_key(tmp_path, b"\x01", KEY)
            await operate_beside(tmp_path, "nodes", "rotate", "node-03", "--key-file", key_file)
            await operate_beside(tmp_path, "nodes", "rotate", "node-03")
            assert mailbox.waits(gateway._registry.contexts[b"\x01"])
            assert not mailbox.waits(revoked)
            assert mailbox.read(revoked) == cbor2.dumps({})

    run(scenario())


def test_while_nothing_can_be_stored_mail_is_not_given_away(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            await mail(node)
            with failing_writes() as writes:
                writes.fail_from = 1
                answer = await node.request(codes.GET, "/m")
                assert answer.code == codes.SERVICE_UNAVAILABLE
                writes.heal()
            node.close()

    run(scenario())


def test_other_methods_are_not_for_mail(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            for code in (codes.PUT, codes.POST, codes.DELETE):
                answer = await node.request(code, "/m", b"\xa0", 60)
                assert answer.code == codes.METHOD_NOT_ALLOWED
            assert (await node.request(codes.GET, "/m/1")).code == codes.NOT_FOUND
            node.close()

    run(scenario())


def test_an_answer_without_mail_is_not_longer_for_it(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path), FixedClock()) as gateway:
            node = make_node(gateway)
            answer = await node.put(1, 0, pack(1))
            # Map, key 0 and a 64-bit time, key 1 and a small number.
            assert len(answer.payload) == 1 + 1 + 9 + 1 + 1
            await operate_beside(tmp_path, "nodes", "rotate", "node-01")
            answer = await node.put(1, 1, pack(1))
            assert len(answer.payload) == 1 + 1 + 9 + 1 + 1 + 2
            node.close()

    run(scenario())


def test_a_node_without_a_key_has_no_mailbox(tmp_path: Path) -> None:
    add_node(tmp_path, 3)
    said = operate(tmp_path, "nodes", "rotate", "node-03", status=1)
    assert "Give it one with: nodes rotate --key-file" in said.output
