"""Brokers that don't do what they should. Whatever they do, nothing is lost or held up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cbor2
import pytest
from tests.gateway.fake_broker import (
    CLOSE,
    DISCONNECT,
    REFUSE_AND_CLOSE,
    SILENCE,
    FakeBroker,
    Published,
    add_packs,
    destination,
    eui64,
    forwarding,
    until,
)
from tests.support.node import BASE_TIME_S

from feltpost_gateway import backoff, forwarder, mqtt, suspects
from feltpost_gateway.delivery import load_position, read_dead_letters
from feltpost_gateway.destinations import Destinations
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, Pack, Transaction

Run = Callable[[Any], None]

RECEIVE_MAXIMUM_2 = bytes.fromhex("210002")
PACKET_OF_400_BYTES = bytes.fromhex("2700000190")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_FIRST_S", 0.01)
    monkeypatch.setattr(backoff, "_CAP_S", 0.05)
    monkeypatch.setattr(suspects, "_APART_S", 0.2)


async def dead_letters(store: Store) -> list[Any]:
    return await store.read(lambda reader: read_dead_letters(reader, "d", 100))


async def until_settled(store: Store, destinations: Destinations, packs: int, refused: int) -> int:
    """Return the number of packs when the destination is past all of them.

    Others come meanwhile, as they do.
    """
    while len(await dead_letters(store)) < refused:
        packs += 1
        await store.write(partial(add_packs, nodes=1, packs=1, metrics=("motion",)))
        await asyncio.sleep(0.05)
    await until(lambda: destinations.states()[0].position.cursor >= packs)
    return packs


async def position_of(store: Store) -> int:
    return (await store.read(lambda reader: load_position(reader, "d"))).cursor


def scenario(
    run: Run,
    path: Path,
    broker: FakeBroker,
    packs: int,
    refused: int = 0,
    metrics: tuple[str, ...] = ("c",),
    **keys: Any,
) -> list[Any]:
    """Forward `packs` to `broker`; return what it refused for good."""
    letters: list[Any] = []
    total = packs

    async def go() -> None:
        nonlocal total
        await broker.start()
        protocol = "5" if broker.version == 5 else "3.1.1"
        config = destination(broker.port, protocol=protocol, **keys)
        async with forwarding(path, config) as (store, destinations):
            await store.write(partial(add_packs, nodes=3, packs=packs, metrics=metrics))
            total = await until_settled(store, destinations, packs, refused)
            letters.extend(await dead_letters(store))
        store = Store(path / "feltpost.db")
        await store.open()
        assert await position_of(store) == total, "the end of the store"
        await store.close()
        await broker.stop()

    run(go())
    return letters


def test_acknowledgements_that_never_come(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New readings go on coming meanwhile, which must not put the time-out off."""
    monkeypatch.setattr(forwarder, "_ACK_TIMEOUT_S", 0.3)
    broker = FakeBroker(lambda message: SILENCE if message.connection == 0 else 0)

    async def go() -> None:
        await broker.start()
        async with forwarding(tmp_path, destination(broker.port, window=5)) as (store, _):
            for _ in range(20):
                await store.write(partial(add_packs, nodes=1, packs=1))
                await asyncio.sleep(0.02)
            await broker.until(lambda: len(broker.acknowledged) >= 20)
        await broker.stop()

    run(go())
    assert len(broker.connects) == 2
    assert broker.most_unanswered == 5


def test_one_acknowledgement_that_never_comes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are not sent again for it, and it is given up where it alone is not taken."""
    monkeypatch.setattr(forwarder, "_ACK_TIMEOUT_S", 0.2)
    broker = FakeBroker(lambda m: SILENCE if b'"v":3,' in m.payload else 0)
    (letter,) = scenario(run, tmp_path, broker, 12, refused=1)
    assert letter.seqs == "1"
    assert "each time" in letter.reason
    assert sum(b"motion" not in payload for payload in broker.acknowledged) == 11


@pytest.mark.parametrize("code", [0x80, 0x83, 0x97])
def test_a_publish_that_is_refused_for_now(run: Run, tmp_path: Path, code: int) -> None:
    broker = FakeBroker(lambda m: code if m.connection < 2 and b'"v":3,' in m.payload else 0)
    assert scenario(run, tmp_path, broker, 12) == []
    assert len(broker.connects) == 3


@pytest.mark.parametrize("code", [0x87, 0x90, 0x99])
def test_a_publish_that_is_refused_for_good(run: Run, tmp_path: Path, code: int) -> None:
    broker = FakeBroker(lambda m: code if b'"v":3,' in m.payload else 0)
    (letter,) = scenario(run, tmp_path, broker, 12, refused=1)
    assert (letter.pack_id, letter.seqs) == (4, "1")
    assert letter.topic == "feltpost/favrskov/skole/node-1/readings"
    assert len(broker.connects) == 1
    assert sum(b"motion" not in message.payload for message in broker.published) == 12


def test_a_broker_that_refuses_and_hangs_up(run: Run, tmp_path: Path) -> None:
    """As mosquitto 2.0.11 does where its max_inflight_messages is 0."""
    broker = FakeBroker(lambda m: REFUSE_AND_CLOSE if b'"v":3,' in m.payload else 0)
    (letter,) = scenario(run, tmp_path, broker, 12, refused=1)
    assert letter.reason == "the broker refused it: Not authorized"
    # One more where the kernel tells of the end before the answer could be read.
    assert len(broker.connects) < 4


def test_a_packet_that_is_larger_than_the_broker_takes(run: Run, tmp_path: Path) -> None:
    broker = FakeBroker(connack=PACKET_OF_400_BYTES)
    metrics = tuple(f"c.place-{i}" for i in range(9))
    letters = scenario(run, tmp_path, broker, 3, refused=3, metrics=metrics)
    assert [letter.seqs for letter in letters] == ["0-8", "0-8", "0-8"]
    assert "takes 400 at most" in letters[0].reason
    assert all(b"motion" in message.payload for message in broker.published)


def test_no_more_on_their_way_than_the_broker_takes(run: Run, tmp_path: Path) -> None:
    broker = FakeBroker(connack=RECEIVE_MAXIMUM_2, holds_until=2)
    assert scenario(run, tmp_path, broker, 40, format="os2iot") == []
    assert broker.most_unanswered == 2


def test_a_window_counts_messages_not_packs(run: Run, tmp_path: Path) -> None:
    """Each pack makes many messages of the format os2iot, here of one value each."""
    broker = FakeBroker(holds_until=4)
    metrics = ("c", "c", "c", "c", "c", "c")

    async def go() -> None:
        await broker.start()
        config = destination(broker.port, format="os2iot", window=4)
        async with forwarding(tmp_path, config) as (store, _):
            await store.write(partial(add_packs, nodes=1, packs=5, metrics=metrics))
            await broker.until(lambda: len(broker.acknowledged) >= 30)
        await broker.stop()

    run(go())
    assert broker.most_unanswered == 4
    assert len(broker.published) == 30


@pytest.mark.parametrize("version", [4, 5])
def test_a_message_that_the_broker_hangs_up_on(run: Run, tmp_path: Path, version: int) -> None:
    def judge(message: Published) -> int:
        return CLOSE if b'"v":3,' in message.payload else 0

    broker = FakeBroker(judge, version=version)
    (letter,) = scenario(run, tmp_path, broker, 40, refused=1)
    assert (letter.pack_id, letter.seqs) == (4, "1")
    assert "ends the connection" in letter.reason


def test_a_message_that_is_too_large_for_a_broker_that_did_not_say_so(
    run: Run, tmp_path: Path
) -> None:
    broker = FakeBroker(lambda m: DISCONNECT + 0x95 if b'"v":3,' in m.payload else 0)
    (letter,) = scenario(run, tmp_path, broker, 12, refused=1)
    assert letter.pack_id == 4


def add_samples(transaction: Transaction, packs: int) -> None:
    """Packs of three samples each, with the values 0 to 2, 10 to 12 and so on."""
    node_id = transaction.register_node(NodeRow(eui64(1), "node-1", "favrskov", "skole"))
    for index in range(packs):
        records: list[dict[int, Any]] = [
            {0: "c", 2: 10 * index + sample, 6: BASE_TIME_S + sample} for sample in range(3)
        ]
        body = cbor2.dumps(records)
        transaction.append(Pack(node_id, 0, None, len(records), BASE_TIME_S * 1000, body))


@pytest.mark.parametrize("sample", range(3))
@pytest.mark.parametrize("version", [4, 5])
def test_one_message_of_a_pack_that_the_broker_hangs_up_on(
    run: Run, tmp_path: Path, version: int, sample: int
) -> None:
    """The others of its pack, before it and after it, get through."""

    def value_of(payload: bytes) -> int | None:
        value: int | None = json.loads(payload).get("co2")
        return value

    broker = FakeBroker(
        lambda message: CLOSE if value_of(message.payload) == 10 + sample else 0, version
    )

    async def go() -> None:
        await broker.start()
        protocol = "5" if version == 5 else "3.1.1"
        config = destination(broker.port, protocol=protocol, format="os2iot", window=4)
        async with forwarding(tmp_path, config) as (store, destinations):
            await store.write(partial(add_samples, packs=4))
            await until_settled(store, destinations, 4, refused=1)
            (letter,) = await dead_letters(store)
            assert (letter.pack_id, letter.seqs) == (2, str(3 + sample))
        await broker.stop()

    run(go())
    taken = {value_of(payload) for payload in broker.acknowledged} - {None}
    assert taken == {10 * pack + each for pack in range(4) for each in range(3)} - {10 + sample}


@pytest.mark.parametrize("code", [0x93, 0x96, 0x97])
def test_a_broker_that_says_that_we_are_too_fast(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    broker = FakeBroker(lambda m: DISCONNECT + code if m.connection == 0 else 0)
    assert scenario(run, tmp_path, broker, 12) == []
    assert len(broker.connects) == 2
    assert "slowing-down" in caplog.text


def test_an_idle_connection_that_is_cut_disturbs_no_other(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = FakeBroker()

    async def go() -> None:
        await broker.start()
        accounts = [{"node": f"node-{n}", "username": f"user-{n}", "password": "p"} for n in (1, 2)]
        config = destination(broker.port, accounts=accounts, client_id="{eui64}")
        async with forwarding(tmp_path, config) as (store, destinations):
            for taken in (2, 4):
                await store.write(partial(add_packs, nodes=2, packs=2))
                await until(lambda n=taken: destinations.states()[0].taken == n)
                if taken == 2:
                    await broker.hang_up(0)
        await broker.stop()

    run(go())
    assert len(broker.connects) == 3
    assert "not-forwarding" not in caplog.text


@pytest.mark.parametrize("once_more", [True, False])
def test_a_broker_that_hangs_up_on_everything_for_a_while(
    run: Run, tmp_path: Path, once_more: bool
) -> None:
    first: dict[int, bytes] = {}

    def judge(message: Published) -> int:
        """Hang up until one pack is left out for another, and perhaps once more then."""
        first.setdefault(message.connection, message.payload)
        is_well = any(
            payload != first[0]
            for number, payload in first.items()
            if number + once_more <= message.connection
        )
        return 0 if is_well else CLOSE

    broker = FakeBroker(judge, version=4)
    assert scenario(run, tmp_path, broker, 10) == [], "it is the broker, not the messages"


def test_a_connection_that_is_half_open(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is on its way, so only the keepalive can tell."""
    monkeypatch.setattr(mqtt, "_KEEPALIVE_S", 1)
    broker = FakeBroker(answers_pings=False)

    async def go() -> None:
        await broker.start()
        async with forwarding(tmp_path, destination(broker.port)):
            await broker.until(lambda: len(broker.connects) >= 2)
        await broker.stop()

    run(go())


def test_a_broker_that_throws_out_fast_clients(run: Run, tmp_path: Path) -> None:
    """It lets 6 messages through in any 0.1 s."""
    times: list[float] = []

    def judge(message: Published) -> int:
        times.append(message.at_s)
        return CLOSE if len(times) > 6 and times[-1] - times[-7] < 0.1 else 0

    broker = FakeBroker(judge, version=4)
    assert scenario(run, tmp_path, broker, 120) == []
    assert len(broker.connects) < 25


@pytest.mark.parametrize("version", [4, 5])
def test_a_broker_that_is_not_ready_yet(run: Run, tmp_path: Path, version: int) -> None:
    unavailable = 0x88 if version == 5 else 3
    broker = FakeBroker(
        version=version, connack_code=lambda number: unavailable if number < 3 else 0
    )
    assert scenario(run, tmp_path, broker, 5) == []
    # A session is never taken up again: what was not acknowledged is sent anew.
    assert all(connect[7] & 0x02 for connect in broker.connects)


def test_a_set_rate(run: Run, tmp_path: Path) -> None:
    broker = FakeBroker()
    scenario(run, tmp_path, broker, 60, max_rate=100)
    first, *_, last = (message.at_s for message in broker.published)
    # As the broker sees it: what comes late on a busy machine makes the time between look shorter.
    assert last - first >= 59 / 100 / 2


def test_new_readings_go_before_a_backlog(run: Run, tmp_path: Path) -> None:
    """600 packs wait; those that come during the drain are through long before it ends."""
    broker = FakeBroker(holds_until=5)
    new_at: list[int] = []

    def is_new(message: Published) -> bool:
        return b"motion" in message.payload

    async def go() -> None:
        await broker.start()
        store = Store(tmp_path / "feltpost.db")
        await store.open()
        await store.write(partial(add_packs, nodes=3, packs=600))
        await store.close()
        config = destination(broker.port, backlog_rate=1000, window=10)
        async with forwarding(tmp_path, config) as (store, destinations):
            await broker.until(lambda: len(broker.acknowledged) >= 50)
            assert broker.most_unanswered == 5, "half of the window is for what is new"
            for index in range(5):
                seen = len(broker.published)
                await store.write(partial(add_packs, nodes=3, packs=3, metrics=("motion",)))
                await broker.until(
                    lambda n=3 * (index + 1): sum(map(is_new, broker.published)) >= n
                )
                new_at.append(len(broker.published) - seen)
            assert len(broker.published) < 600
            (state,) = destinations.states()
            assert state.position.ahead, "what is new is noted beside the backlog"
            assert state.position.cursor < 600
            await broker.until(lambda: len(broker.acknowledged) >= 615)
        await broker.stop()

    run(go())
    assert len(broker.published) == 615, "nothing is sent twice"
    # The window of the backlog, what is sent while the store commits, and the three.
    assert max(new_at) < 60
    for node in (1, 2, 3):
        topic = f"feltpost/favrskov/skole/node-{node}/readings"
        for lane in (True, False):
            values = [m.payload for m in broker.published if m.topic == topic and is_new(m) is lane]
            if not lane:
                numbers = [int(p.split(b'"v":')[1].split(b",")[0]) for p in values]
                assert numbers == sorted(numbers)


def test_a_crash_in_the_middle_of_a_backlog(run: Run, tmp_path: Path) -> None:
    """The position of before the crash is what counts; what came after it is sent again."""
    broker = FakeBroker()

    async def go() -> None:
        await broker.start()
        config = destination(broker.port, backlog_rate=2000)

        def fill(transaction: Transaction) -> None:
            add_packs(transaction, nodes=2, packs=700)

        async with forwarding(tmp_path, config) as (store, _):
            await store.write(lambda t: t.register_node)
        store = Store(tmp_path / "feltpost.db")
        await store.open()
        await store.write(fill)
        await store.close()
        for wanted in (100, 300, 500):
            async with forwarding(tmp_path, config) as (store, destinations):
                await broker.until(lambda n=wanted: len(set(broker.acknowledged)) >= n)
                for _, task in destinations._running.values():
                    task.cancel()
        async with forwarding(tmp_path, config):
            await broker.until(lambda: len({(p.topic, p.payload) for p in broker.published}) >= 700)
        await broker.stop()

    run(go())
