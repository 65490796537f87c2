"""A bounded store: what is deleted, refused or given up, and that the file shrinks."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import FixedClock, make_config, make_node, running
from tests.gateway.disks import tmpfs
from tests.gateway.model_gate import Gate
from tests.support.node import pack

from feltpost_gateway.deletion import evict
from feltpost_gateway.delivery import load_position, save_position
from feltpost_gateway.errors import StoreFullError, StoreUnavailableError
from feltpost_gateway.housekeeping import Housekeeper
from feltpost_gateway.progress import Handover, Position
from feltpost_gateway.space import ROOM_BYTES, Limits
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Gap, GapReason, NodeRow, Pack, Transaction

NODE = NodeRow(bytes(8), "node", "owner", "site")
MAX_BYTES = 1 << 20

# So many packs of 900 bytes that there is still room for some.
NEARLY_FULL = 480
# So many that there is none, and the number that comes after theirs.
TOO_MANY = 960
NEXT = 4 * TOO_MANY

Run = Callable[[Any], None]


class FailsOnce:
    """A connection whose first commit fails at its very end, which a disk can't be made to do."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._has_failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if statement == "COMMIT" and not self._has_failed:
            self._has_failed = True
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(statement, *arguments)


@asynccontextmanager
async def opened(path: Path, limits: Limits) -> AsyncIterator[Store]:
    store = Store(path, limits)
    await store.open()
    store.set_destinations(("mqtt",))
    try:
        yield store
    finally:
        await store.close()


async def register(store: Store) -> int:
    return await store.write(lambda transaction: transaction.register_node(NODE))


async def append(store: Store, node_id: int, first: int) -> None:
    row = Pack(node_id, 1, first, 4, 1000 + first, bytes(900))
    await store.write(partial(Transaction.append, pack=row), takes_room=True)


async def append_many(store: Store, node_id: int, first: int, packs: int) -> None:
    """Append packs in one transaction, past the limits."""

    def run(transaction: Transaction) -> None:
        for index in range(packs):
            number = first + 4 * index
            transaction.append(Pack(node_id, 1, number, 4, 1000 + number, bytes(900)))

    await store.write(run)


@asynccontextmanager
async def beyond_its_limit(path: Path) -> AsyncIterator[tuple[Store, int]]:
    """Yield a store that gives up the oldest, with too many packs of one node, and that node."""
    async with opened(path, Limits(MAX_BYTES, evict=True)) as store:
        node_id = await register(store)
        await append_many(store, node_id, 0, TOO_MANY)
        yield store, node_id


async def fill(store: Store, node_id: int) -> int:
    """Append packs until one is refused; return the number that it would have begun with."""
    first = 4 * NEARLY_FULL
    await append_many(store, node_id, 0, NEARLY_FULL)
    try:
        while first < 100_000:
            await append(store, node_id, first)
            first += 4
    except StoreFullError:
        return first
    pytest.fail("the store took everything")


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as reader:
        return reader.execute(query).fetchall()


def test_a_full_store_refuses_new_readings_and_nothing_else(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with opened(path, Limits(MAX_BYTES)) as store:
            node_id = await register(store)
            end = await fill(store, node_id)
            space = store.stats().space
            assert space is not None
            assert MAX_BYTES - ROOM_BYTES < space.used < MAX_BYTES
            # A forwarder must be able to note what it delivered, or it would stay full for ever.
            await store.write(lambda t: t.save_cursor("other", 1))
            await store.write(lambda t: t.note_gap(Gap(node_id, 1, end, 4, GapReason.REJECTED, 1)))
            with pytest.raises(StoreFullError):
                await append(store, node_id, end + 4)
            assert rows(path, "SELECT sum(count) FROM packs") == [(end,)]
            # What is delivered goes, though its retention is not over.
            await store.write(lambda t: t.save_cursor("mqtt", 100))
            await append(store, node_id, end + 4)
            (kept_from,) = rows(path, "SELECT kept_from FROM journals")[0]
            assert kept_from == 400
            assert rows(path, "SELECT min(first) FROM packs") == [(400,)]
            assert rows(path, "SELECT first, reason FROM gaps") == [(end, GapReason.REJECTED)]

    run(scenario())


def test_the_oldest_readings_are_given_up_where_that_is_wanted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with opened(path, Limits(MAX_BYTES, evict=True)) as store:
            node_id = await register(store)
            await append(store, node_id, 0)
            await store.write(lambda t: t.save_cursor("mqtt", 1))
            last = 3 * MAX_BYTES // 900 * 4
            for first in range(4, last, 400):
                await append_many(store, node_id, first, 100)
            await append(store, node_id, 0)
            (oldest, newest) = rows(path, "SELECT min(first), max(first + count) FROM packs")[0]
            # One gap, and the first pack, which was delivered, is not in it.
            assert rows(path, "SELECT first, count, reason FROM gaps") == [
                (4, oldest - 4, GapReason.EVICTED)
            ]
            assert rows(path, "SELECT next_seq, kept_from FROM journals") == [(newest, oldest)]
            assert rows(path, "SELECT sum(count) FROM packs") == [(newest - oldest,)]
            assert store.stats().evicted_readings == oldest - 4
            space = store.stats().space
            assert space is not None
            assert space.room >= ROOM_BYTES

    run(scenario())


def test_what_could_not_be_delivered_is_not_counted_twice(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with opened(path, Limits(MAX_BYTES, evict=True)) as store:
            node_id = await register(store)
            await append_many(store, node_id, 0, 3)
            await store.write(lambda t: t.note_unreadable(2, 1000))
            await store.write(lambda t: evict(t.connection, ("mqtt",), 3, only_delivered=False))
            assert rows(path, "SELECT first, count, reason FROM gaps ORDER BY first") == [
                (0, 4, GapReason.EVICTED),
                (4, 4, GapReason.UNREADABLE),
                (8, 4, GapReason.EVICTED),
            ]

    run(scenario())


def test_what_is_given_up_joins_the_gap_right_before_it_and_no_other(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    other = NodeRow(bytes(7) + b"\1", "other", "owner", "site")

    async def scenario() -> None:
        async with opened(path, Limits(MAX_BYTES, evict=True)) as store:
            one = await register(store)
            two = await store.write(lambda transaction: transaction.register_node(other))
            # In the order of their ids. The last but one has been delivered before its turn.
            for node_id, journal, first in (
                *((one, 1, 0), (one, 2, 0), (two, 1, 0)),
                *((one, 1, 4), (one, 1, 8), (one, 1, 12)),
            ):
                row = Pack(node_id, journal, first, 4, 1000, bytes(900))
                await store.write(partial(Transaction.append, pack=row))
            had = Position(0, ((4, 5),))
            await store.write(lambda t: save_position(t.connection, "mqtt", had))
            for _ in range(6):
                await store.write(lambda t: evict(t.connection, ("mqtt",), 1, only_delivered=False))
            gaps = "SELECT node_id, journal, first, count FROM gaps ORDER BY 1, 2, 3"
            assert rows(path, gaps) == [
                (one, 1, 0, 8),
                (one, 1, 12, 4),
                (one, 2, 0, 4),
                (two, 1, 0, 4),
            ]

    run(scenario())


def test_what_is_delivered_or_on_its_way_is_not_given_up(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with beyond_its_limit(path) as (store, node_id):
            # Neither is in the store yet: what it has, and what may be there.
            had = Position(10, ((14, 16),))
            store.set_handover("mqtt", Handover(had, taken=((10, 14), (20, 30))))
            await append(store, node_id, NEXT)
            position = await store.read(lambda reader: load_position(reader, "mqtt"))
            assert position == had
            (oldest,) = rows(path, "SELECT min(id) FROM packs WHERE id > 30")[0]
            kept = [pack_id for (pack_id,) in rows(path, "SELECT id FROM packs WHERE id <= 30")]
            assert kept == [11, 12, 13, 14, *range(21, 31)]
            # Pack n has the numbers from 4 (n - 1) on.
            assert rows(path, "SELECT first, count FROM gaps ORDER BY first") == [
                (4 * 16, 4 * 4),
                (4 * 30, 4 * (oldest - 31)),
            ]
            assert store.stats().evicted_readings == 4 * (4 + oldest - 31)

    run(scenario())


def test_what_a_failed_commit_gave_up_is_there_again_and_not_counted(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with beyond_its_limit(path) as (store, node_id):
            store._writer = FailsOnce(store._writer)  # type: ignore[assignment]
            with pytest.raises(StoreUnavailableError):
                await append(store, node_id, NEXT)
            assert store.stats().failed == 1
            assert rows(path, "SELECT count(*) FROM packs") == [(TOO_MANY,)]
            await append(store, node_id, NEXT)
            (lost,) = rows(path, "SELECT sum(count) FROM gaps")[0]
            assert store.stats().evicted_readings == lost > 0

    run(scenario())


def test_where_all_is_on_its_way_new_readings_are_refused(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with beyond_its_limit(tmp_path / "s.db") as (store, node_id):
            taken = Handover(Position(0), taken=((0, TOO_MANY),))
            store.set_handover("mqtt", taken)
            with pytest.raises(StoreFullError):
                await append(store, node_id, NEXT)
            store.set_handover("mqtt", None)
            await append(store, node_id, NEXT)

    run(scenario())


def test_what_is_taken_while_readings_are_given_up_is_there(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        async with beyond_its_limit(path) as (store, node_id):
            store._writer = gate = Gate(store._writer)  # type: ignore[assignment]
            held = asyncio.Event()

            def hold(pack_id: int) -> None:
                store.set_handover("mqtt", Handover(Position(0), taken=((0, pack_id),)))
                held.set()

            with gate.lock:
                giving_up = asyncio.create_task(append(store, node_id, NEXT))
                await asyncio.to_thread(gate.reached.wait)
                taking = asyncio.create_task(store.take_packs(0, 64, hold))
                await held.wait()
            taken = await taking
            await giving_up
            assert rows(path, "SELECT min(id) > 64 FROM packs") == [(1,)]
            assert (taken.packs, taken.may_have_more) == ([], True)

            first = (await store.take_packs(0, 64, hold)).packs
            await append_many(store, node_id, NEXT + 4, NEARLY_FULL)
            await append(store, node_id, 4 * 3 * NEARLY_FULL + 4)
            there = [pack.id for pack in await store.read_packs(0, 64)]
            assert there == [pack.id for pack in first]

    run(scenario())


def test_the_floor_of_free_space_is_kept(run: Run, tmp_path: Path) -> None:
    async def scenario(directory: Path) -> None:
        path = directory / "s.db"
        async with opened(path, Limits(min_free_bytes=6 << 20)) as store:
            node_id = await register(store)
            end = await fill(store, node_id)
            space = store.stats().space
            assert space is not None
            # The log takes of it too, until it is as long as it gets.
            assert space.free > (5 << 20) - ROOM_BYTES
            (directory / "filler").write_bytes(bytes(100_000))
            with pytest.raises(StoreFullError):
                await append(store, node_id, end)
            # Pages that became unused take new readings without any more of the disk.
            await store.write(lambda t: t.save_cursor("mqtt", 1000))
            await append(store, node_id, end)

    with tmpfs(tmp_path / "disk", "12m") as disk:
        run(scenario(disk.path))


def test_nodes_keep_custody_while_the_store_is_full(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "feltpost.db"
        async with opened(path, Limits()) as before:
            await append_many(before, await register(before), 0, NEARLY_FULL)
        store = {"path": str(path), "max_size_mib": 1, "min_free_mib": 0}
        async with running(make_config(tmp_path, store=store)) as gateway:
            node = make_node(gateway)
            seq = 0
            while (answer := await node.put(1, seq, pack(60))).code == codes.CHANGED:
                seq += 60
            assert answer.code == codes.SERVICE_UNAVAILABLE
            assert answer.opt.max_age == 30
            assert (await node.request(codes.GET, "/t")).code == codes.CONTENT
            assert (await node.put_gap(1, seq, 1, 1)).code == codes.CHANGED
            node.close()
        kept = rows(path, "SELECT sum(count) FROM packs")[0][0]
        assert kept == seq + 4 * NEARLY_FULL

    run(scenario())


def test_the_file_shrinks_after_an_outage(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s.db"
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async with opened(path, Limits()) as store:
            node_id = await register(store)
            await append_many(store, node_id, 0, 8000)
            housekeeper = Housekeeper(store, FixedClock(), 0, ("mqtt",))
            await housekeeper.tidy()
            housekeeper.log_counts()
            line = next(text for text in caplog.messages if text.startswith("counts "))
            for field in ("commits=", "fdatasyncs=", "written_bytes=", "device_bytes=", "room="):
                assert field in line
            await store.write(lambda _: None, checkpoint=True)
            size = path.stat().st_size
            assert size > 8000 * 900, "nothing is delivered yet"
            await store.write(lambda t: t.save_cursor("mqtt", 7990))
            await housekeeper.tidy()
            assert path.stat().st_size < size // 5
            assert rows(path, "SELECT count(*) FROM packs") == [(10,)]
            assert rows(path, "PRAGMA integrity_check") == [("ok",)]
            size = path.stat().st_size
            await housekeeper.tidy()
            assert path.stat().st_size == size, "some room is left for what comes"

    run(scenario())
