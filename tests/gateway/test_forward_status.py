"""The status topic: what is wrong is said there, and to nobody whom it does not concern."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cbor2
import pytest
from tests.gateway.conftest import FixedClock, make_config, make_node, running
from tests.gateway.fake_broker import FakeBroker, add_packs, destination, eui64, forwarding, until
from tests.gateway.listener import Heard, Listener
from tests.gateway.operators import operate_beside
from tests.support.broker import Broker

from feltpost_gateway import forwarder
from feltpost_gateway.events import Change, Event, EventKind, Events, Subject
from feltpost_gateway.formats.base import NodeDescription, Setting
from feltpost_gateway.publication import Publication

Run = Callable[[Any], None]

START_MS = 1_790_000_600_000
GATEWAYS = Event(Subject(EventKind.STORE_FULL), START_MS)


class Directory:
    """Node 1 is Favrskov's, node 2 Randers', whose batteries are private; node 3 was removed."""

    def describe(self, node_id: int) -> NodeDescription | None:
        if node_id == 3:
            return None
        owner = {1: "favrskov", 2: "randers"}[node_id]
        urn = f"urn:dev:mac:{eui64(node_id).hex()}"
        return NodeDescription(urn, f"node-{node_id}", owner, "bad", Setting.INDOOR)

    def publication_class(self, metric: str, node_id: int) -> Publication:
        is_private = metric == "batteryVoltage" and node_id == 2
        return Publication.PRIVATE if is_private else Publication.OPEN


def of_node(kind: EventKind, node_id: int, value: str = "") -> Event:
    return Event(Subject(kind, node_id), START_MS, value)


def begin(events: Events, *begun: Event) -> None:
    events.saved([Change(event, begun=True) for event in begun], str)


def said(heard: list[Heard], topic: str) -> list[Any]:
    return [json.loads(message.payload) for message in heard if message.topic == topic]


def kinds(message: Any) -> list[tuple[str, str | None]]:
    return [(event["kind"], event["node"]) for event in message["events"]]


def test_an_event_is_said_when_it_begins_and_when_it_ends(
    run: Run, tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "_STATUS_S", 0.05)
    events = Events()

    async def scenario() -> None:
        listener = await asyncio.to_thread(Listener, broker.port)

        async def until_said(count: int) -> list[Any]:
            await asyncio.to_thread(
                listener.wait, lambda heard: len(said(heard, "status")) >= count
            )
            return said(listener.heard, "status")

        config = destination(broker.port, status_topic="status")
        async with forwarding(tmp_path, config, directory=Directory(), events=events):
            assert await until_said(1) == [{"status": "online", "events": []}]
            silent = of_node(EventKind.SILENT, 1, "900")
            begin(events, silent)
            assert (await until_said(2))[1] == {
                "status": "online",
                "events": [
                    {
                        "kind": "silent",
                        "node": "favrskov/bad/node-1",
                        "part": None,
                        "since": "2026-09-21T14:23:20Z",
                        "value": "900",
                    }
                ],
            }
            late = await asyncio.to_thread(Listener, broker.port)
            await asyncio.to_thread(late.wait, lambda heard: bool(said(heard, "status")))
            assert late.heard[0].retained
            assert kinds(said(late.heard, "status")[0]) == [("silent", "favrskov/bad/node-1")]
            late.close()
            events.saved([Change(silent, ended=True)], str)
            assert (await until_said(3))[2] == {"status": "online", "events": []}
        assert (await until_said(4))[3] == {"status": "offline"}
        listener.close()

    run(scenario())


def test_what_a_reading_tells_is_on_the_status_topic(
    run: Run, tmp_path: Path, broker: Broker
) -> None:
    config = make_config(
        tmp_path,
        destinations=[
            {"name": "d", "host": "127.0.0.1", "port": broker.port, "status_topic": "status"}
        ],
    )

    async def scenario() -> None:
        listener = await asyncio.to_thread(Listener, broker.port)
        async with running(config, FixedClock()) as gateway:
            node = make_node(gateway)
            record = {0: "batteryVoltage", 1: "V", 2: 3.25, 6: START_MS / 1000}
            await node.put(7, 0, cbor2.dumps([record]))
            await asyncio.to_thread(
                listener.wait,
                lambda heard: (
                    (messages := said(heard, "status"))
                    and ("battery-low", "favrskov/skole/node-01") in kinds(messages[-1])
                ),
            )
            node.close()
        listener.close()

    run(scenario())


def test_a_node_that_is_moved_leaves_its_old_owners_topic(
    run: Run, tmp_path: Path, broker: Broker
) -> None:
    """What is retained there is made anew for both, though nothing has happened to the node."""
    config = make_config(
        tmp_path,
        destinations=[
            {
                "name": owner,
                "host": "127.0.0.1",
                "port": broker.port,
                "status_topic": "{destination}",
                "filter": {"owners": [owner]},
            }
            for owner in ("favrskov", "randers")
        ],
    )

    async def scenario() -> None:
        listener = await asyncio.to_thread(Listener, broker.port)

        async def until_said(owner: str, events: list[tuple[str, str]]) -> None:
            def is_last(heard: list[Heard]) -> bool:
                messages = said(heard, owner)
                return bool(messages) and kinds(messages[-1]) == events

            await asyncio.to_thread(listener.wait, is_last)

        async with running(config, FixedClock()) as gateway:
            node = make_node(gateway)
            record = {0: "batteryVoltage", 1: "V", 2: 3.25, 6: START_MS / 1000}
            await node.put(7, 0, cbor2.dumps([record]))
            await until_said("favrskov", [("battery-low", "favrskov/skole/node-01")])
            await operate_beside(tmp_path, "nodes", "edit", "node-01", "--set", "owner=randers")
            await until_said("favrskov", [])
            await until_said("randers", [("battery-low", "randers/skole/node-01")])
            late = await asyncio.to_thread(Listener, broker.port)
            await asyncio.to_thread(late.wait, lambda heard: len(heard) == 2)
            assert kinds(said(late.heard, "favrskov")[0]) == []
            late.close()
            node.close()
        listener.close()

    run(scenario())


def test_no_destination_hears_of_nodes_that_are_not_for_it(
    run: Run, tmp_path: Path, broker: Broker
) -> None:
    """Not of other owners' nodes, nor what a reading says that it may not have."""
    gateway = ("store-full", None)
    theirs = ("silent", "favrskov/bad/node-1")
    ours = [("silent", "randers/bad/node-2"), ("battery-low", "randers/bad/node-2")]
    expected = {
        "favrskov": [gateway, theirs],
        "randers": [gateway, ours[0]],
        "private": [gateway, *ours],
        "open": [gateway],
    }
    keys: dict[str, dict[str, Any]] = {
        "favrskov": {"filter": {"owners": ["favrskov"]}},
        "randers": {"filter": {"nodes": ["randers/bad/node-2"]}},
        "private": {"filter": {"owners": ["randers"]}, "publication": "private"},
        "open": {"publication": "open"},
    }
    events = Events()

    async def scenario() -> None:
        begin(
            events,
            GATEWAYS,
            of_node(EventKind.SILENT, 1),
            of_node(EventKind.SILENT, 2),
            of_node(EventKind.BATTERY_LOW, 2, "3.1 V"),
            of_node(EventKind.CRASHED, 3),
        )
        listener = await asyncio.to_thread(Listener, broker.port)
        configs = [
            destination(broker.port, name=name, status_topic="{destination}", **more)
            for name, more in keys.items()
        ]
        async with forwarding(tmp_path, *configs, directory=Directory(), events=events):
            await asyncio.to_thread(
                listener.wait, lambda heard: all(said(heard, name) for name in keys)
            )
            assert {name: kinds(said(listener.heard, name)[0]) for name in keys} == expected
        listener.close()

    run(scenario())


def test_many_changes_make_few_messages(run: Run, tmp_path: Path, broker: Broker) -> None:
    events = Events()

    async def scenario() -> None:
        listener = await asyncio.to_thread(Listener, broker.port)
        config = destination(broker.port, status_topic="status")
        async with forwarding(tmp_path, config, directory=Directory(), events=events):
            await asyncio.to_thread(listener.wait, lambda heard: bool(said(heard, "status")))
            for number in range(150):
                part = Event(Subject(EventKind.SENSOR_FAULT, 1, str(number)), START_MS, "1")
                begin(events, part)
                await asyncio.sleep(0)
            await asyncio.to_thread(
                listener.wait, lambda heard: said(heard, "status")[-1].get("omitted") == 50
            )
            messages = said(listener.heard, "status")
        assert len(messages) <= 3
        assert len(messages[-1]["events"]) == 100
        listener.close()

    run(scenario())


def test_a_broker_that_takes_no_long_messages(run: Run, tmp_path: Path) -> None:
    """It would hang up, again and again; and it takes two at a time, of which one may be this."""
    broker = FakeBroker(connack=b"\x27\x00\x00\x01\x90\x21\x00\x02", holds_until=2)
    events = Events()

    async def scenario() -> None:
        await broker.start()
        begin(events, of_node(EventKind.CRASHED, 1, "x" * 400))
        config = destination(broker.port, status_topic="status")
        async with forwarding(tmp_path, config, directory=Directory(), events=events) as (
            store,
            destinations,
        ):
            await store.write(partial(add_packs, nodes=1, packs=20))
            await until(lambda: destinations.states()[0].position.cursor >= 20)
        await broker.stop()

    run(scenario())
    assert broker.published[0].payload == b'{"status":"online"}'
    assert broker.most_unanswered == 2
