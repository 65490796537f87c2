"""The figures for Prometheus: there, right, bounded, on this computer only, without secrets."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, FixedClock, make_config, make_node, running
from tests.support.broker import free_port
from tests.support.node import BASE_TIME_S, pack

from feltpost_gateway import exposition
from feltpost_gateway.errors import LinkError

Run = Callable[[Coroutine[Any, Any, None]], None]


async def fetch(port: int | None) -> dict[str, float]:
    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    lines = (await asyncio.to_thread(read)).splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_figures_follow_what_nodes_do(run: Run, tmp_path: Path) -> None:
    config = make_config(
        tmp_path,
        metrics={"port": 0},
        broker={
            "host": "127.0.0.1",
            "port": free_port(),
            "username": "feltpost",
            "password": "hunter2hunter2",
        },
    )
    clock = FixedClock((BASE_TIME_S + 600) * 1000)

    async def scenario() -> None:
        async with running(config, clock) as gateway:
            await gateway.watch.look()
            before = await fetch(gateway.metrics_port)
            assert before["feltpost_nodes"] == 2
            assert before["feltpost_readings_total"] == 0
            node = make_node(gateway)
            await node.put(7, 0, pack(4))
            await node.put(7, 0, pack(4))
            await node.put(7, 9, cbor2.dumps([{0: "journalFill", 2: 99, 6: BASE_TIME_S}]))
            answer = await node.put(7, 10, b"rubbish")
            assert answer.code == codes.BAD_REQUEST
            clock.value_ms += 60_000
            await gateway.watch.look()
            after = await fetch(gateway.metrics_port)
        gym = 'node="favrskov/skole/node-01"'
        assert after["feltpost_readings_total"] == 5
        assert after[f"feltpost_node_readings_total{{{gym}}}"] == 5
        assert after['feltpost_answers_total{code="2.04"}'] == 3
        assert after['feltpost_answers_total{code="4.00"}'] == 1
        assert after['feltpost_events{kind="journal-filling"}'] == 1
        assert after['feltpost_events{kind="silent"}'] == 0
        assert after['feltpost_destination_backlog_packs{destination="mqtt"}'] == 2
        assert after['feltpost_destination_lag_seconds{destination="mqtt"}'] == 60
        contact = after[f"feltpost_node_last_contact_timestamp_seconds{{{gym}}}"]
        assert contact == BASE_TIME_S + 600
        for name in ("commits", "committed_requests", "fdatasyncs"):
            key = f"feltpost_store_{name}_total"
            assert after[key] > before[key] > 0
        assert after["feltpost_store_file_bytes"] > 0
        text = "\n".join(after)
        assert "hunter2" not in text
        assert not any(key.hex() in text for key in KEYS.values())

    run(scenario())


def test_completeness_of_today(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path, metrics={"port": 0})

    async def scenario() -> None:
        # The real clock: today is the gateway's.
        async with running(config) as gateway:
            node = make_node(gateway)
            await node.put(7, 0, pack(4))
            await node.put_gap(7, 4, 14, 1)
            await gateway.watch.look()
            found = await fetch(gateway.metrics_port)
        gym = 'node="favrskov/skole/node-01"'
        assert found[f"feltpost_node_expected_readings{{{gym}}}"] == 18
        missing = f'feltpost_node_missing_readings{{{gym},reason="journal_full"}}'
        assert found[missing] == 14

    run(scenario())


def test_only_so_many_nodes_have_figures_of_their_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "_NODES_MAX", 1)
    config = make_config(tmp_path, metrics={"port": 0})

    async def scenario() -> None:
        async with running(config) as gateway:
            for key_id in KEYS:
                await make_node(gateway, key_id).put(7, 0, pack(4))
            await gateway.watch.look()
            found = await fetch(gateway.metrics_port)
        labels = {m[1] for key in found if (m := re.search(r'node="([^"]*)"', key))}
        assert len(labels) == 1
        assert found["feltpost_readings_total"] == 8
        assert found["feltpost_nodes"] == 2

    run(scenario())


def test_none_without_the_table_and_a_port_in_use_is_named(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            assert gateway.metrics_port is None
        config = make_config(tmp_path, metrics={"port": 0})
        assert config.metrics is not None
        assert config.metrics.bind == "127.0.0.1"
        async with running(config) as gateway:
            other = make_config(
                tmp_path,
                store={"path": str(tmp_path / "other.db")},
                metrics={"port": gateway.metrics_port},
            )
            with pytest.raises(LinkError, match=rf"127\.0\.0\.1 port {gateway.metrics_port} "):
                async with running(other):
                    raise AssertionError("it started")

    run(scenario())
