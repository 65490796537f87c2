"""The gateway killed at each point where that could hurt: nothing is lost, nothing is made up."""

from __future__ import annotations

import asyncio
import errno
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers import codes
from tests.gateway.crash_site import COUNT, NODES, Courier, Site, check_stream
from tests.gateway.full_store import OLD_COUNT, keep_three_days, make_full
from tests.gateway.old_stores import check_new, make_old
from tests.support.broker import Broker, Subscriber

from feltpost_gateway.migrations import SCHEMA_VERSION
from feltpost_gateway.store import Store
from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim import gateway_faults as points

Run = Callable[[Any], None]

PASSES = (1, 2, 3, 7)
PACKS = 12


async def deliver(site: Site, couriers: list[Courier]) -> None:
    """Have every courier's packs answered and every crash happen, then end the gateway."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(site.live())
            for courier in couriers:
                group.create_task(courier.send(PACKS))
    except BaseException:
        await site.gateway.kill()
        raise


def check_store(path: Path, numbers: int) -> None:
    """Each node's numbers are stored once, without a gap, and nothing waits."""
    with closing(sqlite3.connect(path)) as reader:
        for (node_id,) in reader.execute("SELECT id FROM nodes").fetchall():
            rows = reader.execute(
                "SELECT first, count FROM packs WHERE node_id = ? ORDER BY first", (node_id,)
            ).fetchall()
            stored = [number for first, count in rows for number in range(first, first + count)]
            assert stored == list(range(numbers))
        assert reader.execute("SELECT * FROM gaps").fetchall() == []
        (newest,) = reader.execute("SELECT max(id) FROM packs").fetchone()
        assert reader.execute("SELECT pack_id FROM cursors").fetchall() == [(newest,)]


@pytest.mark.parametrize(
    "point",
    [
        points.AFTER_COMMIT_BEFORE_ANSWER,
        points.AFTER_PUBLISH_BEFORE_PUBACK,
        points.AFTER_PUBACK_BEFORE_CURSOR,
    ],
)
def test_nothing_is_lost_at_a_point_of_the_journey(
    run: Run, tmp_path: Path, broker: Broker, subscriber: Subscriber, point: str
) -> None:
    async def scenario() -> None:
        site = Site(tmp_path, broker.port, [(point, nth) for nth in PASSES])
        couriers = [Courier(site, node) for node in NODES]
        await deliver(site, couriers)
        await asyncio.to_thread(subscriber.wait_for_numbers, len(NODES) * PACKS * COUNT)
        await site.gateway.stop()
        check_stream(subscriber, couriers)
        check_store(site.store, PACKS * COUNT)
        for courier in couriers:
            courier.close()
        if point == points.AFTER_PUBACK_BEFORE_CURSOR:
            arrived = subscriber.numbers()
            assert len(arrived) >= len(set(arrived)) + len(PASSES) * COUNT, "sent again"

    run(scenario())


OLD_PACKS = 6000
WAITING = 20


def check_rest(path: Path) -> None:
    """The old packs that the broker had are gone, the file is sound and shorter.

    Those that it lacked have gone to it since, and may be gone as well.
    """
    end = OLD_PACKS * OLD_COUNT
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = reader.execute("SELECT first FROM packs WHERE count = ?", (OLD_COUNT,)).fetchall()
        ((next_seq, kept_from),) = reader.execute(
            "SELECT next_seq, kept_from FROM journals WHERE next_seq >= ?", (OLD_COUNT * PACKS,)
        ).fetchall()
        assert (next_seq, kept_from) == (end, end - len(rows) * OLD_COUNT)
        assert len(rows) <= WAITING
        assert sorted(first for (first,) in rows) == list(range(kept_from, end, OLD_COUNT))
        assert reader.execute("SELECT * FROM gaps").fetchall() == []
    assert path.stat().st_size < 3 << 20


@pytest.mark.parametrize(
    ("point", "passes"), [(points.DURING_PRUNE, PASSES), (points.DURING_VACUUM, (1, 2, 3, 4))]
)
def test_nothing_is_lost_while_the_store_is_made_smaller(
    run: Run,
    tmp_path: Path,
    broker: Broker,
    subscriber: Subscriber,
    point: str,
    passes: tuple[int, ...],
) -> None:
    async def scenario() -> None:
        site = Site(
            tmp_path,
            broker.port,
            [(point, nth) for nth in passes],
            configure=keep_three_days,
        )
        await make_full(site.store, OLD_PACKS, WAITING)
        courier = Courier(site, NODES[0])
        # While the broker is away, what it lacks stays, however old that is.
        broker.stop()
        await deliver(site, [courier])
        while b"store shrunk" not in await asyncio.to_thread(site.log.read_bytes):
            await courier.send(1)
        await asyncio.to_thread(broker.start)
        expected = courier.answered + WAITING * OLD_COUNT
        await asyncio.to_thread(subscriber.wait_for_numbers, expected)
        await site.gateway.stop()
        check_stream(subscriber, [courier])
        assert len(set(subscriber.numbers())) == expected, "what was delivered is not sent again"
        courier.close()
        check_rest(site.store)

    run(scenario())


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_kill_during_a_migration_leaves_the_store_of_before(
    run: Run, tmp_path: Path, broker: Broker, version: int
) -> None:
    """Killed in each migration that a store needs, one after the other."""

    async def scenario() -> None:
        site = Site(tmp_path, broker.port, [])
        packs = make_old(site.store, version)
        for number in range(version + 1, SCHEMA_VERSION + 1):
            site.gateway.crash_at(points.DURING_MIGRATION, number)
            with pytest.raises(FeltpostError):
                await site.gateway.start()
            assert await site.gateway.ended() == -signal.SIGKILL
            assert site.gateway.crashed_at == f"{points.DURING_MIGRATION} {number}"
            with closing(sqlite3.connect(site.store)) as reader:
                assert reader.execute("PRAGMA user_version").fetchone() == (number - 1,)
        store = Store(site.store)
        await store.open()
        await store.close()
        await asyncio.to_thread(check_new, site.store, packs)

    run(scenario())


def test_a_failing_disk_of_the_process_heals(
    run: Run, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    async def scenario() -> None:
        site = Site(tmp_path, broker.port, [])
        site.gateway.tell("fail-writes ENOSPC")
        courier, other = (Courier(site, node) for node in NODES)
        # Refusals take Partial IVs of the gateway's own, which must not come again after a restart.
        await site.live()
        assert await courier.ask() == codes.SERVICE_UNAVAILABLE
        await site.gateway.kill()
        site.gateway.fail_writes(errno.ENOSPC)
        await site.live()
        assert await courier.ask() == codes.SERVICE_UNAVAILABLE
        site.gateway.fail_writes(None)
        # The gateway hears of that by another way than the node's requests come.
        while await courier.ask() == codes.SERVICE_UNAVAILABLE:
            pass
        await courier.send(PACKS)
        await other.send(PACKS)
        site.gateway.fail_writes(errno.EIO)
        while await courier.ask() != codes.SERVICE_UNAVAILABLE:
            pass
        site.gateway.fail_writes(None)
        await asyncio.to_thread(subscriber.wait_for_numbers, len(NODES) * PACKS * COUNT)
        await site.gateway.stop()
        check_store(site.store, PACKS * COUNT)
        courier.close()
        other.close()

    run(scenario())


def test_a_command_that_there_is_not_ends_the_process(
    run: Run, tmp_path: Path, broker: Broker
) -> None:
    async def scenario() -> None:
        site = Site(tmp_path, broker.port, [("nowhere", 1)])
        with pytest.raises(FeltpostError):
            await site.live()
        assert await site.gateway.ended() == 2
        assert b"no command 'crash-at nowhere 1'" in await asyncio.to_thread(site.log.read_bytes)

    run(scenario())
