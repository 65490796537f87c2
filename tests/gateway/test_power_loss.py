"""The power of the gateway's disk goes at any moment: what it had told anybody is still true.

A run of the real gateway is recorded by strace, write by write, and replayed to each sync; see
`power_loss`. A part of all states is opened, chosen by a seed; FELTPOST_POWER_LOSS=all opens all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.gateway.crash_site import COUNT, NODES, Courier, Site, eui64
from tests.gateway.full_store import OLD_COUNT, OLD_NODE, keep_three_days, make_full
from tests.gateway.old_stores import make_old
from tests.gateway.power_loss import system_calls
from tests.gateway.power_loss.disk import Write
from tests.gateway.power_loss.known import Known, answers_of
from tests.gateway.power_loss.recording import Event, Told, events_of
from tests.gateway.power_loss.replay import Replay
from tests.support.broker import Broker

from feltpost_gateway.migrations import PAGE_BYTES
from feltpost_tools.faults.mqtt_proxy import MqttProxy

MakeSite = Callable[..., Site]

# All states of a run are opened in half a minute where nothing else runs.
pytestmark = pytest.mark.timeout(900)

SEED = 20261122
SHARE = 1.0 if os.environ.get("FELTPOST_POWER_LOSS") == "all" else 0.2

# So small that a run of a few dozen commits puts the log into the database again and again.
CHECKPOINT_BYTES = 20_000

PACKS = 4
OLD_PACKS = 1800
WAITING = 20
SALVAGED_PACKS = 100


async def record(
    site: Site, trace: Path, known: Known, send: Callable[[list[Courier]], Awaitable[None]]
) -> Replay:
    """Run the gateway of `site`, which may have a store already, and have couriers send to it."""
    files = files_of(site.store)
    site.gateway.tell(f"checkpoint-at {CHECKPOINT_BYTES}")
    couriers = [Courier(site, node) for node in NODES]
    await site.live()
    try:
        await send(couriers)
    finally:
        await site.gateway.stop()
        # strace has written all down when it lets go of the process's output.
        await site.gateway.ended()
        for courier in couriers:
            courier.close()
    events = events_of(system_calls.read(trace), site.store, site.broker_port)
    told = {event.datagram for event in events if isinstance(event, Told)}
    assert all(heard.datagram in told for courier in couriers for heard in courier.heard)
    take = partial(Known.take, answers=answers_of(couriers))
    return Replay(events, files, site.store.name, known, take, look_for_nothing)


def look_for_nothing(directory: Path) -> None:
    """A power loss is no damage, and nothing is moved aside for it."""
    assert not list(directory.glob("*.damaged-*"))


def files_of(store: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in store.parent.glob(f"{store.name}*")}


async def send_some(couriers: list[Courier]) -> None:
    """Packs of both nodes at the same time, gaps that stay and gaps that are filled."""

    async def send(courier: Courier) -> None:
        await courier.send(PACKS)
        await courier.report_gap(1)
        await courier.send_swapped()
        await courier.send(2 * PACKS - 2)

    await asyncio.gather(*(send(courier) for courier in couriers))


def _begins_log(event: Event) -> bool:
    """Tell whether that writes the header of the log, which is begun again after checkpoints."""
    return isinstance(event, Write) and event.name.endswith("-wal") and event.offset == 0


@pytest.fixture(autouse=True)
def in_silence() -> Iterator[None]:
    """Each of thousands of stores that are opened would have its say."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture
def make_site(tmp_path: Path, trace: Path, broker: Broker) -> MakeSite:
    """Make the site of a gateway whose system calls are recorded."""
    try:
        tracer = system_calls.tracer(trace)
    except OSError as error:
        pytest.skip(str(error))
    directory = tmp_path / "gateway"
    directory.mkdir()

    def make(configure: Callable[[str], str] = str, port: int = broker.port) -> Site:
        return Site(directory, port, [], configure, tracer)

    return make


def test_commits_and_checkpoints(make_site: MakeSite, trace: Path, broker: Broker) -> None:
    async def scenario() -> None:
        proxy = MqttProxy(("127.0.0.1", broker.port))
        await proxy.start()

        async def send(couriers: list[Courier]) -> None:
            """Send while the broker acknowledges nothing, and then while it does."""
            proxy.hold_pubacks()
            await send_some(couriers)
            await proxy.puback_held.wait()
            proxy.release_pubacks()
            await send_some(couriers)

        replay = await record(make_site(port=proxy.port), trace, Known(), send)
        await proxy.stop()
        await replay.run(SEED, SHARE)
        print(f"\ncommits and checkpoints, seed {SEED}: {replay.counts}")
        begun_again = [event for event in replay.events if _begins_log(event)]
        assert len(begun_again) > 3
        sent = 2 * 3 * PACKS * COUNT
        assert [len(numbers) for numbers in replay.known.kept.values()] == 2 * [sent]

    asyncio.run(scenario())


def test_a_store_that_is_made_smaller(make_site: MakeSite, trace: Path) -> None:
    async def scenario() -> None:
        site = make_site(keep_three_days)
        await make_full(site.store, OLD_PACKS, WAITING)

        async def send(couriers: list[Courier]) -> None:
            while b"store shrunk" not in await asyncio.to_thread(site.log.read_bytes):
                await couriers[0].send(1)

        known = Known(is_pruned=True)
        urn = f"urn:dev:mac:{eui64(OLD_NODE).hex()}"
        known.kept[urn].update(range(OLD_PACKS * OLD_COUNT))
        known.handed_over[urn].update(range((OLD_PACKS - WAITING) * OLD_COUNT))
        replay = await record(site, trace, known, send)
        await replay.run(SEED, SHARE)
        print(f"\nprune and vacuum, seed {SEED}: {replay.counts}")

    asyncio.run(scenario())


def test_a_store_that_is_brought_up_to_date(make_site: MakeSite, trace: Path) -> None:
    """From the first version, which also has its pages made smaller."""

    async def scenario() -> None:
        site = make_site(lambda text: text.replace("[store]", "[store]\nretention_days = 36500"))
        make_old(site.store, 1)
        with closing(sqlite3.connect(site.store)) as store:
            # The old packs hold no readings that could go out, and their key is not that of a node.
            store.execute("UPDATE cursors SET pack_id = 9")
            store.execute("UPDATE oscore SET key_id = x'77'")
            store.commit()
        known = Known()
        for numbers in (known.kept, known.handed_over):
            numbers["urn:dev:mac:0000000000000000"].update(range(12, 40))
        replay = await record(site, trace, known, send_some)
        await replay.run(SEED, SHARE)
        print(f"\nmigration, seed {SEED}: {replay.counts}")

    asyncio.run(scenario())


def test_a_store_that_is_salvaged(make_site: MakeSite, trace: Path) -> None:
    async def scenario() -> None:
        site = make_site()
        await make_full(site.store, SALVAGED_PACKS, 0)
        damaged = bytes(PAGE_BYTES) + site.store.read_bytes()[PAGE_BYTES:]
        site.store.write_bytes(damaged)

        def look(directory: Path) -> None:
            files = directory.glob(f"{site.store.name}*")
            assert damaged in [file.read_bytes() for file in files], "the damaged file is gone"

        known = Known(is_damaged=True)
        urn = f"urn:dev:mac:{eui64(OLD_NODE).hex()}"
        for numbers in (known.kept, known.handed_over):
            numbers[urn].update(range(SALVAGED_PACKS * OLD_COUNT))

        async def send(couriers: list[Courier]) -> None:
            await couriers[0].send(PACKS)

        replay = await record(site, trace, known, send)
        replay.look = look
        await replay.run(SEED, SHARE)
        print(f"\nsalvage, seed {SEED}: {replay.counts}")

    asyncio.run(scenario())
