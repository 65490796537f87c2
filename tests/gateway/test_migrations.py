"""Stores of every earlier version come up with all that was in them, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.disks import failing_writes
from tests.gateway.old_stores import check_new, make_old

from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.migrations import PAGE_BYTES, SCHEMA_VERSION
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Pack

Run = Callable[[Any], None]

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
