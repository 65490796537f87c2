"""A store that gives readings up while a broker gets them: none is listed as lost that arrives."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.fake_broker import SILENCE, FakeBroker, add_packs, destination, forwarding, until

from feltpost_gateway import backoff
from feltpost_gateway.space import ROOM_BYTES, Limits
from feltpost_gateway.transaction import GapReason

Run = Callable[[Any], None]

# Of packs of one reading, some thousand.
LIMITS = Limits(max_bytes=ROOM_BYTES + 150_000, evict=True)
NOT_AVAILABLE = 0x88


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_FIRST_S", 0.01)
    monkeypatch.setattr(backoff, "_CAP_S", 0.05)


def values(payload: bytes) -> list[int]:
    return [record["v"] for record in json.loads(payload)]


def in_gaps(path: Path) -> set[int]:
    """Return the numbers that were given up; a reading's number is its value here."""
    with closing(sqlite3.connect(path / "feltpost.db")) as reader:
        rows = reader.execute("SELECT first, count, reason FROM gaps").fetchall()
    assert {reason for *_, reason in rows} == {GapReason.EVICTED}
    return {number for first, count, _ in rows for number in range(first, first + count)}


def check(path: Path, broker: FakeBroker, end: int) -> set[int]:
    """Check that all up to `end` either arrived or are in a gap; return those in gaps."""
    arrived = {value for message in broker.published for value in values(message.payload)}
    gaps = in_gaps(path)
    assert not arrived & gaps, "what arrived is listed as lost"
    assert arrived | gaps == set(range(end))
    return gaps


def test_what_came_to_a_broker_that_did_not_answer(run: Run, tmp_path: Path) -> None:
    broker = FakeBroker(lambda message: SILENCE if message.connection == 0 else 0)
    is_back = False
    broker.connack_code = lambda connection: 0 if is_back or not connection else NOT_AVAILABLE

    async def go() -> None:
        nonlocal is_back
        await broker.start()
        config = destination(broker.port, window=40, backlog_rate=5000)
        async with forwarding(tmp_path, config, limits=LIMITS) as (store, destinations):
            await store.write(partial(add_packs, nodes=1, packs=3000, first=0))
            await broker.until(lambda: len(broker.published) >= 40)
            await broker.hang_up(0)
            await store.write(partial(add_packs, nodes=1, packs=100, first=3000))
            is_back = True
            await until(lambda: destinations.states()[0].position.cursor >= 3100)
        await broker.stop()

    run(go())
    gaps = check(tmp_path, broker, 3100)
    assert len(gaps) > 500
    assert min(gaps) == 64, "what was read to be sent is kept too"


def test_what_goes_out_while_the_oldest_is_given_up(run: Run, tmp_path: Path) -> None:
    """More comes than may go out, so that what is about to be sent is the oldest each time."""
    broker = FakeBroker()

    async def go() -> None:
        await broker.start()
        config = destination(broker.port, window=20, max_rate=1500, backlog_rate=1500)
        async with forwarding(tmp_path, config, limits=LIMITS) as (store, destinations):
            for first in range(0, 8_000, 100):
                await store.write(partial(add_packs, nodes=1, packs=100, first=first))
            await until(lambda: destinations.states()[0].position.cursor >= 8_000)
        await broker.stop()

    run(go())
    gaps = check(tmp_path, broker, 8_000)
    assert len(gaps) > 1000
    assert len(broker.published) > 1000
    # Here and there, between what went out.
    assert max(gaps) - min(gaps) > len(gaps)
