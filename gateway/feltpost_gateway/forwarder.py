"""Carries stored packs to one destination, oldest first, each until the broker has it.

The destination's cursor, kept in the store, is the last pack up to which the broker has taken
every one. After a new connection, or a new start, forwarding goes on from there, so a pack may
arrive twice but none is left out.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from feltpost_gateway import senml
from feltpost_gateway.backoff import Backoff
from feltpost_gateway.clock import Clock
from feltpost_gateway.config import BrokerConfig
from feltpost_gateway.errors import (
    BrokerUnavailableError,
    ClockNotSetError,
    PackError,
    StoreUnavailableError,
)
from feltpost_gateway.formats import senml_json
from feltpost_gateway.logs import EventLog
from feltpost_gateway.mqtt import MqttConnection
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import StoredPack, Transaction

# A crash sends again what was acknowledged since the cursor was last stored.
_CURSOR_SAVE_S = 1.0
_ACK_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class _Message:
    topic: str
    payload: bytes
    user_properties: dict[str, str]


class _Window:
    """Packs on their way, in order, and which of them the broker has."""

    def __init__(self) -> None:
        self._acked: OrderedDict[int, bool] = OrderedDict()
        self._pack_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._acked)

    def sent(self, pack_id: int, message_id: int) -> None:
        self._acked[pack_id] = False
        self._pack_of[message_id] = pack_id

    def skipped(self, pack_id: int) -> None:
        self._acked[pack_id] = True

    def acked(self, message_id: int) -> None:
        pack_id = self._pack_of.pop(message_id, None)
        if pack_id is not None:
            self._acked[pack_id] = True

    def pop_delivered(self) -> int | None:
        """Forget the packs at the front that the broker has; return the last one's id."""
        last = None
        while self._acked and self._acked[next(iter(self._acked))]:
            last, _ = self._acked.popitem(last=False)
        return last


class Forwarder:
    """The destination called `name`: one broker, one topic template, one cursor."""

    def __init__(self, name: str, config: BrokerConfig, store: Store, clock: Clock) -> None:
        self.name = name
        self._config = config
        self._store = store
        self._clock = clock
        self._log = EventLog("forwarder")
        self._wake = asyncio.Event()
        self._advanced = asyncio.Event()
        self._backoff = Backoff()
        self._cursor = 0
        self._window = _Window()
        store.on_commit(self._wake.set)

    async def run(self) -> None:
        """Forward until cancelled; whatever the broker does, this goes on."""
        self._cursor = await self._load_cursor()
        saver = asyncio.create_task(self._save_cursors(), name=f"cursor of {self.name}")
        try:
            while True:
                try:
                    await self._forward()
                except (BrokerUnavailableError, StoreUnavailableError) as error:
                    delay_s = self._backoff.next_s()
                    self._log.limited(
                        (str(error),),
                        "not-forwarding",
                        destination=self.name,
                        reason=error,
                        retry_s=round(delay_s, 1),
                    )
                    await asyncio.sleep(delay_s)
        finally:
            saver.cancel()
            await asyncio.gather(saver, return_exceptions=True)
            await self._save_cursor()

    async def _load_cursor(self) -> int:
        while True:
            try:
                return await self._store.load_cursor(self.name)
            except StoreUnavailableError as error:
                self._log.limited((), "cursor-not-read", destination=self.name, reason=error)
                await asyncio.sleep(self._backoff.next_s())

    async def _forward(self) -> None:
        """Connect and forward; ends only by an exception."""
        window = self._window = _Window()
        connection = MqttConnection(
            self._config, on_ack=self._acker(window), on_lost=self._wake.set
        )
        try:
            await connection.open()
            self._log.info(
                "connected",
                destination=self.name,
                broker=f"{self._config.host}:{self._config.port}",
                after_pack=self._cursor,
            )
            await self._send_packs(connection, window)
        finally:
            await connection.close()

    async def _send_packs(self, connection: MqttConnection, window: _Window) -> None:
        position = self._cursor
        pending: deque[StoredPack] = deque()
        while True:
            self._wake.clear()
            connection.raise_if_lost()
            while len(window) < self._config.window:
                if not pending:
                    pending.extend(await self._store.read_packs(position, self._config.window))
                if not pending:
                    break
                pack = pending.popleft()
                position = pack.id
                await self._send(connection, window, pack)
            # Without anything on its way there is no acknowledgement to miss.
            try:
                async with asyncio.timeout(_ACK_TIMEOUT_S if len(window) else None):
                    await self._wake.wait()
            except TimeoutError:
                raise BrokerUnavailableError(
                    f"broker {self._config.host}:{self._config.port} acknowledged nothing for"
                    f" {_ACK_TIMEOUT_S:.0f} s"
                ) from None

    async def _send(self, connection: MqttConnection, window: _Window, pack: StoredPack) -> None:
        try:
            message = _message(self._config.topic, pack)
        except (PackError, ClockNotSetError) as error:
            # It was read when it came, so the store has gone bad or the rules have changed. One
            # such pack must not hold up all others; it is accounted for as a gap.
            self._log.error(
                "unreadable",
                node=pack.node.name,
                journal=pack.journal,
                seq=pack.first,
                count=pack.count,
                reason=error,
            )
            noted_ms = self._clock.now_ms()

            def note(transaction: Transaction) -> None:
                transaction.note_unreadable(pack.id, noted_ms)

            await self._store.write(note)
            window.skipped(pack.id)
            self._advance(window)
            return
        message_id = connection.publish(
            message.topic, message.payload, senml_json.CONTENT_TYPE, message.user_properties
        )
        window.sent(pack.id, message_id)

    def _acker(self, window: _Window) -> Callable[[int], None]:
        def acked(message_id: int) -> None:
            window.acked(message_id)
            # An acknowledgement that comes late, when a newer connection is in use already,
            # belongs to packs which that one sends again.
            if window is self._window:
                self._backoff.reset()
                self._advance(window)

        return acked

    def _advance(self, window: _Window) -> None:
        delivered = window.pop_delivered()
        if delivered is not None:
            self._cursor = delivered
            self._advanced.set()
        self._wake.set()

    async def _save_cursors(self) -> None:
        while True:
            await self._advanced.wait()
            await self._save_cursor()
            await asyncio.sleep(_CURSOR_SAVE_S)

    async def _save_cursor(self) -> None:
        if not self._advanced.is_set():
            return
        self._advanced.clear()
        cursor = self._cursor
        try:
            await self._store.write(lambda transaction: transaction.save_cursor(self.name, cursor))
        except StoreUnavailableError as error:
            self._advanced.set()
            self._log.limited((), "cursor-not-stored", destination=self.name, reason=error)


def _message(topic: str, pack: StoredPack) -> _Message:
    urn = f"urn:dev:mac:{pack.node.eui64.hex()}"
    records = senml.decode(
        pack.body,
        now_ms=pack.received_ms,
        base_name=f"{urn}_",
        short_floats=pack.journal != 0,
    )
    wanted = records[pack.skip : pack.skip + pack.count]
    if len(wanted) != pack.count:
        raise PackError(f"it has {len(records)} records, not those that were counted")
    return _Message(
        topic.format(owner=pack.node.owner, site=pack.node.site, node=pack.node.name),
        senml_json.format_readings(urn, wanted),
        {
            "node": urn,
            "journal": str(pack.journal),
            "seq": str(pack.first),
            "count": str(pack.count),
        },
    )
