"""A building gets its power back: a thousand nodes and the gateway come back at once.

The nodes are the firmware's own client and uplink on MicroPython (tests/support/light_nodes.py),
each with readings of the time before, which the gateway has not got.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.light_nodes import LightNodes, Outcome

from bench.gateway_figures import quantile
from bench.gateway_nodes import enrol, free_udp_port
from bench.gateway_process import GatewayUnderTest
from bench.gateway_scenes import OWNER, SITE, configure
from bench.table import Row
from feltpost_tools.sim import interpreter
from feltpost_tools.sim.broker import Broker, Subscriber
from feltpost_tools.sim.gateway_process import Enrolled
from feltpost_tools.sim.ledger import Arrived

_INTERVAL_MS = 60 * 60_000
_CHANNELS = 4
# With a thousand sockets in it, the kernel takes some milliseconds to write its table of them.
_LOOK_S = 0.1
_SERVED_S = 300.0
_ARRIVE_S = 120.0


@dataclass(frozen=True)
class ComeBack:
    """What it took until all nodes were served.

    nodes: what they did. dropped: datagrams that the gateway's socket had no room for;
    waiting_bytes: the most that waited in it, as the kernel counts. arrived: different readings of
    this time that came to a subscriber; missing, and wrong: with a number that was not given, or
    another time. memory_mb: the gateway's, most.
    """

    nodes: Outcome
    dropped: int
    waiting_bytes: int
    arrived: int
    missing: int
    wrong: int
    memory_mb: float

    @property
    def served_s(self) -> Sequence[float]:
        """When each node was served, seconds since they got power."""
        return [ms / 1000 for ms in self.nodes.served_ms]


@dataclass
class _Inbox:
    """The times of the readings that came to the subscriber, by node, journal and number.

    After a kill the gateway publishes once more what it published last.
    """

    times: dict[tuple[str, int, int], float] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, reading: Arrived, _monotonic_s: float) -> None:
        self.times[reading.node, reading.journal, reading.number] = reading.unix_s
        self.arrived.set()

    def of(self, journal: int) -> dict[tuple[str, int, int], float]:
        """Return those of that journal of all nodes."""
        return {key: time_s for key, time_s in self.times.items() if key[1] == journal}

    async def wait(self, count: int, timeout_s: float) -> None:
        """Return when there are so many, or after timeout_s without another one."""
        while len(self.times) < count:
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), timeout_s)
            except TimeoutError:
                return


async def come_back(
    folder: Path, count: int, readings: int, tell: Callable[[str], None]
) -> tuple[ComeBack, ComeBack]:
    """Return how so many nodes came back twice, each time with so many readings.

    The first time the gateway has heard of none of them, and asks each for an Echo (RFC 8613
    appendix B.1.2); the second time it was killed, and knows all of them. folder: an empty one.
    """
    broker = Broker(folder / "broker")
    port, enrolled = free_udp_port(), enrol(count)
    configuration = configure(folder, port, broker, enrolled)
    nodes = LightNodes(interpreter.find(), enrolled, port)
    async with _subscribed(broker) as inbox:
        try:
            tell(f"{count:,} nodes come back together with a gateway that never heard of them …")
            unknown = await _once(nodes, enrolled, configuration, port, readings, inbox)
            tell("The same once more, with one that has …")
            known = await _once(nodes, enrolled, configuration, port, readings, inbox)
        finally:
            await nodes.close()
    return unknown, known


async def _once(
    nodes: LightNodes,
    enrolled: Sequence[Enrolled],
    configuration: Path,
    port: int,
    readings: int,
    inbox: _Inbox,
) -> ComeBack:
    begin_s = int(time.time()) - readings // _CHANNELS * _INTERVAL_MS // 1000
    journal = await nodes.prepare(readings, begin_s * 1000, _INTERVAL_MS)
    expected = {
        (node.name, journal, number): begin_s + number // _CHANNELS * _INTERVAL_MS // 1000
        for node in enrolled
        for number in range(readings)
    }
    before = len(inbox.times)
    nodes.power_on()
    gateway = GatewayUnderTest(configuration)
    await asyncio.to_thread(gateway.__enter__)
    try:
        socket = _Socket(port)
        watch = asyncio.create_task(socket.watch())
        outcome = await asyncio.wait_for(nodes.served(), _SERVED_S)
        await inbox.wait(before + len(expected), _ARRIVE_S)
        if not watch.cancel():
            watch.result()
        memory_mb = gateway.memory_mb(most=True)
    finally:
        gateway.lose_power()
    times = inbox.of(journal)
    return ComeBack(
        outcome,
        socket.dropped,
        socket.waiting_bytes,
        arrived=len(times),
        missing=len(expected.keys() - times.keys()),
        wrong=sum(expected.get(key) != time_s for key, time_s in times.items()),
        memory_mb=memory_mb,
    )


class _Socket:
    """The gateway's socket as the kernel shows it in /proc/net/udp.

    ``dropped`` and ``waiting_bytes`` are those of ComeBack.
    """

    def __init__(self, port: int):
        self._port = port
        self.dropped = self.waiting_bytes = 0

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(_LOOK_S)

    def _look(self) -> None:
        # proc(5): local_address is the second field, its port in hexadecimal; tx_queue:rx_queue
        # the fifth; drops the last.
        for line in Path("/proc/net/udp").read_text().splitlines():
            fields = line.split(maxsplit=5)
            if fields[1].endswith(f":{self._port:04X}"):
                self.dropped = int(fields[-1].split()[-1])
                waiting = int(fields[4].rpartition(":")[2], 16)
                self.waiting_bytes = max(self.waiting_bytes, waiting)
                return
        # The kernel writes its table in pieces, and what moves meanwhile may be in none of them.


@asynccontextmanager
async def _subscribed(broker: Broker) -> AsyncIterator[_Inbox]:
    await broker.start()
    inbox = _Inbox()
    subscriber = Subscriber(
        broker.host, broker.port, f"feltpost/{OWNER}/{SITE}/+/readings", inbox.put
    )
    try:
        await subscriber.start()
        yield inbox
        await subscriber.stop()
    finally:
        await broker.stop()


def rows(unknown: ComeBack, known: ComeBack) -> Iterator[Row]:
    """Return the rows of both times."""
    for what, back in (("unknown", unknown), ("known", known)):
        nodes = f"{len(back.served_s):,} nodes come back with the gateway, {what} to it"
        yield Row(f"{nodes}: half are served in", quantile(back.served_s, 0.5), "s")
        yield Row(f"{nodes}: all are served in", max(back.served_s), "s")
        yield Row(f"{nodes}: datagrams for each request", back.nodes.amplification, "", at_most=2)
        yield Row(f"{nodes}: dropped for want of room", back.dropped, "datagrams")
        yield Row(f"{nodes}: most memory", back.memory_mb, "MB")
