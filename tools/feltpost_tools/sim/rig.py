"""A whole run on one machine: broker, gateway, simulated boards, subscriber, ledger.

What the demo shows and what the system tests test is this.
"""

import asyncio
import contextlib
import math
import os
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from feltpost_tools.errors import FeltpostError
from feltpost_tools.faults.mqtt_packets import Published
from feltpost_tools.faults.mqtt_proxy import MqttProxy
from feltpost_tools.sim import interpreter, settling, taps
from feltpost_tools.sim import kit as indoor_climate
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.broker import Broker, Subscriber, free_port
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.gateway_process import Enrolled, GatewayProcess, write_configuration
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.kit import Kit, Sampled
from feltpost_tools.sim.ledger import Arrived, Ledger
from feltpost_tools.sim.ledger_verdict import Verdict
from feltpost_tools.sim.listed_gaps import eui64, listed_gaps
from feltpost_tools.sim.trace import Trace
from feltpost_tools.sim.world import Alarm, World

OWNER = "demo"
_STORE = "feltpost.db"

LinkKind = Literal["serial", "udp"]

# A locally administered address (bit 1 of the first byte), so that it is nobody's.
_MAC_PREFIX = bytes.fromhex("0200004650")


@dataclass(frozen=True)
class Plan:
    """What to set up.

    links: the link of each node, in order. speed: how many times faster than the wall clock time
    runs, infinity for as fast as the machine can. broker: host and port of a running broker, or
    None to start one. image: what is on the boards; None: the project's firmware, compiled for
    this run. journal_blocks: the flash that each board has for its journal, 0 for a journal in
    RAM. crystal_ppm, sleep_ppm, epoch: as in Hardware.
    kit: what is on each board. store_settings: more of the gateway's table ``[store]``.
    tapped: listen in on all links, for the ledger's verdict; ``mqtt`` then lies between gateway
    and broker.
    """

    trace: Trace
    links: Sequence[LinkKind]
    speed: float = math.inf
    interval_s: int = 60
    heap_kib: int = 128
    broker: tuple[str, int] | None = None
    image: Image | None = None
    journal_blocks: int = 16
    crystal_ppm: int = 0
    sleep_ppm: int = 0
    epoch: int = 2000
    kit: Kit = indoor_climate
    store_settings: Mapping[str, int | str] | None = None
    tapped: bool = False


@dataclass(frozen=True)
class Node:
    """A board of the run and how it reaches the gateway."""

    name: str
    link: LinkKind
    board: Board
    enrolled: Enrolled


class Rig:
    """An asynchronous context manager: inside, everything runs; after it, nothing is left.

    Simulated time starts with the recording's, or with the wall clock's at speed 1.
    """

    def __init__(self, plan: Plan, folder: Path, ledger: Ledger | None = None):
        """folder: an empty one, for all that the run writes. ledger: the one to keep, a new one
        if None."""
        missing = plan.kit.QUANTITIES - plan.trace.quantities
        if missing:
            raise FeltpostError(
                f"the recording has no {', '.join(sorted(missing))}; "
                f"the kit on the boards needs {', '.join(sorted(plan.kit.QUANTITIES))}"
            )
        self.plan = plan
        self.folder = folder
        self.ledger = ledger or Ledger()
        self.nodes: list[Node] = []
        self.broker: Broker | None = None
        self.mqtt: MqttProxy | None = None
        self._session_is_lost = False
        # Marks this run's topics, in case the broker is one that others use too.
        self.site = f"run-{secrets.token_hex(3)}"
        self._arrived = asyncio.Event()
        self._exit = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything, the boards last."""
        try:
            await self._set_up()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self._exit.aclose()

    async def _set_up(self) -> None:
        plan = self.plan
        found = interpreter.find()
        start_s = time.time() if plan.speed == 1 else plan.trace.start
        self._start_us = int(start_s * 1e6)
        self.clock = SharedClock(self.folder / "clock", self._start_us)
        self.world = World(self.clock, plan.speed)
        if plan.image:
            self.image = plan.image
        else:
            self.image = await asyncio.to_thread(Image, self.folder / "image")
        self.udp_port = free_port()
        for number, link in enumerate(plan.links, start=1):
            self.nodes.append(self._node(number, link, found))
        address = await self._start_broker()
        self.subscriber = Subscriber(
            *address,
            f"feltpost/{OWNER}/{self.site}/+/readings",
            self._take,
            lost=self._session_lost,
            renewed=self._session_renewed,
        )
        await self.subscriber.start()
        self._exit.push_async_callback(self.subscriber.stop)
        if plan.tapped:
            address = await self._start_proxy(address)
        self._write_gateway_configuration(address)
        self.gateway = self._make_gateway()
        self._exit.push_async_callback(self.gateway.stop)
        # The gateway opens at once the lines that are there when it starts, others when it looks
        # for them again.
        for node in self.nodes:
            self._exit.push_async_callback(node.board.close)
            self._connect(node)
            if plan.tapped:
                taps.connect(node.board, node.enrolled, self.ledger, self.clock.now_us)
        await self.gateway.start()
        self.world.listening = lambda: self.gateway.running
        for node in self.nodes:
            await node.board.power_on()

    def _node(self, number: int, link: LinkKind, found: interpreter.Interpreter) -> Node:
        name = f"node-{number}"
        mac = _MAC_PREFIX + bytes((number,))
        enrolled = Enrolled(name, mac, number.to_bytes(1), secrets.token_bytes(16))
        hardware = Hardware(
            mac,
            self.plan.heap_kib,
            self.plan.kit.parts(name, self._environment, self._sampled),
            journal_blocks=self.plan.journal_blocks,
            crystal_ppm=self.plan.crystal_ppm,
            sleep_ppm=self.plan.sleep_ppm,
            epoch=self.plan.epoch,
        )
        board = Board(name, self.folder / name, hardware, self.image, found, self.world)
        board.enrol(enrolled.key_id, enrolled.key)
        return Node(name, link, board, enrolled)

    def _connect(self, node: Node) -> None:
        if node.link == "serial":
            node.board.line.plug()
            link: dict[str, str | int] = {"kind": "serial"}
        else:
            port = node.board.join(("127.0.0.1", self.udp_port))
            link = {"kind": "udp", "host": "127.0.0.1", "port": port, "ssid": "simulated"}
        node.board.install(self.plan.kit.configuration([link], self.plan.interval_s))

    async def _start_broker(self) -> tuple[str, int]:
        if self.plan.broker:
            return self.plan.broker
        self.broker = Broker(self.folder / "broker")
        self._exit.push_async_callback(self.broker.stop)
        await self.broker.start()
        return self.broker.host, self.broker.port

    async def _start_proxy(self, broker: tuple[str, int]) -> tuple[str, int]:
        self.mqtt = MqttProxy(
            broker, self._handed_over, self._has_arrived, lambda: not self._session_is_lost
        )
        self._exit.push_async_callback(self.mqtt.stop)
        await self.mqtt.start()
        return self.mqtt.host, self.mqtt.port

    def _make_gateway(self) -> GatewayProcess:
        return GatewayProcess(
            self.folder / "gateway.toml", self.clock.path, self.folder / "gateway.log"
        )

    def _write_gateway_configuration(self, broker: tuple[str, int]) -> None:
        write_configuration(
            self.folder / "gateway.toml",
            store=self.folder / _STORE,
            udp_port=self.udp_port,
            serial_ports=[node.board.line.path for node in self.nodes if node.link == "serial"],
            broker=broker,
            nodes=[node.enrolled for node in self.nodes],
            owner=OWNER,
            site=self.site,
            store_settings=self.plan.store_settings,
        )

    def _environment(self, quantity: str, now_us: int) -> float:
        return self.plan.trace.value(
            quantity, self.plan.trace.start + (now_us - self._start_us) / 1e6
        )

    def _sampled(self, reading: Sampled) -> None:
        self.ledger.sampled(reading, time.monotonic())

    def _take(self, reading: Arrived, monotonic_s: float) -> None:
        self.ledger.arrived(reading, monotonic_s)
        self._arrived.set()
        if self.mqtt:
            self.mqtt.look_again()

    # mosquitto keeps nothing through a SIGKILL, which is not what a run is to find. So a PUBACK
    # reaches the gateway once the subscriber has the message, and what went to a broker that has
    # lost the subscriber's session goes out again, in its order: nothing goes to it in between.

    def _has_arrived(self, message: Published) -> bool:
        node, journal, numbers = taps.numbers_in(message)
        return all(self.ledger.has(node, journal, number) for number in numbers)

    def _handed_over(self, message: Published) -> None:
        node, journal, numbers = taps.numbers_in(message)
        if numbers:
            self.ledger.handed_over(node, journal, numbers)

    def _session_lost(self) -> None:
        self._session_is_lost = True
        if self.mqtt:
            self.mqtt.cut()

    def _session_renewed(self) -> None:
        self._session_is_lost = False

    @property
    def simulated_s(self) -> float:
        """How much simulated time has passed, seconds."""
        return (self.clock.now_us() - self._start_us) / 1e6

    async def until(self, simulated_s: float) -> None:
        """Wait until so much simulated time has passed since the start."""
        alarm = Alarm(self._start_us + int(simulated_s * 1e6))
        self.world.add(alarm)
        try:
            await alarm.rung.wait()
        finally:
            self.world.remove(alarm)

    async def drain(self, timeout_s: float) -> bool:
        """Sample no more, as far as the ledger goes; wait until all that was sampled has arrived.

        Return False when it has not after timeout_s of real time.
        """
        self.ledger.close(self.clock.now_us())
        deadline = time.monotonic() + timeout_s
        while self.ledger.missing:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            await self.next_arrival(left_s)
        return True

    async def settle(self, timeout_s: float = 90, lanes: int = 1) -> Verdict:
        """Sample no more, as far as the ledger goes; wait until it finds nothing amiss.

        Return what it finds amiss after timeout_s of real time. lanes: as for Ledger.verdict().
        """
        return await settling.settle(self, timeout_s, lanes)

    def enter_gaps(self) -> None:
        """Enter into the ledger what the gateway lists as lost by now."""
        names = {eui64(node.enrolled.mac): node.name for node in self.nodes}
        try:
            gaps = listed_gaps(self.folder / _STORE)
        except sqlite3.Error:
            # A gateway that salvages its store has none for a while.
            return
        self.ledger.forget_gaps()
        for gap in gaps:
            self.ledger.gap(names[gap.eui64], gap.journal, gap.first, gap.count, gap.reason)

    async def next_arrival(self, timeout_s: float) -> None:
        """Wait for a reading to come to the subscriber, but no longer than timeout_s, real time."""
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), timeout_s)


def default_links(count: int, choice: Literal["serial", "udp", "both"]) -> list[LinkKind]:
    """Return the links of so many nodes: with both, every third is on serial."""
    if choice != "both":
        return [choice] * count
    return ["serial" if number % 3 == 0 else "udp" for number in range(count)]


def shared_recording() -> Path:
    """Return the recording to replay: the long one beside a checkout, or the one we carry."""
    package = Path(__file__).parent
    beside = package.parents[2].parent / "shared" / "data" / "indoor-climate.csv"
    return beside if os.access(beside, os.R_OK) else package / "data" / "indoor-climate-short.csv"
