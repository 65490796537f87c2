"""Several destinations: what each gets, and how they come, change and go while the gateway runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import KEYS, make_config, make_node, running
from tests.gateway.fake_broker import Relay, add_packs, destination, eui64, forwarding, until
from tests.gateway.listener import Heard, Listener
from tests.support.broker import Broker
from tests.support.node import pack

from feltpost_gateway import backoff
from feltpost_gateway import config as configuration
from feltpost_gateway.delivery import read_dead_letters
from feltpost_gateway.errors import ConfigError
from feltpost_gateway.formats.base import NodeDescription, Setting
from feltpost_gateway.publication import Publication

Run = Callable[[Any], None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_CAP_S", 0.1)


class Directory:
    """Node 1 is Favrskov's, node 2 Randers'; what moves is private, CO2 open, all else internal."""

    def describe(self, node_id: int) -> NodeDescription | None:
        owner, site = {1: ("favrskov", "skole"), 2: ("randers", "bad/1")}[node_id]
        urn = f"urn:dev:mac:{eui64(node_id).hex()}"
        return NodeDescription(urn, f"node-{node_id}", owner, site, Setting.INDOOR)

    def publication_class(self, metric: str, node_id: int) -> Publication:
        classes = {"motion": Publication.PRIVATE, "co2": Publication.OPEN}
        return classes.get(metric, Publication.INTERNAL)


METRICS = ("co2", "motion", "temperature")


def values(heard: list[Heard], first_level: str) -> dict[str, set[str]]:
    """The metrics that came, by the topic's rest."""
    found: dict[str, set[str]] = {}
    for message in heard:
        first, _, rest = message.topic.partition("/")
        if first == first_level:
            names = {record["n"] for record in json.loads(message.payload)}
            found.setdefault(rest, set()).update(names)
    return found


def test_each_gets_what_is_for_it(run: Run, tmp_path: Path, broker: Broker) -> None:
    filters: dict[str, dict[str, Any]] = {
        "plain": {},
        "open": {"publication": "open"},
        "private": {"publication": "private"},
        "randers": {"filter": {"owners": ["randers"]}},
        "site": {"filter": {"sites": ["skole"], "metrics": ["temperature"]}},
        "node": {"filter": {"nodes": ["randers/bad/1/node-2"]}, "publication": "open"},
        "nobody": {"filter": {"owners": []}},
    }
    both = ("favrskov/skole/node-1", "randers/bad%2F1/node-2")
    expected = {
        "plain": dict.fromkeys(both, {"co2", "temperature"}),
        "open": dict.fromkeys(both, {"co2"}),
        "private": dict.fromkeys(both, {"co2", "temperature", "motion"}),
        "randers": {both[1]: {"co2", "temperature"}},
        "site": {both[0]: {"temperature"}},
        "node": {both[1]: {"co2"}},
        "nobody": {},
    }

    async def scenario() -> None:
        listener = await asyncio.to_thread(Listener, broker.port)
        configs = [
            destination(broker.port, name=name, topic=name + "/{owner}/{site}/{node}", **keys)
            for name, keys in filters.items()
        ]
        async with forwarding(tmp_path, *configs, directory=Directory()) as (store, destinations):
            await store.write(partial(add_packs, nodes=2, packs=6, metrics=METRICS))
            await until(lambda: all(s.position.cursor >= 6 for s in destinations.states()))
        await asyncio.to_thread(
            listener.wait, lambda heard: {n: values(heard, n) for n in filters} == expected
        )
        listener.close()

    run(scenario())


def test_numbers_of_what_is_left(run: Run, tmp_path: Path, broker: Broker, subscriber: Any) -> None:
    """What a filter takes out of the middle of a pack shows in its numbers."""

    async def scenario() -> None:
        config = destination(broker.port, filter={"metrics": ["co2", "temperature"]})
        async with forwarding(tmp_path, config) as (store, _):
            await store.write(partial(add_packs, nodes=1, packs=1, metrics=METRICS))
            await asyncio.to_thread(subscriber.wait_for_numbers, 2)

    run(scenario())
    assert subscriber.arrivals[0].properties["seq"] == "0,2"


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_birth_and_will(run: Run, tmp_path: Path, protocol: str) -> None:
    broker = Broker(tmp_path)

    def last(heard: list[Heard], status: bytes) -> bool:
        return bool(heard) and heard[-1].topic == "status/d" and status in heard[-1].payload

    async def scenario() -> None:
        await asyncio.to_thread(broker.start)
        listener = await asyncio.to_thread(Listener, broker.port)
        relay = Relay(broker.port)
        await relay.start()
        config = destination(relay.port, protocol=protocol, status_topic="status/{destination}")
        async with forwarding(tmp_path, config) as (store, _):
            await asyncio.to_thread(listener.wait, partial(last, status=b"online"))
            await store.write(partial(add_packs, nodes=1, packs=1))
            await asyncio.to_thread(listener.wait, lambda heard: "readings" in heard[-1].topic)
            assert listener.heard[-1].has_properties == (protocol == "5")
            # Nobody says goodbye, so the broker publishes the will.
            relay.cut()
            await asyncio.to_thread(
                listener.wait,
                lambda heard: (
                    [json.loads(h.payload)["status"] for h in heard if h.topic == "status/d"]
                    == ["online", "offline", "online"]
                ),
            )
        await asyncio.to_thread(listener.wait, partial(last, status=b"offline"))
        await relay.stop()
        listener.close()
        await asyncio.to_thread(broker.stop)

    run(scenario())


def test_rights_that_are_missing_make_dead_letters(run: Run, tmp_path: Path) -> None:
    """They are sent once more when somebody asks for it."""
    rights = tmp_path / "rights"
    rights.write_text("topic read #\ntopic write a/node-1\n")
    broker = Broker(tmp_path, f"acl_file {rights}")

    async def scenario() -> None:
        await asyncio.to_thread(broker.start)
        listener = await asyncio.to_thread(Listener, broker.port)
        async with forwarding(tmp_path, destination(broker.port, topic="a/{node}")) as (
            store,
            destinations,
        ):
            await store.write(partial(add_packs, nodes=2, packs=8))
            await until(lambda: destinations.states()[0].position.cursor >= 8)
            letters = await store.read(lambda reader: read_dead_letters(reader, "d", 9))
            # Somebody puts the rights right.
            rights.write_text("topic readwrite #\n")
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            late = await asyncio.to_thread(Listener, broker.port)
            assert await destinations.retry("d") == 4
            await asyncio.to_thread(
                late.wait, lambda heard: sum(h.topic == "a/node-2" for h in heard) == 4
            )
            late.close()
        assert [letter.pack_id for letter in letters] == [2, 4, 6, 8]
        assert letters[0].reason == "the broker refused it: Not authorized"
        assert listener.topics().count("a/node-1") == 4
        listener.close()
        await asyncio.to_thread(broker.stop)

    run(scenario())


GATEWAY = f"""
[store]
path = "%s/feltpost.db"
[udp]
bind = "127.0.0.1"
port = 0
[[nodes]]
name = "node-01"
owner = "o"
site = "s"
mac = "02:00:00:00:00:01"
key_id = "01"
key = "{KEYS[bytes([1])].hex()}"
"""


def table(broker: Broker, name: str, more: str = "") -> str:
    return (
        f'[[destinations]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {broker.port}\n'
        f'topic = "{name}/{{node}}"\n{more}\n'
    )


def test_destinations_come_change_and_go(run: Run, tmp_path: Path, broker: Broker) -> None:
    """By reloading: nothing lost, and nothing sent twice that was not asked for again."""

    def read(*tables: str) -> configuration.Config:
        path = tmp_path / "gateway.toml"
        path.touch(mode=0o600)
        path.write_text(GATEWAY % tmp_path + "".join(tables))
        return configuration.load(path)

    async def scenario() -> None:
        listener = await asyncio.to_thread(Listener, broker.port)

        def count(name: str) -> int:
            return sum(topic == f"{name}/node-01" for topic in listener.topics())

        async with running(read(table(broker, "a"))) as gateway:

            async def arrived(name: str, messages: int) -> None:
                await asyncio.to_thread(listener.wait, lambda _: count(name) >= messages)
                # A message that came is acknowledged a moment later.
                await until(lambda: not any(state.on_their_way for state in gateway.destinations))

            node = make_node(gateway)
            number = 0

            async def send(packs: int) -> None:
                nonlocal number
                for _ in range(packs):
                    await node.put(1, number, pack(1, number))
                    number += 1

            await send(5)
            await arrived("a", 5)
            await gateway.reload(read(table(broker, "a"), table(broker, "b")))
            await send(5)
            await arrived("a", 10)
            await arrived("b", 5)
            closed = 'filter = { metrics = ["temperature"] }'
            await gateway.reload(read(table(broker, "a", closed), table(broker, "b")))
            await send(5)
            await arrived("b", 10)
            await gateway.reload(read(table(broker, "a")))
            await send(5)
            await arrived("a", 15)
            assert count("b") == 10
            await gateway.reload(
                read(table(broker, "a"), table(broker, "b"), table(broker, "c", 'from = "all"'))
            )
            await arrived("c", 20)
            await arrived("b", 15)
            await gateway.reload(read(table(broker, "b", 'from = "all"')))
            await arrived("b", 35)
            assert (count("a"), count("b"), count("c")) == (15, 35, 20)
            node.close()
        listener.close()

    run(scenario())


def test_a_hangup_signal_reads_the_configuration_again(
    run: Run, tmp_path: Path, broker: Broker
) -> None:
    path = tmp_path / "gateway.toml"
    path.touch(mode=0o600)
    path.write_text(GATEWAY % tmp_path)
    command = Path(sys.executable).with_name("feltpost-gateway")
    process = subprocess.Popen(
        [command, "run", "--config", os.fspath(path)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None

    def until(event: str) -> str:
        assert process.stderr is not None
        for line in process.stderr:
            if f" {event}" in line:
                return line
        raise AssertionError(f"no {event}")

    try:
        until("ready")
        path.write_text(GATEWAY % tmp_path + table(broker, "d", 'format = "xml"'))
        process.send_signal(signal.SIGHUP)
        assert "destinations[0].format: is not a format" in until("not-reloaded")
        path.write_text(GATEWAY % tmp_path + table(broker, "d"))
        process.send_signal(signal.SIGHUP)
        until("connected destination=d")
        path.write_text((GATEWAY % tmp_path).replace("port = 0", "port = 1") + table(broker, "d"))
        process.send_signal(signal.SIGHUP)
        until("restart-needed")
        until("reloaded")
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


BAD = {
    'topic = "a/{device}"': "topic has {device}, but there are no accounts",
    'topic = "a/{metric}"': "has a field other than",
    'client_id = "x{node}"': "client_id has a field of a node",
    'status_topic = "a/#"': "no #",
    'format = "xml"': "is not a format; there are ngsi-ld, os2iot",
    'from = "yesterday"': 'is not "undelivered"',
    "from = 5": 'is not "undelivered"',
    'publication = "secret"': "'open', 'internal' or 'private'",
    'protocol = "3"': "'3.1.1' or '5'",
    'cert_file = "a"': "cert_file is given but tls is not true",
    'tls = true\ncert_file = "a"': "both or neither",
    "filter = { owner = [] }": "is not a key of this table",
    "max_rate = 0": "greater than 0",
    'accounts = [{ node = "n", username = "u", password = "p" }]': "two connections",
    'client_id = "{eui64}"\ntopic = "a/{device}"\n'
    'accounts = [{ node = "n", username = "u", password = "p" }]': "an account has no device",
}


@pytest.mark.parametrize("line", BAD)
def test_mistakes_are_found_when_the_file_is_read(tmp_path: Path, line: str) -> None:
    path = tmp_path / "gateway.toml"
    path.touch(mode=0o600)
    path.write_text(GATEWAY % tmp_path + f'[[destinations]]\nname = "d"\nhost = "h"\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        configuration.load(path)
    assert BAD[line] in str(caught.value)
    assert "destinations[0]" in str(caught.value)


def test_two_destinations_that_would_throw_each_other_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the same client_id at one broker, x"):
        make_config(
            tmp_path,
            destinations=[
                {"name": "a", "host": "h", "client_id": "x"},
                {"name": "b", "host": "h", "client_id": "x"},
            ],
        )
