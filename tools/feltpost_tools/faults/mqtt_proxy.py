"""What lies between a gateway and its broker when it goes wrong: a TCP proxy that knows MQTT.

It sees which message each PUBACK is of, and can keep PUBACKs back, lose them, go slow, cut a
connection, or let it stand half open.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from feltpost_tools.faults import mqtt_packets
from feltpost_tools.faults.mqtt_packets import PacketKind, Published

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Pubacks(Enum):
    PASS = auto()
    HOLD = auto()
    DROP = auto()


@dataclass(eq=False)
class _Connection:
    # One connection of the gateway and its other half to the broker.
    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    mqtt_5: bool = False
    # It has swallowed bytes, so nothing that comes later makes sense any more.
    half_open: bool = False
    on_their_way: dict[int, Published] = field(default_factory=dict)
    # PUBACKs in the order in which they came, with what they are of; None: nothing we know.
    waiting: deque[tuple[bytes, Published | None]] = field(default_factory=deque)


class MqttProxy:
    """Listens on ``host`` and ``port`` once started; plain TCP, MQTT 3.1.1 and 5.

    The address stays the same while the broker comes and goes; without a broker each connection is
    reset.
    """

    def __init__(
        self,
        broker: tuple[str, int],
        on_puback: Callable[[Published], None] = lambda _: None,
        may_pass: Callable[[Published], bool] = lambda _: True,
        may_connect: Callable[[], bool] = lambda: True,
    ):
        """on_puback is called for each message whose PUBACK, with success, goes to the gateway.

        may_pass tells whether it may; what may not is asked for again by look_again(). may_connect
        tells whether a new connection may be made, which is reset otherwise.
        """
        self.host = "127.0.0.1"
        self.port = 0
        self.puback_held = asyncio.Event()
        """A PUBLISH has passed and its PUBACK is kept back; cleared by hold_pubacks()."""
        self.swallowed = asyncio.Event()
        """A connection has lost bytes and stands half open; cleared by stall()."""
        self._broker = broker
        self._on_puback = on_puback
        self._may_pass = may_pass
        self._may_connect = may_connect
        self._pubacks = _Pubacks.PASS
        self._stalled = False
        self._refusing = False
        self._delay_s = 0.0
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End everything."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many connections there are to the gateway's side."""
        return len(self._connections)

    @property
    def held(self) -> int:
        """How many PUBACKs are kept back, for whatever reason."""
        return sum(len(connection.waiting) for connection in self._connections)

    # Faults

    def stall(self) -> None:
        """From now on take all bytes of both sides and lose them, while connections stand."""
        self._stalled = True
        self.swallowed.clear()

    def resume(self) -> None:
        """Let new connections work; one that has lost bytes stays half open until it is ended."""
        self._stalled = False

    def hold_pubacks(self) -> None:
        """Keep PUBACKs back from now on; ``puback_held`` tells of the first."""
        self._pubacks = _Pubacks.HOLD
        self.puback_held.clear()

    def drop_pubacks(self) -> None:
        """Lose PUBACKs from now on, and those that are kept back."""
        self._pubacks = _Pubacks.DROP
        self.look_again()

    def release_pubacks(self) -> None:
        """Let PUBACKs pass from now on, those that were kept back first."""
        self._pubacks = _Pubacks.PASS
        self.look_again()

    def slow(self, packet_s: float) -> None:
        """Take that long, real time, for each packet from the broker; 0: no time."""
        self._delay_s = packet_s

    def refuse(self) -> None:
        """Reset each new connection."""
        self._refusing = True

    def accept(self) -> None:
        """Take new connections again."""
        self._refusing = False

    def cut(self) -> None:
        """Reset all connections, to both sides."""
        for connection in self._connections:
            _reset(connection.client)
            _reset(connection.broker)

    def look_again(self) -> None:
        """Pass on PUBACKs that may pass by now."""
        for connection in self._connections:
            self._pass_pubacks(connection)

    # Traffic

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if self._refusing or not self._may_connect():
                _reset(client)
                return
            broker_reader, broker = await asyncio.open_connection(*self._broker)
            connection = _Connection(client, broker)
            self._connections.add(connection)
            try:
                await self._relay(connection, reader, broker_reader)
            finally:
                self._connections.discard(connection)
                broker.close()
        except OSError:
            # One side has ended it, or no broker is there.
            pass
        finally:
            client.close()

    async def _relay(
        self,
        connection: _Connection,
        from_client: asyncio.StreamReader,
        from_broker: asyncio.StreamReader,
    ) -> None:
        back = asyncio.create_task(self._carry_back(connection, from_broker))
        forth = asyncio.create_task(self._carry_forth(connection, from_client))
        try:
            await asyncio.wait({back, forth}, return_when=asyncio.FIRST_COMPLETED)
            if connection.half_open:
                # What has become of the broker does not come through to the gateway.
                await forth
        finally:
            for task in (back, forth):
                task.cancel()
            await asyncio.gather(back, forth, return_exceptions=True)

    async def _carry_forth(
        self, connection: _Connection, from_client: asyncio.StreamReader
    ) -> None:
        buffer = bytearray()
        while data := await from_client.read(_CHUNK):
            if self._swallows(connection):
                continue
            buffer += data
            for packet in mqtt_packets.split(buffer):
                self._note(connection, packet)
                connection.broker.write(packet)
            await connection.broker.drain()

    async def _carry_back(self, connection: _Connection, from_broker: asyncio.StreamReader) -> None:
        buffer = bytearray()
        while data := await from_broker.read(_CHUNK):
            if self._swallows(connection):
                continue
            buffer += data
            for packet in mqtt_packets.split(buffer):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if mqtt_packets.kind_of(packet) == PacketKind.PUBACK:
                    self._take_puback(connection, packet)
                else:
                    connection.client.write(packet)
            await connection.client.drain()

    def _swallows(self, connection: _Connection) -> bool:
        if self._stalled:
            connection.half_open = True
            self.swallowed.set()
        return connection.half_open

    def _note(self, connection: _Connection, packet: bytes) -> None:
        match mqtt_packets.kind_of(packet):
            case PacketKind.CONNECT:
                connection.mqtt_5 = mqtt_packets.speaks_5(packet)
            case PacketKind.PUBLISH:
                found = mqtt_packets.published(packet, mqtt_5=connection.mqtt_5)
                if found:
                    packet_id, message = found
                    connection.on_their_way[packet_id] = message

    def _take_puback(self, connection: _Connection, packet: bytes) -> None:
        packet_id, taken = mqtt_packets.acknowledged(packet)
        message = connection.on_their_way.pop(packet_id, None)
        connection.waiting.append((packet, message if taken else None))
        self._pass_pubacks(connection)

    def _pass_pubacks(self, connection: _Connection) -> None:
        waiting = connection.waiting
        if waiting and self._pubacks is _Pubacks.HOLD:
            self.puback_held.set()
            return
        if self._pubacks is _Pubacks.DROP:
            waiting.clear()
        while waiting:
            packet, message = waiting[0]
            if message and not self._may_pass(message):
                self.puback_held.set()
                return
            waiting.popleft()
            if self._swallows(connection):
                continue
            connection.client.write(packet)
            if message:
                self._on_puback(message)


def _reset(writer: asyncio.StreamWriter) -> None:
    # With an RST, as after a crash: what is still on its way is lost.
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
    writer.transport.abort()
