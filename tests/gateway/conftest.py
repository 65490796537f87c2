"""A gateway with two nodes on UDP, in this process, and what it needs around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.disks import in_memory
from tests.support.broker import Broker, Subscriber
from tests.support.node import Node, NodeKeys

from feltpost_gateway.clock import SystemClock
from feltpost_gateway.config import Config
from feltpost_gateway.service import Gateway
from feltpost_gateway.short_path import ShortPath

KEYS = {b"\x01": bytes(range(16)), b"\x02": bytes(range(16, 32))}


class FixedClock:
    """A clock that stands still, and may not be set."""

    def __init__(self, now_ms: int = 1_790_000_600_000, known: bool = True) -> None:
        self.value_ms = now_ms
        self.known = known

    def now_ms(self) -> int:
        return self.value_ms

    def is_set(self) -> bool:
        return self.known


def make_config(directory: Path, **tables: Any) -> Config:
    """A configuration with the store in `directory`, nodes 01 and 02, UDP, and `tables`."""
    nodes = [
        {
            "name": f"node-{key_id.hex()}",
            "owner": "favrskov",
            "site": "skole",
            "mac": f"02:00:00:00:00:{key_id.hex()}",
            "key_id": key_id.hex(),
            "key": key.hex(),
        }
        for key_id, key in KEYS.items()
    ]
    defaults = {
        "store": {"path": str(directory / "feltpost.db")},
        "udp": {"bind": "127.0.0.1", "port": 0},
        "nodes": nodes,
    }
    return Config.model_validate(defaults | tables)


@asynccontextmanager
async def running(config: Config, clock: Any = None) -> AsyncIterator[Gateway]:
    gateway = Gateway(config, clock or SystemClock())
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


def make_node(gateway: Gateway, key_id: bytes = b"\x01", sequence_number: int = 0) -> Node:
    assert gateway.udp_port
    return Node(gateway.udp_port, NodeKeys(key_id, KEYS[key_id], sequence_number))


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine with a bound on its time, so that a lost answer fails the test."""

    def run_bounded(coroutine: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(90):
                await coroutine

        asyncio.run(bounded())

    return run_bounded


@pytest.fixture
def fast_directory() -> Iterator[Path]:
    """A directory in memory where there is one: some tests make thousands of fdatasyncs."""
    with in_memory() as directory:
        yield directory


@pytest.fixture(params=["short-path", "aiocoap"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way that ordinary requests take; what a test sees must be the same on both."""
    if request.param == "aiocoap":
        monkeypatch.setattr(ShortPath, "take", lambda *_: False)
    way: str = request.param
    return way


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()
