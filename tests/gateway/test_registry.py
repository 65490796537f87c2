"""Nodes and keys in the registry: who is let in, who is shut out, and who decides."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, FixedClock, make_config, running
from tests.gateway.operators import (
    KEY,
    OTHER_KEY,
    add_node,
    listed,
    operate,
    operate_beside,
    write_config,
    write_key,
)
from tests.support.node import Node, NodeKeys, pack

from feltpost_gateway.config import load
from feltpost_gateway.control import socket_path
from feltpost_gateway.formats.base import Position
from feltpost_gateway.service import Gateway

Run = Callable[[Any], None]

NEW_ID = b"\x77\x01"


def connect(gateway: Gateway, key_id: bytes, key: bytes, sequence_number: int = 0) -> Node:
    assert gateway.udp_port
    return Node(gateway.udp_port, NodeKeys(key_id, key, sequence_number))


async def send(node: Node, seq: int) -> codes.Code:
    return (await node.put(1, seq, pack(1))).code


def test_a_node_is_added_while_the_gateway_runs(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path, nodes=[])) as gateway:
            node = connect(gateway, NEW_ID, KEY)
            assert await send(node, 0) == codes.UNAUTHORIZED
            await asyncio.to_thread(add_node, tmp_path, 3)
            key_file = write_key(tmp_path, NEW_ID, KEY)
            await operate_beside(tmp_path, "nodes", "rotate", "node-03", "--key-file", key_file)
            assert await send(node, 0) == codes.CHANGED
            node.close()
        async with running(make_config(tmp_path, nodes=[])) as gateway:
            node = connect(gateway, NEW_ID, KEY, 100)
            assert await send(node, 1) == codes.CHANGED
            node.close()

    run(scenario())


def test_revoking_shuts_out_at_once_and_for_good(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = connect(gateway, b"\x01", KEYS[b"\x01"])
            other = connect(gateway, b"\x02", KEYS[b"\x02"])
            assert await send(node, 0) == codes.CHANGED
            said = await operate_beside(tmp_path, "nodes", "revoke", "node-01")
            assert "favrskov/skole/node-01 is shut out" in said.output
            assert "configuration file" in said.output
            assert await send(node, 1) == codes.UNAUTHORIZED
            assert await send(other, 0) == codes.CHANGED
            node.close()
            other.close()
        # The configuration file still has the key; it does not come back.
        async with running(make_config(tmp_path)) as gateway:
            node = connect(gateway, b"\x01", KEYS[b"\x01"], 100)
            assert await send(node, 1) == codes.UNAUTHORIZED
            node.close()

    run(scenario())
    content = b"".join(path.read_bytes() for path in tmp_path.glob("feltpost.db*"))
    assert KEYS[b"\x01"] not in content
    assert KEYS[b"\x02"] in content


def test_a_rotated_key_ends_when_the_node_has_used_the_new_one(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = connect(gateway, b"\x01", KEYS[b"\x01"])
            for key_id, key in ((b"\x66", KEY), (NEW_ID, OTHER_KEY)):
                # The first of the two is given up before it reaches the node.
                key_file = write_key(tmp_path, key_id, key)
                await operate_beside(tmp_path, "nodes", "rotate", "node-01", "--key-file", key_file)
                assert await send(node, 0) == codes.CHANGED
            given_up = connect(gateway, b"\x66", KEY)
            assert await send(given_up, 1) == codes.UNAUTHORIZED
            node.close()
            given_up.close()
        async with running(make_config(tmp_path)) as gateway:
            old = connect(gateway, b"\x01", KEYS[b"\x01"], 100)
            new = connect(gateway, NEW_ID, OTHER_KEY)
            assert await send(old, 1) == codes.CHANGED
            assert await send(new, 2) == codes.CHANGED
            assert await send(old, 3) == codes.UNAUTHORIZED
            assert await send(new, 3) == codes.CHANGED
            old.close()
            new.close()

    run(scenario())
    assert f"key-rotated node=node-01 key_id={NEW_ID.hex()}" in caplog.text
    for key in (*KEYS.values(), KEY, OTHER_KEY):
        assert key.hex() not in caplog.text
    # Readings of both keys are of one node and one journal.
    assert listed(tmp_path)[0]["key_ids"] == [NEW_ID.hex()]


def test_a_clock_that_is_set_back_does_not_make_the_new_key_the_old_one(
    run: Run, tmp_path: Path
) -> None:
    clock = FixedClock()

    async def scenario() -> None:
        async with running(make_config(tmp_path), clock) as gateway:
            clock.value_ms = 1000
            key_file = write_key(tmp_path, NEW_ID, KEY)
            await operate_beside(tmp_path, "nodes", "rotate", "node-01", "--key-file", key_file)
            old = connect(gateway, b"\x01", KEYS[b"\x01"])
            new = connect(gateway, NEW_ID, KEY)
            for node in (old, new):
                answer = await node.request(codes.PUT, "/h/1", b"\xa1\x00\x61x", 60)
                assert answer.code == codes.CHANGED
            assert await send(old, 0) == codes.UNAUTHORIZED
            old.close()
            new.close()

    run(scenario())


def test_an_unprotected_request_with_the_new_key_id_rotates_nothing(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            key_file = write_key(tmp_path, NEW_ID, KEY)
            await operate_beside(tmp_path, "nodes", "rotate", "node-01", "--key-file", key_file)
            forger = connect(gateway, NEW_ID, OTHER_KEY)
            assert await send(forger, 0) == codes.BAD_REQUEST
            node = connect(gateway, b"\x01", KEYS[b"\x01"])
            assert await send(node, 0) == codes.CHANGED
            forger.close()
            node.close()

    run(scenario())


def test_the_file_is_followed_until_an_operator_changes_the_node(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def nodes(site: str, count: int) -> list[dict[str, str]]:
        return [
            {
                "name": f"node-{key_id.hex()}",
                "owner": "favrskov",
                "site": site,
                "mac": f"02:00:00:00:00:{key_id.hex()}",
                "key_id": key_id.hex(),
                "key": key.hex(),
            }
            for key_id, key in list(KEYS.items())[:count]
        ]

    async def sites(entries: list[dict[str, str]]) -> list[tuple[str, str, int]]:
        async with running(make_config(tmp_path, nodes=entries)) as gateway:
            registry = gateway._registry
            return [
                (row.node.name, row.node.site, len(registry.keys_of(row.id)))
                for row in registry.nodes
            ]

    async def scenario() -> None:
        assert await sites(nodes("skole", 2)) == [("node-01", "skole", 1), ("node-02", "skole", 1)]
        assert await sites(nodes("hal", 2)) == [("node-01", "hal", 1), ("node-02", "hal", 1)]
        async with running(make_config(tmp_path, nodes=nodes("hal", 2))):
            await operate_beside(tmp_path, "nodes", "edit", "node-01", "--set", "site=kælder")
        # Node 01 is the registry's now; node 02 has left the file.
        assert await sites(nodes("hal", 1)) == [("node-01", "kælder", 1)]
        assert await sites(nodes("hal", 2)) == [("node-02", "hal", 1), ("node-01", "kælder", 1)]

    run(scenario())
    assert "file-entry-passed-over node=node-01" in caplog.text
    assert "node-removed node=node-02" in caplog.text


def test_a_node_of_the_file_has_its_place_from_there(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"

    async def place(lines: str) -> Position | None:
        write_config(
            tmp_path,
            '[[nodes]]\nname = "gym"\nowner = "favrskov"\nsite = "skole"\n'
            f'mac = "02:00:00:00:00:01"\nkey_id = "01"\nkey = "{KEY.hex()}"\n{lines}',
        )
        async with running(load(file)) as gateway:
            (row,) = gateway._registry.nodes
            return row.node.position

    async def scenario() -> None:
        south_west = "latitude = -33.5\nlongitude = -70\n"
        assert await place(f"{south_west}elevation_m = 520.5") == Position(-33.5, -70, 520.5)
        assert await place(south_west) == Position(-33.5, -70)
        assert await place("") is None

    run(scenario())


def test_keys_are_shown_nowhere(run: Run, tmp_path: Path) -> None:
    add_node(tmp_path, 1)
    operate(tmp_path, "nodes", "rotate", "node-01", "--key-file", write_key(tmp_path, NEW_ID, KEY))
    said = "".join(
        operate(tmp_path, "nodes", *arguments).output
        for arguments in (("list",), ("list", "--json"), ("show", "node-01"), ("export",))
    )
    assert f"0x{NEW_ID.hex()}" in said
    assert KEY.hex() not in said.lower()
    assert stat.S_IMODE((tmp_path / "feltpost.db").stat().st_mode) == 0o600


def test_a_new_key_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    add_node(tmp_path, 1)
    file = tmp_path / "new.json"
    said = operate(tmp_path, "nodes", "rotate", "node-01", "--key-file", str(file))
    assert listed(tmp_path)[0]["key_ids"][0] in file.read_text()
    assert f"of {file}" in said.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_id_belongs_to_one_node(tmp_path: Path) -> None:
    for number, key in ((1, KEY), (2, OTHER_KEY)):
        add_node(tmp_path, number)
        said = operate(
            tmp_path,
            *("nodes", "rotate", f"node-0{number}", "--key-file"),
            write_key(tmp_path, NEW_ID, key),
            status=number - 1,
        )
    assert "key id 0x7701 belongs to a key of 02:00:00:00:00:01" in said.output
    assert [node["key_ids"] for node in listed(tmp_path)] == [["7701"], []]


def test_removed_nodes_keep_their_readings_and_can_come_back(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = connect(gateway, b"\x01", KEYS[b"\x01"])
            assert await send(node, 0) == codes.CHANGED
            await operate_beside(tmp_path, "nodes", "remove", "02:00:00:00:00:01")
            assert await send(node, 1) == codes.UNAUTHORIZED
            node.close()
            (pack_row,) = await gateway._store.read_packs(0, 10)
            description = gateway._registry.describe(pack_row.node_id)
            assert description is not None
            assert description.name == "node-01"

    run(scenario())
    assert [node["columns"]["name"] for node in listed(tmp_path)] == []
    add_node(tmp_path, 1, name="gym")
    assert [node["columns"]["name"] for node in listed(tmp_path)] == ["gym"]


def test_history(tmp_path: Path) -> None:
    add_node(tmp_path, 1)
    operate(tmp_path, "nodes", "note", "node-01", "installed", "--at", "2026-01-31")
    operate(
        tmp_path,
        *("nodes", "note", "node-01", "calibrated", "--metric", "co2"),
        *("--measured", "450", "--reference", "420", "--note", "frisk luft"),
    )
    shown = operate(tmp_path, "nodes", "show", "node-01").output
    assert "2026-01-31T00:00:00Z installed\n" in shown
    assert "calibrated co2 450.0 where 420.0 was true frisk luft\n" in shown


def test_names_that_are_not_clear(tmp_path: Path) -> None:
    add_node(tmp_path, 1, name="gym")
    add_node(tmp_path, 2, name="gym", site="hal")
    said = operate(tmp_path, "nodes", "show", "gym", status=1)
    assert "favrskov/hal/gym, favrskov/skole/gym" in said.output
    assert "mac: 02:00:00:00:00:02" in operate(tmp_path, "nodes", "show", "favrskov/hal/gym").output
    assert "mac: 02:00:00:00:00:01" in (
        operate(tmp_path, "nodes", "show", "urn:dev:mac:020000fffe000001").output
    )
    assert "there is no node hal" in operate(tmp_path, "nodes", "show", "hal", status=1).output


def test_the_control_socket_is_for_the_gateways_user(run: Run, tmp_path: Path) -> None:
    # Longer than a Unix socket's address may be.
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    path = socket_path(directory / "feltpost.db")

    async def scenario() -> None:
        before = os.umask(0)
        try:
            async with running(make_config(directory)):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                said = await operate_beside(directory, "nodes", "list")
                assert "node-01" in said.output
        finally:
            os.umask(before)
        assert not path.exists()
        # One that a killed gateway left is in nobody's way.
        left = socket.socket(socket.AF_UNIX)
        os.chdir(directory)
        left.bind(path.name)
        left.close()
        async with running(make_config(directory)):
            await operate_beside(directory, "nodes", "show", "node-01")

    here = Path.cwd()
    try:
        run(scenario())
    finally:
        os.chdir(here)


def test_nonsense_on_the_control_socket(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)):
            for line in (b"\n", b"[]\n", b'{"command": "x", "arguments": {}}\n', b"\xff" * 100):
                reader, writer = await asyncio.open_unix_connection(
                    socket_path(tmp_path / "feltpost.db")
                )
                writer.write(line)
                writer.write_eof()
                assert b"faults" in await reader.readline()
                writer.close()
            await operate_beside(tmp_path, "nodes", "show", "node-01")

    run(scenario())
