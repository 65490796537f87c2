"""The store: deduplication, gaps, group commit, refusal when the disk is full, crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feltpost_gateway import deletion
from feltpost_gateway.errors import StoreError, StoreUnavailableError
from feltpost_gateway.migrations import migrate
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Gap, GapReason, NodeRow, Outcome, Pack, Transaction

NODE = NodeRow(bytes(8), "node", "owner", "site")

Run = Callable[[Any], None]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    store = Store(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def register(store: Store) -> int:
    return await store.write(lambda transaction: transaction.register_node(NODE))


async def append(store: Store, node_id: int, first: int | None, count: int) -> Outcome:
    pack = Pack(node_id, 1, first, count, 1000, b"body")
    return await store.write(partial(Transaction.append, pack=pack))


async def note_gap(store: Store, node_id: int, first: int, count: int) -> Outcome:
    gap = Gap(node_id, 1, first, count, GapReason.JOURNAL_FULL, 2000)
    return await store.write(partial(Transaction.note_gap, gap=gap))


async def ranges(store: Store) -> list[tuple[int, int, int]]:
    return [(p.first, p.count, p.skip) for p in await store.read_packs(0, 10_000)]


def gaps(path: Path) -> list[tuple[int, int, int]]:
    with sqlite3.connect(path) as reader:
        return reader.execute("SELECT first, count, reason FROM gaps ORDER BY first").fetchall()


def test_overlapping_packs_store_each_number_once(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)
            assert (await append(store, node_id, 0, 4)).stored == 4
            assert (await append(store, node_id, 0, 4)) == Outcome(4, 0, 0)
            assert (await append(store, node_id, 2, 4)) == Outcome(6, 2, 0)
            assert await ranges(store) == [(0, 4, 0), (4, 2, 2)]

    run(scenario())


def test_unseen_numbers_may_come_late(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with opened(path) as store:
            node_id = await register(store)
            assert await append(store, node_id, 10, 2) == Outcome(12, 2, 10)
            assert gaps(path) == [(0, 10, GapReason.UNSEEN)]
            assert await append(store, node_id, 4, 2) == Outcome(12, 2, 0)
            assert gaps(path) == [(0, 4, 0), (6, 4, 0)]
            # One pack over a hole, a stored part, another hole, and new numbers.
            assert await append(store, node_id, 2, 12) == Outcome(14, 8, 0)
            assert gaps(path) == [(0, 2, 0)]
            assert await ranges(store) == [
                (10, 2, 0), (4, 2, 0), (2, 2, 0), (6, 4, 4), (12, 2, 10),
            ]  # fmt: skip

    run(scenario())


def test_what_can_wait_shares_the_next_commit(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)
            before = store.commits
            order: list[str] = []
            patient = asyncio.create_task(
                store.write(lambda _: order.append("patient"), patience_s=3600)
            )
            # An empty commit takes far less time than this.
            done, _ = await asyncio.wait({patient}, timeout=0.2)
            assert not done
            await append(store, node_id, 0, 1)
            await patient
            await store.write(lambda _: order.append("late"), patience_s=0.01)
            assert store.commits == before + 2
            last = asyncio.create_task(
                store.write(lambda _: order.append("at the end"), patience_s=3600)
            )
            await asyncio.sleep(0)
        await last
        assert order == ["patient", "late", "at the end"]

    run(scenario())


def test_gap_reported_by_the_node_is_final(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with opened(path) as store:
            node_id = await register(store)
            await append(store, node_id, 5, 1)
            assert await note_gap(store, node_id, 3, 5) == Outcome(8, 4, 0)
            assert gaps(path) == [(0, 3, 0), (3, 2, 1), (6, 2, 1)]
            assert await append(store, node_id, 3, 5) == Outcome(8, 0, 0)
            assert await note_gap(store, node_id, 3, 5) == Outcome(8, 0, 0)

    run(scenario())


def test_a_nodes_report_of_what_it_lost_keeps_what_is_there(run: Run, tmp_path: Path) -> None:
    """A node whose journal was in RAM can't know what of it was delivered."""
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with opened(path) as store:
            node_id = await register(store)
            await append(store, node_id, 0, 4)
            await append(store, node_id, 6, 2)
            assert await note_gap(store, node_id, 0, 12) == Outcome(12, 6, 0)
            assert gaps(path) == [(4, 2, 1), (8, 4, 1)]
            assert await ranges(store) == [(0, 4, 0), (6, 2, 0)]

    run(scenario())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=12
    )
)
def test_every_number_is_accounted_for_once(operations: list[tuple[bool, int, int]]) -> None:
    """Whatever comes in whatever order, each number below the next is stored or in one gap."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, "a store in memory")
    transaction = Transaction(connection)
    node_id = transaction.register_node(NODE)
    received: set[int] = set()
    reported: set[int] = set()
    next_seq = 0
    for is_gap, first, count in operations:
        numbers = set(range(first, first + count))
        if is_gap:
            outcome = transaction.note_gap(Gap(node_id, 1, first, count, GapReason.REJECTED, 0))
            reported |= numbers - received
        else:
            outcome = transaction.append(Pack(node_id, 1, first, count, 0, b""))
            received |= numbers - reported
        next_seq = max(next_seq, first + count)
        assert outcome.next_seq == next_seq
    rows = connection.execute("SELECT first, count FROM packs").fetchall()
    stored = [n for first, count in rows for n in range(first, first + count)]
    rows = connection.execute("SELECT first, count, reason FROM gaps").fetchall()
    missing = [n for first, count, _ in rows for n in range(first, first + count)]
    final = {n for first, count, reason in rows if reason for n in range(first, first + count)}
    assert sorted(stored) == sorted(received)
    assert final == reported
    assert sorted(stored + missing) == list(range(next_seq))


def test_concurrent_requests_share_commits(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)
            before = store.commits
            await asyncio.gather(*(append(store, node_id, i, 1) for i in range(400)))
            assert store.commits - before < 40
            assert len(await ranges(store)) == 400

    run(scenario())


def test_a_commit_is_bounded_in_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feltpost_gateway.store._BATCH_MAX_S", 0.0)

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)
            before = store.commits
            await asyncio.gather(*(append(store, node_id, i, 1) for i in range(20)))
            assert store.commits - before == 20
            assert await ranges(store) == [(i, 1, 0) for i in range(20)]

    run(scenario())


def test_an_operation_that_fails_spoils_no_other(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)

            def broken(transaction: Transaction) -> None:
                transaction.save_cursor("half", 1)
                raise ValueError("a bug")

            results = await asyncio.gather(
                append(store, node_id, 0, 1),
                store.write(broken),
                append(store, node_id, 1, 1),
                store.write(lambda t: t.note_gap(Gap(99, 1, 0, 1, GapReason.REJECTED, 1))),
                append(store, node_id, 2, 1),
                return_exceptions=True,
            )
            failed = [n for n, r in enumerate(results) if isinstance(r, StoreUnavailableError)]
            assert failed == [1, 3]
            assert await ranges(store) == [(0, 1, 0), (1, 1, 0), (2, 1, 0)]
            assert await store.load_cursor("half") == 0

    run(scenario())


def test_queue_is_bounded(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)
            results = await asyncio.gather(
                *(append(store, node_id, i, 1) for i in range(3000)), return_exceptions=True
            )
            taken = [r for r in results if isinstance(r, Outcome)]
            refused = [r for r in results if isinstance(r, StoreUnavailableError)]
            assert len(taken) + len(refused) == 3000
            assert refused, "3000 requests at once must not all be queued"
            assert sum(r.stored for r in taken) == sum(c for _, c, _ in await ranges(store))

    run(scenario())


def test_full_disk_stores_nothing_and_heals(run: Run, tmp_path: Path) -> None:
    """SQLite's own page limit gives the real SQLITE_FULL, in the middle of a batch."""

    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)

            def limit(pages: int) -> Callable[[Transaction], None]:
                def set_limit(transaction: Transaction) -> None:
                    transaction._db.execute(f"PRAGMA max_page_count = {pages}")

                return set_limit

            await store.write(limit(20))
            big = Pack(node_id, 1, 0, 64, 1000, bytes(100_000))
            results = await asyncio.gather(
                append(store, node_id, 0, 1),
                store.write(partial(Transaction.append, pack=big)),
                return_exceptions=True,
            )
            assert any(isinstance(r, StoreUnavailableError) for r in results)
            kept = sum(r.stored for r in results if isinstance(r, Outcome))
            assert sum(count for _, count, _ in await ranges(store)) == kept
            await store.write(limit(1 << 30))
            assert (await store.write(partial(Transaction.append, pack=big))).next_seq == 64

    run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs takes root")
def test_no_space_left_on_device(run: Run, tmp_path: Path) -> None:
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs can't be mounted here")

    async def scenario() -> None:
        async with opened(mount / "s.db") as store:
            node_id = await register(store)
            await append(store, node_id, 0, 1)
            filler = mount / "filler"
            with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(4096))
            big = Pack(node_id, 1, 1, 64, 1000, bytes(100_000))
            with pytest.raises(StoreUnavailableError, match="took nothing"):
                await store.write(partial(Transaction.append, pack=big))
            assert await ranges(store) == [(0, 1, 0)]
            filler.unlink()
            assert (await store.write(partial(Transaction.append, pack=big))).next_seq == 65

    try:
        run(scenario())
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_open_failures_are_explained(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(StoreError, match=r"absent/s\.db can't be opened"):
            await Store(tmp_path / "absent" / "s.db").open()
        (tmp_path / "text.db").write_text("this is no database, " * 100)
        with pytest.raises(StoreError, match="not a database"):
            await Store(tmp_path / "text.db").open()
        newer = tmp_path / "newer.db"
        with sqlite3.connect(newer) as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(StoreError, match="schema version 99"):
            await Store(newer).open()
        with sqlite3.connect(newer) as connection:
            connection.execute("PRAGMA user_version = 0")
        async with opened(newer):
            pass
        async with opened(tmp_path / "s.db"):
            with pytest.raises(StoreError, match="in use by another gateway"):
                await Store(tmp_path / "s.db").open()

    run(scenario())


def test_retention_waits_for_the_destination(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "s.db") as store:
            node_id = await register(store)
            for first in range(4):
                await append(store, node_id, first, 1)

            async def prune(destinations: tuple[str, ...], before_ms: int) -> int:
                return await store.write(
                    lambda transaction: deletion.prune(
                        transaction.connection, destinations, before_ms, 2
                    )
                )

            assert await prune(("mqtt",), 5000) == 0
            assert await prune((), 5000) == 0
            await store.write(lambda transaction: transaction.save_cursor("mqtt", 3))
            assert await prune(("mqtt",), 1000) == 0
            assert await prune(("mqtt", "other"), 5000) == 0
            assert await prune(("mqtt",), 5000) == 2
            assert await prune(("mqtt",), 5000) == 1
            assert [p.id for p in await store.read_packs(0, 10)] == [4]

    run(scenario())


WRITER = """
import asyncio, sys
from functools import partial
from pathlib import Path
from feltpost_gateway.transaction import Transaction, NodeRow, Pack
from feltpost_gateway.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    await store.open()
    row = NodeRow(bytes(8), "node", "owner", "site")
    node_id = await store.write(lambda transaction: transaction.register_node(row))
    async def feed(journal):
        first = 0
        while True:
            pack = Pack(node_id, journal, first, 3, 1000, bytes(60))
            outcome = await store.write(partial(Transaction.append, pack=pack))
            first = outcome.next_seq
            print(journal, first, flush=True)
    await asyncio.gather(*(feed(journal) for journal in range(1, 9)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 57, 400])
def test_what_was_confirmed_survives_sigkill(run: Run, tmp_path: Path, lines: int) -> None:
    path = tmp_path / "s.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    confirmed: dict[int, int] = {}
    for _ in range(lines):
        journal, next_seq = map(int, writer.stdout.readline().split())
        confirmed[journal] = next_seq
    writer.send_signal(signal.SIGKILL)
    for line in writer.stdout:
        if line.endswith("\n"):
            journal, next_seq = map(int, line.split())
            confirmed[journal] = next_seq
    writer.wait()

    async def scenario() -> None:
        async with opened(path) as store:
            numbers: dict[int, list[int]] = {}
            after = 0
            while packs := await store.read_packs(after, 100):
                for pack in packs:
                    after = pack.id
                    numbers.setdefault(pack.journal, []).extend(
                        range(pack.first, pack.first + pack.count)
                    )
            for journal, next_seq in confirmed.items():
                stored = numbers[journal]
                assert stored == list(range(len(stored)))
                assert len(stored) >= next_seq

    run(scenario())
