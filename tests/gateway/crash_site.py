"""A gateway process that dies and comes back, and nodes that send again what was not answered."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cbor2
from aiocoap import Message
from aiocoap.numbers import codes
from tests.support.broker import Subscriber, free_port
from tests.support.node import BASE_TIME_S, Node, NodeKeys, pack

from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.gateway_process import Enrolled, GatewayProcess, write_configuration

Result = TypeVar("Result")

JOURNAL = 1
COUNT = 3
NODES = (
    Enrolled("node-01", bytes.fromhex("020000000001"), b"\x01", bytes(range(16))),
    Enrolled("node-02", bytes.fromhex("020000000002"), b"\x02", bytes(range(16, 32))),
)

# Later than what nodes send in tests, so that no reading comes from the future.
_NOW_US = (BASE_TIME_S + 2 * 86_400) * 1_000_000


def eui64(node: Enrolled) -> bytes:
    return node.mac[:3] + b"\xff\xfe" + node.mac[3:]


class Site:
    """The gateway in `directory`, which is begun again each time that it has died."""

    def __init__(
        self,
        directory: Path,
        broker_port: int,
        crashes: list[tuple[str, int]],
        configure: Callable[[str], str] = str,
        tracer: tuple[str, ...] = (),
    ) -> None:
        """`crashes` are points and their numbers; `configure` changes the configuration's text."""
        self.store = directory / "feltpost.db"
        self.log = directory / "gateway.log"
        self.udp_port = free_port()
        self.broker_port = broker_port
        self._crashes = crashes
        self._died = asyncio.Event()
        self._serves = asyncio.Event()
        configuration = directory / "gateway.toml"
        write_configuration(
            configuration,
            store=self.store,
            udp_port=self.udp_port,
            serial_ports=(),
            broker=("127.0.0.1", broker_port),
            nodes=NODES,
            owner="favrskov",
            site="skole",
        )
        configuration.write_text(configure(configuration.read_text()))
        clock = SharedClock(directory / "clock", _NOW_US)
        self.gateway = GatewayProcess(configuration, clock.path, self.log, tracer)

    async def live(self) -> None:
        """Start the gateway, again after each crash, until it serves without one to come."""
        while self._crashes:
            point, nth = self._crashes.pop(0)
            self.gateway.crash_at(point, nth)
            try:
                await self._begin()
            except FeltpostError:
                # Housekeeping may pass its point before the gateway says that it serves.
                if self.gateway.crashed_at is None:
                    raise
            assert await self.gateway.ended() == -signal.SIGKILL
            assert self.gateway.crashed_at == f"{point} {nth}"
            self._serves.clear()
            self._died.set()
        await self._begin()

    async def _begin(self) -> None:
        await self.gateway.start()
        self._died.clear()
        self._serves.set()

    async def answer(self, exchange: Callable[[], Awaitable[Result]]) -> Result | None:
        """Return what an exchange with the running gateway gives, None where that dies first."""
        await self._serves.wait()
        task = asyncio.ensure_future(exchange())
        died = asyncio.ensure_future(self._died.wait())
        await asyncio.wait((task, died), return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if task.done() and not isinstance(task.exception(), ConnectionError):
            return task.result()
        task.cancel()
        await self._died.wait()
        return None


@dataclass(frozen=True)
class Heard:
    """A protected answer to a request of a node, as it came, and what it says.

    `request_number` and `own_number` are the Partial IVs of request and answer, the latter None
    where there is none. `first` and `count` say what readings the request brought, if any.
    """

    datagram: bytes
    request_number: int
    own_number: int | None
    code: codes.Code
    first: int
    count: int


class Courier:
    """A node whose packs go out one after the other, each until it has been answered.

    A number of a pack is its reading's value, too.
    """

    def __init__(self, site: Site, enrolled: Enrolled) -> None:
        self.enrolled = enrolled
        self.urn = f"urn:dev:mac:{eui64(enrolled).hex()}"
        self.answered = 0
        """Numbers below this one were answered with success."""
        self.heard: list[Heard] = []
        self._site = site
        self._node = Node(site.udp_port, NodeKeys(enrolled.key_id, enrolled.key))
        self._nonces: dict[tuple[str, bytes], bytes] = {}

    def close(self) -> None:
        self._node.close()

    async def send(self, packs: int) -> None:
        """Send so many packs."""
        for _ in range(packs):
            await self._put_pack(self.answered)
            self.answered += COUNT

    async def send_swapped(self) -> None:
        """Send two packs, the later one first, so that the gateway misses numbers for a while."""
        await self._put_pack(self.answered + COUNT)
        await self._put_pack(self.answered)
        self.answered += 2 * COUNT

    async def ask(self) -> codes.Code:
        """Ask for the time, which takes a commit, too; return the code of the answer."""
        datagram, request_id = self._node.protect(codes.GET, "/t")
        answer = await self._exchange(datagram, request_id, 0, 0)
        return codes.EMPTY if answer is None else answer.code

    async def report_gap(self, reason: int) -> None:
        """Report a pack's numbers as lost."""
        gap = cbor2.dumps({0: COUNT, 1: reason})
        await self._put(self.answered, gap, content_format=60, count=0)
        self.answered += COUNT

    async def _put_pack(self, first: int) -> None:
        await self._put(first, pack(COUNT, first_value=first), content_format=112, count=COUNT)

    async def _put(self, first: int, payload: bytes, content_format: int, count: int) -> None:
        path = f"/j/{JOURNAL}/{first}"
        echo = None
        while True:
            datagram, request_id = self._node.protect(
                codes.PUT, path, payload, content_format, echo
            )
            answer = await self._exchange(datagram, request_id, first, count)
            if answer is None:
                # As CoAP does that has heard nothing: the same bytes again.
                answer = await self._exchange(datagram, request_id, first, count)
            if answer is not None and answer.code != codes.UNAUTHORIZED:
                assert answer.code == codes.CHANGED, answer
                return
            echo = None if answer is None else answer.opt.echo

    async def _exchange(
        self, datagram: bytes, request_id: Any, first: int, count: int
    ) -> Message | None:
        """Return the answer, decrypted where it is protected, None where the gateway died."""
        received = await self._site.answer(lambda: self._round(datagram))
        outer = None if received is None else Message.decode(received)
        if received is None or outer is None or outer.opt.oscore is None:
            return outer
        plain = self._node.unprotect(outer, request_id)
        asked, own = Message.decode(datagram).opt.oscore, outer.opt.oscore
        # A nonce, the gateway's own or the request's, protects one text only.
        nonce = ("own", own) if own else ("request", asked)
        assert self._nonces.setdefault(nonce, outer.payload) == outer.payload, "a nonce twice"
        own_number = partial_iv(own) if own else None
        self.heard.append(Heard(received, partial_iv(asked), own_number, plain.code, first, count))
        return plain

    async def _round(self, datagram: bytes) -> bytes:
        self._node.send(datagram)
        token = Message.decode(datagram).token
        # An answer that came when the gateway was dying already may still be there.
        while Message.decode(received := await self._node.receive()).token != token:
            pass
        return received


def partial_iv(option: bytes) -> int:
    """The Partial IV in an OSCORE option (RFC 8613 section 6.1)."""
    return int.from_bytes(option[1 : 1 + (option[0] & 7)], "big")


def check_stream(subscriber: Subscriber, couriers: list[Courier]) -> None:
    """Deduplicated, what arrived is whole, in order, and says what was sent."""
    for courier in couriers:
        values: dict[int, int] = {}
        for arrival in list(subscriber.arrivals):
            if arrival.properties["node"] == courier.urn:
                numbers = [number for _, _, number in arrival.numbers]
                for number, record in zip(numbers, arrival.records, strict=True):
                    assert values.setdefault(number, record["v"]) == record["v"]
        assert list(values) == list(range(courier.answered))
        assert all(number == value for number, value in values.items())
