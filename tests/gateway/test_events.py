"""What is wrong, and since when: begun, kept over restarts, ended."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import FixedClock, make_config, make_node, running
from tests.support.authority import Authority
from tests.support.broker import free_port
from tests.support.node import pack

from feltpost_gateway.contacts import Contacts
from feltpost_gateway.events import Change, EventKind, Subject, read_events
from feltpost_gateway.service import Gateway
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Pack

Run = Callable[[Coroutine[Any, Any, None]], None]

START_MS = 1_790_000_600_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def reading(name: str, value: float, at_ms: int, unit: str | None = None, marks: int = 0) -> Any:
    record: dict[Any, Any] = {0: name, 2: value, 6: at_ms / 1000}
    if unit is not None:
        record[1] = unit
    if marks:
        record["q"] = marks
    return record


class Sender:
    """Node 01, whose readings are numbered on."""

    def __init__(self, gateway: Gateway, sequence_number: int = 0, seq: int = 0) -> None:
        self.node = make_node(gateway, sequence_number=sequence_number)
        self.seq = seq

    async def say(self, *records: Any) -> None:
        answer = await self.node.put(7, self.seq, cbor2.dumps(list(records)))
        assert answer.code == codes.CHANGED, answer.payload
        self.seq += len(records)

    async def report(self, boot: int, **more: Any) -> None:
        keys = {"problems": 4, "traceback": 5, "safe_mode": 6}
        body = {0: "1.2.0", **{keys[key]: value for key, value in more.items()}}
        answer = await self.node.request(codes.PUT, f"/h/{boot}", cbor2.dumps(body), 60)
        assert answer.code == codes.CHANGED, answer.payload


def stored(path: Path) -> list[tuple[EventKind, str, int | None, str]]:
    """The open events as they are on the disk."""
    with closing(sqlite3.connect(path)) as connection:
        return [
            (event.subject.kind, event.subject.part, event.since_ms, event.value)
            for event in read_events(connection)
        ]


def test_a_reading_begins_and_ends_an_event_with_its_own_commit(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            sender = Sender(gateway)
            await sender.say(reading("batteryVoltage", 3.5, START_MS - 5000, "V"))
            assert stored(config.store.path) == []
            await sender.say(reading("batteryVoltage", 3.25, START_MS - 4000, "V"))
            # Read at once, as a crash after the answer would leave it.
            low = (EventKind.BATTERY_LOW, "", START_MS - 4000, "3.25 V")
            assert stored(config.store.path) == [low]
            await sender.say(reading("sensorFault.scd41", 1, START_MS - 3000))
            await sender.say(reading("batteryVoltage", 3.35, START_MS - 2000, "V"))
            fault = (EventKind.SENSOR_FAULT, "scd41", START_MS - 3000, "1")
            assert stored(config.store.path) == [low, fault]
        async with running(config, FixedClock(START_MS + HOUR_MS)) as gateway:
            sender = Sender(gateway, 100, sender.seq)
            await sender.say(reading("sensorFault.scd41", 3, START_MS + 1000))
            await sender.say(reading("batteryVoltage", 3.2, START_MS + 2000, "V"))
            assert stored(config.store.path) == [
                (*low[:3], "3.2 V"),
                (*fault[:3], "3"),
            ]
            begun = [event.since_ms for event in gateway.watch.events.open()]
            assert begun == [low[2], fault[2]]
            await sender.say(
                reading("sensorFault.scd41", 0, START_MS + 3000),
                reading("batteryVoltage", 3.4, START_MS + 3000, "V"),
            )
            assert stored(config.store.path) == []

    run(scenario())


def test_old_readings_change_nothing(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            sender = Sender(gateway)
            await sender.say(reading("journalFill", 10, START_MS - 1000))
            await sender.say(reading("journalFill", 95, START_MS - 9000))
            assert stored(config.store.path) == []
            await sender.say(
                reading("journalFill", 81, START_MS - 100),
                reading("journalFill", 80, START_MS - 500),
                reading("journalFill", 75, START_MS),
            )
            filling = (EventKind.JOURNAL_FILLING, "", START_MS - 500, "75")
            assert stored(config.store.path) == [filling]

    run(scenario())


@pytest.mark.parametrize(
    ("unit", "low", "fine"), [("/", 0.19, 0.21), ("%EL", 19, 21), ("%", 19, 21)]
)
def test_a_state_of_charge_is_a_share_or_percent(
    run: Run, tmp_path: Path, unit: str, low: float, fine: float
) -> None:
    config = make_config(tmp_path)

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            sender = Sender(gateway)
            await sender.say(reading("batteryLevel", low, START_MS - 2000, unit))
            assert [kind for kind, *_ in stored(config.store.path)] == [EventKind.BATTERY_LOW]
            await sender.say(reading("batteryLevel", fine, START_MS - 1000, unit))
            assert stored(config.store.path) == []

    run(scenario())


def test_a_node_that_does_not_learn_the_time(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            sender = Sender(gateway)
            # After a start, as it should be: the later reading has a sure time.
            await sender.say(
                reading("co2", 500, START_MS - 9000, marks=1), reading("co2", 500, START_MS - 8000)
            )
            assert stored(config.store.path) == []
            await sender.say(reading("co2", 500, START_MS - 7000, marks=2))
            unsure = (EventKind.CLOCK_UNSURE, "", START_MS - 7000, "2")
            assert stored(config.store.path) == [unsure]
            await sender.say(reading("co2", 500, START_MS - 6000, marks=4))
            assert stored(config.store.path) == []

    run(scenario())


def test_reports_of_crashes_safe_mode_and_problems(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            heard: list[Change] = []
            gateway.watch.events.on_change(heard.append)
            sender = Sender(gateway)
            await sender.report(
                1, traceback="ValueError: bad", safe_mode=True, problems=["x: no", "y: no"]
            )
            assert sorted(stored(config.store.path)) == [
                (EventKind.CRASHED, "", START_MS, "ValueError: bad"),
                (EventKind.MISCONFIGURED, "", START_MS, "x: no; y: no"),
                (EventKind.SAFE_MODE, "", START_MS, "1.2.0"),
            ]
            await sender.report(2)
            assert stored(config.store.path) == []
            assert [change.begun for change in heard] == [True] * 3 + [False] * 3
            assert [change.ended for change in heard] == [False] * 3 + [True] * 3

    run(scenario())


def test_a_silent_node_is_known_by_its_own_interval(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    clock = FixedClock(START_MS)

    async def scenario() -> None:
        async with running(config, clock) as gateway:
            sender = Sender(gateway)
            for _ in range(5):
                await sender.say(reading("co2", 500, clock.value_ms))
                clock.value_ms += 10 * MINUTE_MS
            last_ms = clock.value_ms - 10 * MINUTE_MS
            await gateway.watch.look()
            clock.value_ms = last_ms + 30 * MINUTE_MS
            await gateway.watch.look()
            assert stored(config.store.path) == []
            clock.value_ms += MINUTE_MS
            await gateway.watch.look()
            silent = (EventKind.SILENT, "", last_ms, "600")
            assert stored(config.store.path) == [silent]
        clock.value_ms += 9 * HOUR_MS
        async with running(config, clock) as gateway:
            await gateway.watch.look()
            assert stored(config.store.path) == [silent]
            await Sender(gateway, 100, sender.seq).say(reading("co2", 500, clock.value_ms))
            await gateway.watch.look()
            assert stored(config.store.path) == []

    run(scenario())


def test_no_node_is_silent_while_the_gateway_was_away(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    clock = FixedClock(START_MS)

    async def scenario() -> None:
        async with running(config, clock) as gateway:
            sender = Sender(gateway)
            for _ in range(3):
                await sender.say(reading("co2", 500, clock.value_ms))
                clock.value_ms += 10 * MINUTE_MS
        clock.value_ms += 24 * HOUR_MS
        async with running(config, clock) as gateway:
            await gateway.watch.look()
            clock.value_ms += 30 * MINUTE_MS
            await gateway.watch.look()
            assert stored(config.store.path) == []
            clock.value_ms += MINUTE_MS
            await gateway.watch.look()
            since_ms = START_MS + 20 * MINUTE_MS
            assert stored(config.store.path) == [(EventKind.SILENT, "", since_ms, "600")]

    run(scenario())


def test_an_interval_is_learnt() -> None:
    contacts = Contacts()
    now_ms = 0

    def hear(times: int, gap_ms: int) -> None:
        nonlocal now_ms
        for _ in range(times):
            now_ms += gap_ms
            contacts.heard(1, now_ms)
            contacts.heard(1, now_ms + 100)

    def interval_minutes() -> float:
        contact = contacts.get(1)
        assert contact is not None
        assert contact.interval_ms is not None
        return contact.interval_ms / MINUTE_MS

    hear(20, 10 * MINUTE_MS)
    assert interval_minutes() == pytest.approx(10, rel=0.01)
    hear(1, 24 * HOUR_MS)
    assert interval_minutes() < 14, "one outage teaches little"
    hear(30, 60 * MINUTE_MS)
    assert interval_minutes() == pytest.approx(60, rel=0.1), "a slower node is learnt"
    hear(1, -HOUR_MS)
    assert interval_minutes() == pytest.approx(60, rel=0.1), "a clock that was set back"


def test_the_gateways_own_clock(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    clock = FixedClock(1000, known=False)

    async def scenario() -> None:
        async with running(config, clock) as gateway:
            await gateway.watch.look()
            assert stored(config.store.path) == [(EventKind.CLOCK_NOT_SET, "", None, "")]
            clock.value_ms, clock.known = START_MS, True
            await gateway.watch.look()
            assert stored(config.store.path) == []

    run(scenario())


def test_in_1970_nothing_is_learnt_of_times(run: Run, tmp_path: Path) -> None:
    """What does not need the gateway's clock is said all the same."""
    config = make_config(tmp_path, broker={"host": "127.0.0.1", "port": free_port()})
    clock = FixedClock(1000, known=False)

    async def scenario() -> None:
        async with running(config, clock) as gateway:
            sender = Sender(gateway)
            await sender.say(reading("batteryVoltage", 3.2, START_MS - MINUTE_MS, "V"))
            for _ in range(2):
                await gateway.watch.look()
                clock.value_ms += HOUR_MS
            not_set = (EventKind.CLOCK_NOT_SET, "", None, "")
            low = (EventKind.BATTERY_LOW, "", START_MS - MINUTE_MS, "3.2 V")
            assert stored(config.store.path) == [not_set, low]
            assert gateway.watch.contacts.take_unsaved() == []
            clock.value_ms, clock.known = START_MS, True
            await gateway.watch.look()
            assert stored(config.store.path) == [low]
            for _ in range(3):
                await sender.say(reading("co2", 500, clock.value_ms))
                clock.value_ms += MINUTE_MS
            clock.value_ms += 5 * MINUTE_MS
            await gateway.watch.look()
            silent = (EventKind.SILENT, "", START_MS + 2 * MINUTE_MS, "60")
            assert stored(config.store.path) == [low, silent]

    run(scenario())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_was_a_year_ahead(run: Run, tmp_path: Path, restarted: bool) -> None:
    """Once it is right, nothing that happened in that year to come hides what happens now."""
    broker = {"host": "127.0.0.1", "port": free_port()}
    config = make_config(tmp_path, broker=broker)
    clock = FixedClock(START_MS + 365 * 24 * HOUR_MS)

    fault = (EventKind.SENSOR_FAULT, "scd41", START_MS)

    def said() -> set[Any]:
        return {event[:3] for event in stored(config.store.path)}

    async def ahead(gateway: Gateway) -> int:
        sender = Sender(gateway)
        await sender.say(reading("sensorFault.scd41", 1, clock.value_ms))
        for _ in range(3):
            await sender.say(reading("batteryVoltage", 3.5, clock.value_ms, "V"))
            clock.value_ms += 3 * MINUTE_MS
        await gateway.watch.look()
        clock.value_ms = START_MS
        return sender.seq

    async def mended(gateway: Gateway, seq: int) -> None:
        await gateway.watch.look()
        clock.value_ms += 9 * MINUTE_MS
        await gateway.watch.look()
        assert said() == {fault}
        clock.value_ms += MINUTE_MS
        await gateway.watch.look()
        silent = (EventKind.SILENT, "", START_MS)
        stuck = (EventKind.DESTINATION_STUCK, "mqtt", START_MS)
        assert said() == {fault, silent, stuck}
        await Sender(gateway, 100, seq).say(reading("batteryVoltage", 3.2, START_MS, "V"))
        await gateway.watch.look()
        low = (EventKind.BATTERY_LOW, "", START_MS)
        assert said() == {fault, low, stuck}

    async def scenario() -> None:
        async with running(config, clock) as gateway:
            seq = await ahead(gateway)
            if not restarted:
                await mended(gateway, seq)
        if restarted:
            async with running(config, clock) as gateway:
                await mended(gateway, seq)

    run(scenario())


def test_a_destination_that_takes_nothing(run: Run, tmp_path: Path) -> None:
    broker = {"host": "127.0.0.1", "port": free_port()}
    config = make_config(tmp_path, broker=broker)
    clock = FixedClock(START_MS)

    async def scenario() -> None:
        async with running(config, clock) as gateway:
            await Sender(gateway).say(reading("co2", 500, START_MS))
            await gateway.watch.look()
            clock.value_ms += 9 * MINUTE_MS
            await gateway.watch.look()
            assert stored(config.store.path) == []
            clock.value_ms += MINUTE_MS
            await gateway.watch.look()
            stuck = (EventKind.DESTINATION_STUCK, "mqtt", START_MS, str(START_MS))
            assert stored(config.store.path) == [stuck]
        async with running(config, clock) as gateway:
            await gateway.watch.look()
            await gateway.watch.look()
            assert stored(config.store.path) == [stuck]
        async with running(make_config(tmp_path), clock) as gateway:
            await gateway.watch.look()
            assert stored(config.store.path) == [], "it is no destination any more"

    run(scenario())


def test_a_full_store(run: Run, tmp_path: Path) -> None:
    store = {"path": str(tmp_path / "feltpost.db")}
    full = make_config(tmp_path, store={**store, "min_free_mib": 1 << 20})

    async def scenario() -> None:
        for config, wrong in ((full, [EventKind.STORE_FULL]), (make_config(tmp_path), [])):
            async with running(config, FixedClock()) as gateway:
                node = make_node(gateway, sequence_number=100 if wrong == [] else 0)
                await node.put(7, 0, pack(1, time_s=START_MS // 1000))
                await gateway.watch.look()
                assert [kind for kind, *_ in stored(config.store.path)] == wrong

    run(scenario())


def test_a_certificate_that_ends_soon(run: Run, tmp_path: Path) -> None:
    end = datetime.fromtimestamp(START_MS // 1000, UTC) + timedelta(days=29)
    days = (end - datetime.now(UTC)) / timedelta(days=1)
    cert_file, key_file = Authority(tmp_path).issue("gateway", days)
    broker = {
        "host": "127.0.0.1",
        "port": free_port(),
        "tls": True,
        "cert_file": str(cert_file),
        "key_file": str(key_file),
    }

    async def scenario() -> None:
        for now_ms, wrong in ((START_MS, True), (START_MS - 48 * HOUR_MS, False)):
            directory = tmp_path / str(wrong)
            directory.mkdir()
            config = make_config(directory, broker=broker)
            async with running(config, FixedClock(now_ms)) as gateway:
                await gateway.watch.look()
                day = end.date().isoformat()
                expiring = (EventKind.CERTIFICATE_EXPIRING, str(cert_file), now_ms, day)
                assert stored(config.store.path) == ([expiring] if wrong else [])

    run(scenario())


def test_a_removed_node_has_no_events(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            await Sender(gateway).say(reading("journalFill", 95, START_MS))
        left = config.model_copy(update={"nodes": config.nodes[1:]})
        async with running(left, FixedClock()) as gateway:
            assert stored(config.store.path) == []
            await gateway.watch.look()
            assert gateway.watch.events.open() == []

    run(scenario())


def test_a_callback_hears_of_a_change_once_it_is_stored(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            seen: asyncio.Future[Change] = asyncio.get_running_loop().create_future()
            gateway.watch.events.on_change(seen.set_result)
            await Sender(gateway).say(reading("journalFill", 95, START_MS))
            change = await seen
            assert change.event.subject.kind == EventKind.JOURNAL_FILLING
            assert change.event.subject == Subject(EventKind.JOURNAL_FILLING, 1)
            assert len(stored(config.store.path)) == 1

    run(scenario())


def test_a_store_that_fills_with_what_nobody_took(run: Run, tmp_path: Path) -> None:
    store = {"path": str(tmp_path / "feltpost.db"), "max_size_mib": 4, "min_free_mib": 0}
    config = make_config(tmp_path, store=store, broker={"host": "127.0.0.1", "port": free_port()})

    async def scenario() -> None:
        async with running(config, FixedClock()) as gateway:
            await make_node(gateway).put(7, 0, pack(1, time_s=START_MS // 1000))
        writer = Store(config.store.path)
        await writer.open()
        body = bytes(1000)
        await writer.write(
            lambda t: [t.append(Pack(1, 7, 1 + n, 1, START_MS, body)) for n in range(2900)]
        )
        await writer.close()
        async with running(config, FixedClock()) as gateway:
            node = make_node(gateway, sequence_number=100)
            await node.put(7, 2901, pack(1, time_s=START_MS // 1000))
            await gateway.watch.look()
            ((kind, part, since_ms, value),) = stored(config.store.path)
            assert (kind, part, since_ms) == (EventKind.STORE_FILLING, "", START_MS)
            assert 80 <= int(value) < 88

    run(scenario())
