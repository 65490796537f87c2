"""Stores of every earlier version come up with all that was in them, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.disks import failing_writes

from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.migrations import PAGE_BYTES, SCHEMA_VERSION
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, Pack, pack_checksum

NODE = NodeRow(bytes(8), "node", "owner", "site")

Run = Callable[[Any], None]

# What the tables of each version hold, written as that version's gateway wrote it.
DATA = {
    1: """
        INSERT INTO nodes VALUES (1, zeroblob(8), 'node', 'owner', 'site');
        INSERT INTO journals VALUES (1, 1, 44), (1, 2, 7);
        INSERT INTO packs (id, node_id, journal, first, count, skip, received_ms, body)
        SELECT value, 1, 1, 4 * value, 4, 0, 1000 + value, randomblob(300)
        FROM generate_series;
        INSERT INTO gaps VALUES (1, 1, 40, 4, 0, 5000);
        INSERT INTO oscore VALUES (x'01', zeroblob(8), 9, 3, 128);
        INSERT INTO cursors VALUES ('mqtt', 4);
    """,
}
DATA[2] = (
    DATA[1]
    .replace("(1, 1, 44), (1, 2, 7)", "(1, 1, 44, 12), (1, 2, 7, 7)")
    .replace(
        """received_ms, body)
        SELECT value, 1, 1, 4 * value, 4, 0, 1000 + value, randomblob(300)
        FROM generate_series;""",
        """received_ms, body, checksum)
        SELECT value, 1, 1, 4 * value, 4, 0, 1000 + value, randomblob(300), 0
        FROM generate_series;
        UPDATE packs
        SET checksum = pack_checksum(node_id, journal, first, count, skip, received_ms, body);""",
    )
)
DATA[3] = (
    DATA[2]
    + """
        INSERT INTO ahead VALUES ('mqtt', 6, 8);
        INSERT INTO begun VALUES ('mqtt', 'undelivered', NULL);
        INSERT INTO dead_letters VALUES (7, 'mqtt', '28-31', 'a/b', 'too large', 6000);
    """
)
DATA[4] = (
    DATA[3].replace("INTO nodes VALUES", "INTO nodes (id, eui64, name, owner, site) VALUES")
    + """
        UPDATE nodes SET room = '3.B', classes = 'co2=open', declared_in = 'registry';
        INSERT INTO node_keys VALUES (x'01', 1, zeroblob(16), 1000, 1), (x'02', 1, NULL, 1000, 2);
        INSERT INTO owners VALUES ('owner', 'The Owner', 'Someone', 'a@b.dk', 'https://licence');
        INSERT INTO metric_classes VALUES ('co2', 'private');
        INSERT INTO node_history VALUES (1, 1, 1000, 'serviced', NULL, NULL, NULL, 'new battery');
    """
)
DATA[5] = (
    DATA[4]
    + """
        INSERT INTO events
        VALUES ('silent', 1, '', 1000, '600'), ('store-full', NULL, '', 2000, '');
        INSERT INTO contacts VALUES (1, 1000, 600000);
        UPDATE counted SET pack_id = 9;
        INSERT INTO days VALUES ('1970-01-01', 1, 28, 0, 3, 9);
    """
)
DATA[6] = (
    DATA[5]
    + """
        INSERT INTO mail VALUES (1, x'01');
    """
)


def make_old(path: Path, version: int) -> list[tuple[Any, ...]]:
    """Make a store of an earlier version with data in it; return its packs."""
    schema = resources.files("feltpost_gateway") / "schema"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.create_function("pack_checksum", 7, pack_checksum, deterministic=True)
        for number in range(1, version + 1):
            connection.executescript((schema / f"{number:04}.sql").read_text())
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("CREATE TEMP TABLE generate_series (value INTEGER)")
        connection.executemany(
            "INSERT INTO generate_series VALUES (?)", [(n,) for n in range(3, 10)]
        )
        connection.executescript(DATA[version])
        return connection.execute("SELECT * FROM packs").fetchall()


# The tables that a version has brought and that no later one has changed.
BROUGHT = {
    3: ("ahead", "begun", "dead_letters"),
    4: ("node_keys", "owners", "metric_classes", "node_history"),
    5: ("events", "contacts", "days", "counted"),
    6: ("mail",),
}


def content_of(path: Path, tables: tuple[str, ...]) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as reader:
        return [reader.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


@pytest.mark.parametrize("version", BROUGHT)
def test_what_a_version_has_brought_is_kept(run: Run, tmp_path: Path, version: int) -> None:
    path = tmp_path / "s.db"
    make_old(path, version)
    before = content_of(path, BROUGHT[version])
    assert all(before)
    run(reopen(path))
    assert content_of(path, BROUGHT[version]) == before


def check_new(path: Path, packs: list[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = reader.execute("SELECT * FROM packs").fetchall()
        assert [row[:8] for row in rows] == [row[:8] for row in packs]
        assert all(row[8] == pack_checksum(*row[1:8]) for row in rows)
        assert reader.execute("SELECT * FROM journals").fetchall() == [(1, 1, 44, 12), (1, 2, 7, 7)]
        assert reader.execute("SELECT * FROM gaps").fetchall() == [(1, 1, 40, 4, 0, 5000)]
        assert reader.execute("SELECT window_index, sender_reserved FROM oscore").fetchall() == [
            (9, 128)
        ]
        assert reader.execute("SELECT * FROM cursors").fetchall() == [("mqtt", 4)]
        assert reader.execute("SELECT max(seq) FROM sqlite_sequence").fetchone() == (9,)


async def reopen(path: Path) -> None:
    store = Store(path)
    await store.open()
    await store.close()


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_every_earlier_version_is_brought_up_to_date(
    run: Run, tmp_path: Path, version: int
) -> None:
    path = tmp_path / "s.db"
    packs = make_old(path, version)

    async def scenario() -> None:
        await reopen(path)
        check_new(path, packs)
        store = Store(path)
        await store.open()
        assert [p.id for p in await store.read_packs(4, 100)] == [5, 6, 7, 8, 9]
        outcome = await store.write(lambda t: t.append(Pack(1, 1, 40, 8, 6000, b"new")))
        assert (outcome.next_seq, outcome.stored) == (48, 8)
        await store.close()

    run(scenario())
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)
        assert reader.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_disk_that_fails_at_any_write_leaves_the_old_store(
    run: Run, tmp_path: Path, version: int
) -> None:
    """The n-th write of the migration and all after it fail; then it is tried again."""
    path = tmp_path / "s.db"
    old = tmp_path / "old.db"
    packs = make_old(old, version)

    async def scenario() -> None:
        with failing_writes() as writes:
            writes.error_number = 28
            fail_from = 1
            while True:
                path.write_bytes(old.read_bytes())
                writes.calls, writes.fail_from = 0, fail_from
                with suppress(StoreUnavailableError):
                    await reopen(path)
                came_through = writes.calls < fail_from
                writes.heal()
                await reopen(path)
                await asyncio.to_thread(check_new, path, packs)
                if came_through:
                    break
                fail_from += 4
        assert fail_from > 20

    run(scenario())


CUT = """
import asyncio, os, signal, sys
from pathlib import Path
from feltpost_gateway import migrations
from feltpost_gateway.store import Store

calls = 0
real = migrations.pack_checksum

def killed(*row):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*row)

migrations.pack_checksum = killed
asyncio.run(Store(Path(sys.argv[1])).open())
"""


@pytest.mark.parametrize("row", [1, 7])
def test_a_kill_in_the_middle_leaves_the_old_store(run: Run, tmp_path: Path, row: int) -> None:
    path = tmp_path / "s.db"
    packs = make_old(path, 1)
    ended = subprocess.run([sys.executable, "-c", CUT, str(path), str(row)], check=False)
    assert ended.returncode == -signal.SIGKILL
    run(reopen(path))
    check_new(path, packs)


def test_nobody_else_can_read_the_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run(reopen(path))
    assert path.stat().st_mode & 0o077 == 0
