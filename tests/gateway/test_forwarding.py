"""From a node's request to an MQTT subscriber, through a broker that comes and goes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, make_config, make_node, running
from tests.gateway.fake_broker import Relay
from tests.support.broker import Broker, Subscriber, free_port
from tests.support.node import BASE_TIME_S, Node, NodeKeys, pack

from feltpost_gateway.backoff import Backoff

Run = Callable[[Any], None]

COMMAND = Path(sys.executable).with_name("feltpost-gateway")
URN = "urn:dev:mac:020000fffe000001"


def test_a_pack_arrives_with_its_values(
    run: Run, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    half = bytes.fromhex("f94dec")  # 23.6875 in binary16, which stands for 23.69
    records = [
        {-3: BASE_TIME_S, 0: "t.outdoor", 2: Decimal("-3.25"), 6: 0.5},
        {0: "h", 2: 41, 6: 60},
        {0: "doorOpen", 4: True},
    ]
    payload = b"\x84" + b"".join(map(cbor2.dumps, records)) + b"\xa2\x00\x61t\x02" + half

    async def scenario() -> None:
        config = make_config(tmp_path, broker={"host": "127.0.0.1", "port": broker.port})
        async with running(config) as gateway:
            node = make_node(gateway)
            assert (await node.put(9, 0, payload)).code == codes.CHANGED
            await asyncio.to_thread(subscriber.wait_for_numbers, 4)
            node.close()

    run(scenario())
    (arrival,) = subscriber.arrivals
    assert arrival.topic == "feltpost/favrskov/skole/node-01/readings"
    assert arrival.content_type == "application/senml+json"
    assert arrival.properties == {"node": URN, "journal": "9", "seq": "0-3"}
    assert arrival.records == [
        {
            "bn": f"{URN}_",
            "n": "temperature.outdoor",
            "u": "Cel",
            "v": "-3.25",
            "t": f"{BASE_TIME_S}.5",
        },
        {"n": "relativeHumidity", "u": "%RH", "v": 41, "t": BASE_TIME_S + 60},
        {"n": "doorOpen", "vb": True, "t": BASE_TIME_S},
        {"n": "temperature", "u": "Cel", "v": "23.69", "t": BASE_TIME_S},
    ]


def test_broker_goes_away_and_comes_back(
    run: Run, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    async def scenario() -> None:
        table = {"host": "127.0.0.1", "port": broker.port, "window": 5}
        async with running(make_config(tmp_path, broker=table)) as gateway:
            node = make_node(gateway)
            for i in range(10):
                assert (await node.put(1, i * 4, pack(4, i))).code == codes.CHANGED
            await asyncio.to_thread(subscriber.wait_for_numbers, 40)
            await asyncio.to_thread(broker.stop)
            for i in range(10, 60):
                assert (await node.put(1, i * 4, pack(4, i))).code == codes.CHANGED
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(subscriber.wait_for_numbers, 240)
            node.close()

    run(scenario())
    numbers = subscriber.numbers()
    first_seen = list(dict.fromkeys(number for _, _, number in numbers))
    assert first_seen == list(range(240)), "each number, and in order"


@pytest.mark.parametrize("restart", [False, True])
def test_what_the_broker_did_not_acknowledge_is_sent_again(
    run: Run, tmp_path: Path, broker: Broker, subscriber: Subscriber, restart: bool
) -> None:
    """The connection takes publishes that never reach the broker, and then it breaks."""

    async def scenario() -> None:
        relay = Relay(broker.port)
        await relay.start()
        config = make_config(tmp_path, broker={"host": "127.0.0.1", "port": relay.port})
        async with running(config) as gateway:
            node = make_node(gateway)
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            await asyncio.to_thread(subscriber.wait_for_numbers, 1)
            relay.swallowing = True
            for seq in range(1, 6):
                assert (await node.put(1, seq, pack(1))).code == codes.CHANGED
            await relay.swallowed.wait()
            relay.cut()
            if not restart:
                relay.swallowing = False
                await asyncio.to_thread(subscriber.wait_for_numbers, 6)
            node.close()
        relay.swallowing = False
        async with running(config):
            await asyncio.to_thread(subscriber.wait_for_numbers, 6)
        await relay.stop()

    run(scenario())
    assert {number for _, _, number in subscriber.numbers()} == set(range(6))


def test_graceful_restart_sends_nothing_twice(
    run: Run, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    config = make_config(tmp_path, broker={"host": "127.0.0.1", "port": broker.port})

    async def session(start: int) -> None:
        async with running(config) as gateway:
            node = make_node(gateway, sequence_number=start * 10)
            for i in range(start, start + 5):
                assert (await node.put(1, i, pack(1))).code == codes.CHANGED
            await asyncio.to_thread(subscriber.wait_for_numbers, start + 5)
            node.close()

    # What arrives may still await its acknowledgement, so each stop leaves one pack behind at
    # most; the next session must not start from the beginning.
    for start in (0, 5, 10):
        run(session(start))
    numbers = [number for _, _, number in subscriber.numbers()]
    assert sorted(set(numbers)) == list(range(15))
    assert len(numbers) <= 15 + 2


def test_back_off_grows_to_a_bound_with_jitter() -> None:
    backoff = Backoff()
    bounds = [min(60, 0.5 * 2**i) for i in range(12)]
    delays = [backoff.next_s() for _ in bounds]
    assert all(0 <= delay <= bound for delay, bound in zip(delays, bounds, strict=True))
    assert len(set(delays)) == len(delays)
    assert max(backoff.next_s() for _ in range(50)) > 10
    backoff.reset()
    assert backoff.next_s() <= 0.5


def start_gateway(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [COMMAND, "run", "--config", str(path)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if " ready" in line:
            return process
    raise AssertionError("the gateway did not start")


def test_gateway_is_killed_in_the_middle_of_traffic(
    run: Run, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    udp_port = free_port()
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
        [store]
        path = "{tmp_path / "feltpost.db"}"
        [udp]
        bind = "127.0.0.1"
        port = {udp_port}
        [broker]
        host = "127.0.0.1"
        port = {broker.port}
        [[nodes]]
        name = "one"
        owner = "o"
        site = "s"
        mac = "02:00:00:00:00:01"
        key_id = "01"
        key = "{KEYS[bytes([1])].hex()}"
        [[nodes]]
        name = "two"
        owner = "o"
        site = "s"
        mac = "02:00:00:00:00:02"
        key_id = "02"
        key = "{KEYS[bytes([2])].hex()}"
        """
    )
    path.chmod(0o600)
    packs_each = 120

    async def feed(key_id: bytes, done: asyncio.Semaphore) -> None:
        node = Node(udp_port, NodeKeys(key_id, KEYS[key_id]))
        for i in range(packs_each):
            while True:
                try:
                    async with asyncio.timeout(1):
                        answer = await node.put(1, i * 2, pack(2, i))
                    if answer.code == codes.CHANGED:
                        break
                except (TimeoutError, ConnectionError):
                    # Another socket, so that no answer of before is taken for a later one's.
                    node.close()
                    node = Node(udp_port, node.keys)
            done.release()
        node.close()

    async def scenario() -> None:
        process = await asyncio.to_thread(start_gateway, path)
        done = asyncio.Semaphore(0)
        feeds = asyncio.gather(*(feed(key_id, done) for key_id in KEYS))
        for packs_between in (30, 70, 80):
            for _ in range(packs_between):
                await done.acquire()
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.communicate)
            process = await asyncio.to_thread(start_gateway, path)
        await feeds
        await asyncio.to_thread(subscriber.wait_for_numbers, 4 * packs_each)
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0
        assert "stopped" in log

    run(scenario())
    wanted = {
        (f"urn:dev:mac:020000fffe0000{node:02x}", 1, number)
        for node in (1, 2)
        for number in range(2 * packs_each)
    }
    assert set(subscriber.numbers()) == wanted
