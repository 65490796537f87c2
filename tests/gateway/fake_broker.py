"""A broker by script, for what no mosquitto can be made to do; and forwarding without nodes."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
from tests.gateway.conftest import FixedClock
from tests.support.node import BASE_TIME_S

from feltpost_gateway.clock import Clock
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.destinations import Destinations
from feltpost_gateway.directory import Directory, EmptyDirectory
from feltpost_gateway.events import Events
from feltpost_gateway.space import Limits
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, Pack, Transaction

CLOSE = -1
SILENCE = -2
REFUSE_AND_CLOSE = -3
DISCONNECT = 0x100
"""Plus the reason code of a DISCONNECT."""


@dataclass
class Published:
    """A PUBLISH: on which connection it came (0, 1, …), and the time of the loop."""

    connection: int
    topic: str
    payload: bytes
    at_s: float


@dataclass
class FakeBroker:
    """Answers each PUBLISH with what `judge` returns: a reason code, or one of the above."""

    judge: Callable[[Published], int] = lambda _: 0
    version: int = 5
    connack: bytes = b""
    """Properties of the CONNACK."""
    connack_code: Callable[[int], int] = lambda _: 0
    answers_pings: bool = True
    published: list[Published] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)
    connects: list[bytes] = field(default_factory=list)
    holds_until: int = 0
    """It answers nothing before so many wait for it, however slowly the client sends them."""
    most_unanswered: int = 0

    async def start(self) -> None:
        self.changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    async def hang_up(self, connection: int) -> None:
        """End a connection, and wait until the client has noticed."""
        before = len(self._tasks)
        self._writers[connection].write_eof()
        await until(lambda: len(self._tasks) < before)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(condition)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, silenced = len(self.connects), 0
        answers: deque[bytes] = deque()

        def answer() -> None:
            if self.most_unanswered < self.holds_until:
                answer_soon()
            elif answers:
                writer.write(answers.popleft())

        def answer_soon() -> None:
            # After a moment, so that what a client has sent by then is seen.
            asyncio.get_running_loop().call_later(0.005, answer)

        while True:
            (head,) = await reader.readexactly(1)
            body = await reader.readexactly(await _read_length(reader))
            kind = head >> 4
            if kind == 1:
                self.connects.append(body)
                self._writers.append(writer)
                code = self.connack_code(number)
                properties = (
                    bytes((len(self.connack),)) + self.connack if self.version == 5 else b""
                )
                writer.write(bytes((0x20, 2 + len(properties), 0, code)) + properties)
            elif kind == 3:
                topic, message_id, payload = self._parse(body)
                published = Published(number, topic, payload, asyncio.get_running_loop().time())
                self.published.append(published)
                unanswered = 1 + silenced + len(answers)
                self.most_unanswered = max(self.most_unanswered, unanswered)
                verdict = self.judge(published)
                if verdict in (CLOSE, REFUSE_AND_CLOSE) or verdict >= DISCONNECT:
                    writer.write(b"".join(answers))
                    if verdict >= DISCONNECT:
                        writer.write(bytes((0xE0, 2, verdict - DISCONNECT, 0)))
                    if verdict == REFUSE_AND_CLOSE:
                        writer.write(struct.pack(">BBHB", 0x40, 3, message_id, 0x87))
                    # What is closed with something unread in it is reset, and the answers with it.
                    writer.write_eof()
                    while await reader.read(4096):
                        pass
                    return
                if verdict == SILENCE:
                    silenced += 1
                else:
                    code = b"" if self.version == 4 else bytes((verdict,))
                    answers.append(struct.pack(">BBH", 0x40, 2 + len(code), message_id) + code)
                    answer_soon()
                    if verdict < 0x80:
                        self.acknowledged.append(payload)
            elif kind == 12 and self.answers_pings:
                writer.write(b"\xd0\x00")
            elif kind == 14:
                return
            async with self.changed:
                self.changed.notify_all()

    def _parse(self, body: bytes) -> tuple[str, int, bytes]:
        (length,) = struct.unpack_from(">H", body)
        topic = body[2 : 2 + length].decode()
        (message_id,) = struct.unpack_from(">H", body, 2 + length)
        rest = body[4 + length :]
        if self.version == 5:
            shift = size = place = 0
            while True:
                size |= (rest[place] & 0x7F) << shift
                shift += 7
                place += 1
                if not rest[place - 1] & 0x80:
                    break
            rest = rest[place + size :]
        return topic, message_id, rest


class Relay:
    """A TCP relay to the broker that can begin to swallow everything in both directions."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._writers: list[asyncio.StreamWriter] = []
        self.swallowing = False
        self.swallowed = asyncio.Event()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        self._writers += [writer, broker_writer]
        await asyncio.gather(self._copy(reader, broker_writer), self._copy(broker_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if self.swallowing:
                    self.swallowed.set()
                else:
                    writer.write(data)


async def _read_length(reader: asyncio.StreamReader) -> int:
    length = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return length


def eui64(node: int) -> bytes:
    return bytes.fromhex("020000fffe0000") + bytes((node,))


def add_packs(
    transaction: Transaction,
    nodes: int,
    packs: int,
    metrics: tuple[str, ...] = ("c",),
    first: int | None = None,
) -> None:
    """Add so many packs, of the nodes in turn, each of one value of each metric.

    The values are the packs' indices, three digits of them, or numbers from `first` on.
    """
    for node in range(1, nodes + 1):
        transaction.register_node(NodeRow(eui64(node), f"node-{node}", "favrskov", "skole"))
    for index in range(packs):
        value = index % 1000 if first is None else first + index
        records = [{0: name, 2: value} for name in metrics]
        records[0][-3] = BASE_TIME_S
        body = cbor2.dumps(records)
        node_id = transaction.register_node(
            NodeRow(eui64(index % nodes + 1), f"node-{index % nodes + 1}", "favrskov", "skole")
        )
        transaction.append(Pack(node_id, 0, None, len(records), BASE_TIME_S * 1000, body))


def destination(port: int, **keys: Any) -> DestinationConfig:
    return DestinationConfig.model_validate({"name": "d", "host": "127.0.0.1", "port": port} | keys)


@asynccontextmanager
async def forwarding(
    path: Path,
    *configs: DestinationConfig,
    directory: Directory | None = None,
    clock: Clock | None = None,
    events: Events | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[tuple[Store, Destinations]]:
    """A store and its destinations, without anything that brings readings."""
    store = Store(path / "feltpost.db", limits)
    await store.open()
    destinations = Destinations(
        store,
        directory or EmptyDirectory(),
        clock or FixedClock(),
        events or Events(),
        lambda _names: None,
    )
    runner = None
    try:
        await destinations.apply(configs)
        runner = asyncio.create_task(destinations.run())
        yield store, destinations
        if runner.done():
            runner.result()
    finally:
        if runner is not None:
            runner.cancel()
        await destinations.stop()
        await store.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody tells of, under the time limit of the whole test."""
    while not condition():  # noqa: ASYNC110 - as it says
        await asyncio.sleep(0.005)
