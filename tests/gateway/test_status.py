"""`status`, `destinations` and `tail`: what operators see, with the gateway running and without."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import cbor2
import pytest
from tests.gateway.conftest import KEYS, make_node, running
from tests.gateway.test_exposition import fetch
from tests.support.broker import Broker, Subscriber, free_port
from tests.support.node import BASE_TIME_S, Node, NodeKeys, pack
from typer.testing import CliRunner

from feltpost_gateway import config as configuration
from feltpost_gateway import store_view
from feltpost_gateway.cli import app
from feltpost_gateway.traffic import Refusal

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    nodes = "".join(
        f"""
[[nodes]]
name = "node-{key_id.hex()}"
owner = "favrskov"
site = "skole"
mac = "02:00:00:00:00:{key_id.hex()}"
key_id = "{key_id.hex()}"
key = "{key.hex()}"
"""
        for key_id, key in KEYS.items()
    )
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
[store]
path = "{tmp_path}/feltpost.db"
[udp]
bind = "127.0.0.1"
port = 0
[broker]
host = "127.0.0.1"
port = {free_port()}
{nodes}
"""
    )
    path.chmod(0o600)
    return path


def invoke(command: str, config_file: Path, *arguments: str) -> Any:
    return CliRunner(env={"LC_ALL": "C"}).invoke(
        app, [command, "--config", str(config_file), *arguments]
    )


def ask(command: str, config_file: Path, *arguments: str) -> Any:
    result = invoke(command, config_file, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


async def fill(config_file: Path) -> None:
    async with running(configuration.load(config_file)) as gateway:
        node = make_node(gateway)
        await node.put(7, 0, pack(4))
        await node.put_gap(7, 4, 14, 1)
        await node.put(7, 18, cbor2.dumps([{0: "sensorFault.scd41", 2: 1, 6: BASE_TIME_S}]))
        await gateway.watch.look()


def test_a_running_gateway_is_seen_from_outside(run: Run, config_file: Path) -> None:
    async def scenario() -> None:
        async with running(configuration.load(config_file)):
            process = await asyncio.create_subprocess_exec(
                "feltpost-gateway",
                *("status", "--json", "--config", str(config_file)),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            assert json.loads(output)["running"] is True

    run(scenario())


def test_status_says_what_is_wrong_and_how_complete(run: Run, config_file: Path) -> None:
    run(fill(config_file))
    status = ask("status", config_file)
    assert status["running"] is False
    (event,) = status["events"]
    assert event == {
        "kind": "sensor-fault",
        "node": "favrskov/skole/node-01",
        "part": "scd41",
        "since": "2026-09-21T14:13:20Z",
        "value": "1",
    }
    (day,) = status["days"]
    assert day["node"] == "favrskov/skole/node-01"
    assert (day["expected"], day["arrived"], day["missing"]) == (19, 5, {"journal_full": 14})
    assert day["destinations"] == [{"destination": "mqtt", "delivered": 0, "waiting": 5}]
    heard, never = status["nodes"]
    assert heard["last_contact"] is not None
    assert never == {"node": "favrskov/skole/node-02", "last_contact": None, "interval_s": None}
    (destination,) = status["destinations"]
    assert (destination["name"], destination["waiting_packs"]) == ("mqtt", 2)
    assert status["store"]["packs"] == 2


def test_requests_that_are_no_nodes_are_counted(run: Run, config_file: Path) -> None:
    text = config_file.read_text()
    config_file.write_text(f"{text}\n[metrics]\nport = 0\n")

    async def scenario() -> None:
        async with running(configuration.load(config_file)) as gateway:
            for key_id in range(0x40, 0x60):
                stranger = Node(gateway.udp_port or 0, NodeKeys(bytes((key_id,)), bytes(16)))
                await stranger.put(1, 0, pack(1))
                stranger.close()
            found = await asyncio.to_thread(ask, "status", config_file)
            assert found["refused_requests"] == dict.fromkeys(Refusal, 0) | {
                Refusal.UNKNOWN_KEY: 32
            }
            output = (await asyncio.to_thread(invoke, "status", config_file)).output
            assert "no node's: 32 unknown-key\n" in output
            figures = {
                name: value
                for name, value in (await fetch(gateway.metrics_port)).items()
                if name.startswith("feltpost_refused_requests_total")
            }
        # Whoever sends what, no more labels come of it.
        assert len(figures) == len(Refusal)
        assert figures['feltpost_refused_requests_total{reason="unknown-key"}'] == 32

    run(scenario())
    assert ask("status", config_file)["refused_requests"] is None


def test_the_table_is_plain_text_in_the_readers_language(run: Run, config_file: Path) -> None:
    run(fill(config_file))
    output = invoke("status", config_file).output
    assert "\x1b" not in output
    assert "sensor scd41 does not respond" in output
    assert "14 journal full" in output
    assert "gateway: not running" in output
    one = invoke("status", config_file, "--node", "node-02").output
    assert "node-02" in one
    assert "node-01" not in one


def test_destinations_and_what_they_refused(run: Run, config_file: Path) -> None:
    run(fill(config_file))
    (found,) = ask("destinations", config_file)
    assert (found["name"], found["format"], found["waiting_packs"]) == ("mqtt", "senml+json", 2)
    assert found["refused_messages"] == 0
    path = config_file.parent / "feltpost.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO dead_letters VALUES (1, 'mqtt', '0-3', 'a/b', 'too large', 1790000000000)"
        )
    (found,) = ask("destinations", config_file)
    assert found["refused_messages"] == 1
    (refused,) = ask("destinations", config_file, "--refused")
    assert refused["node"] == "favrskov/skole/node-01"
    assert (refused["seqs"], refused["reason"]) == ("0-3", "too large")
    assert "too large" in invoke("destinations", config_file, "--refused").output


def refuse_first_pack(config_file: Path) -> None:
    with closing(sqlite3.connect(config_file.parent / "feltpost.db")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(
            "INSERT INTO dead_letters VALUES (1, 'mqtt', '0-3', 'a/b', 'too large', 1790000000000)"
        )
        connection.execute("INSERT OR REPLACE INTO cursors VALUES ('mqtt', 2)")


def test_what_was_refused_is_sent_again_or_given_up(run: Run, config_file: Path) -> None:
    """Without a gateway that runs."""
    run(fill(config_file))
    refuse_first_pack(config_file)
    for what in ("--retry", "--drop"):
        unknown = invoke("destinations", config_file, what, "mqt")
        assert unknown.exit_code == 1
        assert "there is no destination mqt; there are: mqtt" in unknown.output
    assert ask("destinations", config_file)[0]["waiting_packs"] == 0
    assert ask("destinations", config_file, "--retry", "mqtt") == {"retried": 1}
    (found,) = ask("destinations", config_file)
    assert (found["waiting_packs"], found["refused_messages"]) == (1, 0)
    refuse_first_pack(config_file)
    output = invoke("destinations", config_file, "--drop", "mqtt").output
    assert output == "mqtt: 1 messages given up\n"
    (found,) = ask("destinations", config_file)
    assert (found["waiting_packs"], found["refused_messages"]) == (0, 0)


def test_a_running_gateway_sends_again_what_was_refused(
    run: Run, config_file: Path, broker: Broker, subscriber: Subscriber
) -> None:
    run(fill(config_file))
    refuse_first_pack(config_file)
    text = config_file.read_text()
    config_file.write_text(re.sub(r"(\[broker\]\n.*\nport =) \d+", rf"\1 {broker.port}", text))

    async def scenario() -> None:
        async with running(configuration.load(config_file)):
            for name, code in (("mqt", 1), ("mqtt", 0)):
                process = await asyncio.create_subprocess_exec(
                    "feltpost-gateway",
                    *("destinations", "--retry", name, "--config", str(config_file)),
                )
                assert await process.wait() == code
            await asyncio.to_thread(subscriber.wait_for_numbers, 4)

    run(scenario())
    assert ask("destinations", config_file)[0]["refused_messages"] == 0


def test_tail_shows_readings_of_a_node(run: Run, config_file: Path) -> None:
    run(fill(config_file))
    output = invoke("tail", config_file, "--last", "9", "--count", "5", "--json").output
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2, 3, 18]
    assert lines[0]["name"] == "co2"
    assert lines[0]["time"] == "2026-09-21T14:13:20Z"
    named = invoke("tail", config_file, "-n", "9", "--count", "1", "--node", "node-01").output
    assert "favrskov/skole/node-01  co2  0 ppm" in named


def test_tail_follows_a_running_gateway(run: Run, config_file: Path) -> None:
    async def scenario() -> None:
        async with running(configuration.load(config_file)) as gateway:
            first, second = (make_node(gateway, key_id) for key_id in KEYS)
            await first.put(7, 0, pack(1))
            process = await asyncio.create_subprocess_exec(
                "feltpost-gateway",
                *("tail", "--json", "--last", "1", "--config", str(config_file)),
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            assert json.loads(await process.stdout.readline())["seq"] == 0
            await second.put(3, 5, pack(1, first_value=77))
            line = json.loads(await process.stdout.readline())
            assert (line["node"], line["seq"], line["value"]) == ("node-02", 5, 77)
            process.terminate()
            await process.wait()

    run(scenario())


def test_without_a_store_the_message_helps(config_file: Path) -> None:
    for command in ("status", "tail", "destinations"):
        result = invoke(command, config_file)
        assert result.exit_code == 1
        assert "there is no store" in result.output
        assert "Traceback" not in result.output


def test_looking_leaves_the_store_alone(run: Run, config_file: Path) -> None:
    run(fill(config_file))
    path = config_file.parent / "feltpost.db"
    before = path.read_bytes()
    ask("status", config_file)
    assert path.read_bytes() == before
    assert store_view.find_gateway(path) is None
