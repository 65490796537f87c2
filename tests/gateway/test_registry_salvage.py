"""A damaged store: the registry comes back, revoked keys and freer classes don't."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import FixedClock
from tests.gateway.operators import KEY, OTHER_KEY

from feltpost_gateway import salvage
from feltpost_gateway.formats.base import Position, Setting
from feltpost_gateway.migrations import PAGE_BYTES
from feltpost_gateway.nodes import Node, Owner
from feltpost_gateway.publication import Publication
from feltpost_gateway.registry import Registry
from feltpost_gateway.registry_rows import DeclaredIn, HistoryEntry, HistoryKind, RegistryRows
from feltpost_gateway.store import Store

Run = Callable[[Any], None]

NODES = [
    Node(
        eui64=bytes([2, 0, 0, 0xFF, 0xFE, 0, 0, number]),
        name=f"node-{number}",
        owner="favrskov",
        site="Rønbækskolen",
        setting=Setting.OUTDOOR,
        room="3.B",
        position=Position(56.0, 9.5, 21.0),
        kit="klima",
        metrics=("co2", "temperature"),
        classes=(("co2", Publication.PRIVATE), ("temperature", Publication.OPEN)),
    )
    for number in range(8)
]
ENTRY = HistoryEntry(1000, HistoryKind.CALIBRATED, "frisk luft", "co2", 450.0, 420.5)


def freer(node: Node) -> Node:
    """The node as it was before its classes were set."""
    return Node(node.eui64, node.name, node.owner, node.site)


def fill(rows: RegistryRows) -> None:
    for node in NODES:
        rows.save_node(freer(node), DeclaredIn.REGISTRY)
        node_id = rows.save_node(node, DeclaredIn.REGISTRY)
        rows.add_key(node_id, bytes([1, node_id]), KEY, 1000)
        rows.add_key(node_id, bytes([2, node_id]), OTHER_KEY, 2000)
        rows.add_history(node_id, ENTRY)
    rows.save_owner(Owner("favrskov", "Favrskov Kommune", "Åbne data", "a@b.dk"))
    rows.save_class("co2", Publication.OPEN)
    rows.save_class("co2", Publication.PRIVATE)
    # The first node's first key is revoked, the second has left.
    rows.revoke_keys(1, but=bytes([2, 1]))
    rows.remove_node(2)


def salvaged(
    run: Run, path: Path, ruin: Callable[[Path], None], check: Callable[[Registry], None]
) -> None:
    async def make() -> None:
        store = Store(path)
        await store.open()
        await Registry(store, FixedClock()).change(fill)
        await store.close()

    async def look() -> None:
        store = Store(path)
        await store.open()
        registry = Registry(store, FixedClock())
        await registry.open()
        check(registry)
        await store.close()

    run(make())
    ruin(path)
    salvage.salvage(path)
    run(look())


def keys_of(registry: Registry) -> list[list[bytes]]:
    return [[key.key for key in registry.keys_of(row.id)] for row in registry.nodes]


def test_all_of_it_comes_back(run: Run, tmp_path: Path) -> None:
    def ruin(path: Path) -> None:
        with path.open("r+b") as file:
            file.write(bytes(PAGE_BYTES))

    def check(registry: Registry) -> None:
        assert [row.node for row in registry.nodes] == [NODES[0], *NODES[2:]]
        assert keys_of(registry) == [[OTHER_KEY], *[[KEY, OTHER_KEY]] * 6]
        assert registry.owners == (Owner("favrskov", "Favrskov Kommune", "Åbne data", "a@b.dk"),)
        assert registry.classes == {"co2": Publication.PRIVATE}

    salvaged(run, tmp_path / "s.db", ruin, check)
    with closing(sqlite3.connect(tmp_path / "s.db")) as store:
        rows = RegistryRows(store)
        assert [rows.history_of(number + 1) for number in range(8)] == [[ENTRY]] * 8


def leaf_page(path: Path, table: str) -> int:
    """The number of a page that has rows of a table; the last of its pages."""
    with closing(sqlite3.connect(path)) as store:
        root = store.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
        page = int(root.fetchone()[0])
    content = path.read_bytes()
    while content[(page - 1) * PAGE_BYTES] == 5:
        start = (page - 1) * PAGE_BYTES
        page = int.from_bytes(content[start + 8 : start + 12], "big")
    return page


@pytest.mark.parametrize("order", ["older first", "newer first"])
def test_an_old_copy_of_a_row_does_not_count(run: Run, tmp_path: Path, order: str) -> None:
    """What a page of the past says of keys and classes is in the file, before or behind."""
    old = tmp_path / "old.db"

    async def make() -> None:
        store = Store(old)
        await store.open()
        registry = Registry(store, FixedClock())

        def first(rows: RegistryRows) -> None:
            for node in NODES[:2]:
                node_id = rows.save_node(freer(node), DeclaredIn.REGISTRY)
                rows.add_key(node_id, bytes([1, node_id]), KEY, 1000)

        await registry.change(first)
        await store.close()

    run(make())

    def ruin(path: Path) -> None:
        stale = b"".join(
            old.read_bytes()[(page - 1) * PAGE_BYTES : page * PAGE_BYTES]
            for page in (leaf_page(old, "nodes"), leaf_page(old, "node_keys"))
        )
        content = path.read_bytes()
        zeros = bytes(PAGE_BYTES)
        rest = content[PAGE_BYTES:]
        path.write_bytes(zeros + (stale + rest if order == "older first" else rest + stale))

    def check(registry: Registry) -> None:
        assert [row.node for row in registry.nodes] == [NODES[0], *NODES[2:]]
        assert keys_of(registry)[0] == [OTHER_KEY]

    salvaged(run, tmp_path / "s.db", ruin, check)


def test_where_the_row_is_lost_all_readings_are_private(run: Run, tmp_path: Path) -> None:
    def ruin(path: Path) -> None:
        page = leaf_page(path, "nodes")
        with path.open("r+b") as file:
            file.seek((page - 1) * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))

    def check(registry: Registry) -> None:
        lost = [row for row in registry.nodes if row.declared_in is DeclaredIn.LOST]
        assert lost
        for row in lost:
            for metric in ("temperature", "co2", "anything"):
                assert registry.publication_class(metric, row.id) is Publication.PRIVATE
            # It may go on sending, since its key is known.
            assert registry.keys_of(row.id)

    salvaged(run, tmp_path / "s.db", ruin, check)
