"""What the gateway and the bridge are put through.

Three scenes: a gateway with 100 nodes and a broker that is there; a mosquitto bridge with as many
nodes; a gateway with 1,000 nodes whose broker was away for a million readings.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import gateway_profile
from bench.gateway_bridge import Bridge, MqttSender
from bench.gateway_figures import (
    Backlog,
    Bridged,
    Sent,
    Serving,
    Taken,
    delivered,
    latencies_ms,
    send,
    send_and_count,
)
from bench.gateway_load import Load
from bench.gateway_nodes import NodeSender, enrol, free_udp_port, introduce, pack
from bench.gateway_process import GatewayUnderTest
from bench.gateway_subscriber import Arrival, Subscriber
from feltpost_tools.sim.broker import Broker
from feltpost_tools.sim.gateway_process import Enrolled, write_configuration

READINGS = 5
"""How many readings a node takes a minute, and sends in one request."""

MOST_READINGS = 23
"""How many readings a node puts into a request when it has more (feltpost/uplink.py)."""

IN_FLIGHT = 100
"""How many nodes wait for an answer at the same time while the gateway is flooded."""

OWNER = "demo"
SITE = "bench"
_IDLE_INTERVAL_S = 0.05
# As often as 100 nodes, and 1,000, send together when each does so once a minute.
_STEADY_INTERVAL_S = 0.6
_LIVE_INTERVAL_S = 0.06
_ARRIVE_S = 120.0

_DRAIN_MOST_S = 1_800.0


@dataclass(frozen=True)
class Sizes:
    """How many nodes there are, and how much they send in each part, in messages that they share.

    few_nodes: where the broker is there, and of the bridge. many_nodes: where it is away.
    """

    few_nodes: int
    many_nodes: int
    idle: int
    steady: int
    alone: int
    flood: int
    catching_up: int
    profiled: int
    bridge: int
    backlog: int

    @classmethod
    def scaled(cls, scale: float) -> "Sizes":
        """Return what ``scale`` leaves of the full measurement; the nodes stay as many."""
        few_nodes, many_nodes = 100, 1_000

        def few(size: int) -> int:
            return _multiple(size * scale, few_nodes)

        return cls(
            few_nodes,
            many_nodes,
            idle=few(500),
            steady=few(200),
            alone=few(2_000),
            flood=few(20_000),
            catching_up=few(4_000),
            profiled=few(8_000),
            bridge=few(40_000),
            backlog=_multiple(1_000_000 / READINGS * scale, many_nodes),
        )


def _multiple(size: float, step: int) -> int:
    return max(1, round(size / step)) * step


class _Nodes:
    """Nodes that send to a gateway."""

    def __init__(self, enrolled: list[Enrolled], port: int):
        self._senders = [NodeSender(node, port) for node in enrolled]
        self._load = Load(self._senders)

    async def introduce(self) -> None:
        await introduce(self._senders)

    def prepare(self, packs: int, readings: int) -> None:
        for sender in self._senders:
            sender.prepare(packs // len(self._senders), readings)

    def pace(self, interval_s: float, stop: Callable[[], bool] = lambda: False) -> Sent:
        sent = send(self._senders, lambda: self._load.pace(interval_s, stop))
        self._check()
        return sent

    def measure_pace(self, gateway: GatewayUnderTest, interval_s: float) -> tuple[Sent, Taken]:
        measured = send_and_count(gateway, self._senders, lambda: self._load.pace(interval_s))
        self._check()
        return measured

    def measure_flood(self, gateway: GatewayUnderTest, in_flight: int) -> tuple[Sent, Taken]:
        measured = send_and_count(gateway, self._senders, lambda: self._load.flood(in_flight))
        self._check()
        return measured

    def _check(self) -> None:
        for sender in self._senders:
            sender.check()


async def serve(folder: Path, sizes: Sizes, tell: Callable[[str], None]) -> Serving:
    """Run a gateway whose broker is there; folder: an empty one, for all that this writes."""
    broker = Broker(folder / "broker")
    port, enrolled = free_udp_port(), enrol(sizes.few_nodes)
    configuration = configure(folder, port, broker, enrolled)
    nodes = _Nodes(enrolled, port)
    async with _gateway_and_subscriber(configuration, broker) as (gateway, subscriber):
        await nodes.introduce()

        def flood(packs: int, readings: int, in_flight: int) -> tuple[Sent, Taken, list[Arrival]]:
            nodes.prepare(packs, readings)
            sent, taken = nodes.measure_flood(gateway, in_flight)
            return sent, taken, subscriber.wait(len(sent), _ARRIVE_S)

        tell("The idle gateway's latency …")
        nodes.prepare(sizes.idle, READINGS)
        sent = nodes.pace(_IDLE_INTERVAL_S)
        idle_ms = latencies_ms(sent, subscriber.wait(len(sent), _ARRIVE_S))

        steady_s = sizes.steady * _STEADY_INTERVAL_S
        tell(f"{sizes.few_nodes} nodes at their own pace, {steady_s:.0f} s …")
        nodes.prepare(sizes.steady, READINGS)
        sent, steady = nodes.measure_pace(gateway, _STEADY_INTERVAL_S)
        subscriber.wait(len(sent), _ARRIVE_S)

        tell("One request at a time …")
        _, alone, _ = flood(sizes.alone, READINGS, 1)
        tell(f"{IN_FLIGHT} requests at a time …")
        sent, flooded, arrivals = flood(sizes.flood, READINGS, IN_FLIGHT)
        tell(f"The same with {MOST_READINGS} readings each …")
        _, catching_up, _ = flood(sizes.catching_up, MOST_READINGS, IN_FLIGHT)
        tell("The request path's profile …")
        nodes.prepare(sizes.profiled, READINGS)
        gateway.start_profile()
        nodes.measure_flood(gateway, IN_FLIGHT)
        samples = gateway.stop_profile()
    return Serving(
        idle_ms,
        steady,
        alone,
        flooded,
        delivered(sent, arrivals),
        catching_up,
        gateway_profile.read(samples),
    )


async def bridge(folder: Path, sizes: Sizes, tell: Callable[[str], None]) -> Bridged:
    """Run a mosquitto bridge; folder: an empty one, for all that this writes."""
    broker = Broker(folder / "broker")
    async with _subscriber(broker) as subscriber:
        with Bridge(folder / "bridge", broker.port) as started:
            return _measure_bridge(started, subscriber, sizes, tell)


def _measure_bridge(
    started: Bridge, subscriber: Subscriber, sizes: Sizes, tell: Callable[[str], None]
) -> Bridged:
    names = [f"node-{number}" for number in range(1, sizes.few_nodes + 1)]
    senders = [MqttSender(name, started.port) for name in names]
    load = Load(senders)

    def prepare(messages: int) -> None:
        for sender in senders:
            sender.prepare(messages // len(senders), len(pack(0, READINGS)), READINGS)

    tell("The bridge's latency …")
    # The first ones come when the bridge has connected.
    prepare(sizes.few_nodes)
    subscriber.wait(len(send(senders, lambda: load.flood(IN_FLIGHT))), _ARRIVE_S)
    prepare(sizes.idle)
    sent = send(senders, lambda: load.pace(_IDLE_INTERVAL_S))
    idle_ms = latencies_ms(sent, subscriber.wait(len(sent), _ARRIVE_S))
    tell(f"{IN_FLIGHT} messages at a time through the bridge …")
    prepare(sizes.bridge)
    sent = send(senders, lambda: load.flood(IN_FLIGHT))
    arrivals = subscriber.wait(len(sent), _ARRIVE_S)
    return Bridged(idle_ms, delivered(sent, arrivals))


async def pile_up(folder: Path, sizes: Sizes, tell: Callable[[str], None]) -> Backlog:
    """Run a gateway whose broker comes late; folder: an empty one, for all that this writes."""
    broker = Broker(folder / "broker")
    port, enrolled = free_udp_port(), enrol(sizes.many_nodes)
    configuration = configure(folder, port, broker, enrolled)
    nodes = _Nodes(enrolled, port)
    tell(f"{sizes.backlog * READINGS:,} readings while the broker is away …")
    with GatewayUnderTest(configuration) as gateway:
        await nodes.introduce()
        nodes.prepare(sizes.backlog, READINGS)
        _, filled = nodes.measure_flood(gateway, IN_FLIGHT)
        filling_mb = gateway.memory_mb(most=True)
    tell("The broker is back …")
    # More than the nodes can send before the time is over.
    nodes.prepare(_multiple(_DRAIN_MOST_S / _LIVE_INTERVAL_S, sizes.many_nodes), READINGS)
    async with _gateway_and_subscriber(configuration, broker) as (gateway, subscriber):
        begin_ns = time.monotonic_ns()
        started_mb = gateway.memory_mb()
        drained = threading.Event()
        live = asyncio.create_task(asyncio.to_thread(nodes.pace, _LIVE_INTERVAL_S, drained.is_set))
        below = sizes.backlog // sizes.many_nodes * READINGS
        try:
            arrivals = await asyncio.to_thread(subscriber.wait, sizes.backlog, _DRAIN_MOST_S, below)
        finally:
            drained.set()
            sent = await live
        draining_mb = gateway.memory_mb(most=True)
        backlog_ns = [arrival.ns for arrival in arrivals if arrival.number < below]
        live_left = len(sent) - (len(arrivals) - len(backlog_ns))
        arrivals += subscriber.wait(live_left, _ARRIVE_S)
    return Backlog(
        filled,
        filling_mb,
        started_mb,
        draining_mb,
        (max(backlog_ns) - begin_ns) / 1e9 if len(backlog_ns) == sizes.backlog else None,
        latencies_ms(sent, arrivals),
    )


@asynccontextmanager
async def _subscriber(broker: Broker) -> AsyncIterator[Subscriber]:
    await broker.start()
    try:
        with Subscriber(broker.port) as subscriber:
            yield subscriber
    finally:
        await broker.stop()


@asynccontextmanager
async def _gateway_and_subscriber(
    configuration: Path, broker: Broker
) -> AsyncIterator[tuple[GatewayUnderTest, Subscriber]]:
    async with _subscriber(broker) as subscriber:
        with GatewayUnderTest(configuration) as gateway:
            yield gateway, subscriber


def configure(folder: Path, port: int, broker: Broker, enrolled: list[Enrolled]) -> Path:
    """Write the configuration of a gateway with those nodes into that folder; return its path."""
    path = folder / "gateway.toml"
    write_configuration(
        path,
        store=folder / "feltpost.db",
        udp_port=port,
        serial_ports=[],
        broker=(broker.host, broker.port),
        nodes=enrolled,
        owner=OWNER,
        site=SITE,
    )
    return path
