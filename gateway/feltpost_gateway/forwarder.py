"""Carries stored packs to one destination, each until the broker has it.

New readings go before those that waited long, and both in the order of the store. What the
destination has is noted in the store (`progress`, `delivery`). After a new connection, or a new
start, forwarding goes on from there, so a pack may arrive twice but none is left out.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from feltpost_gateway import connections as connecting
from feltpost_gateway.accounts import Accounts
from feltpost_gateway.backoff import Backoff
from feltpost_gateway.clock import Clock
from feltpost_gateway.connections import Connections, Refusals
from feltpost_gateway.delivery import load_position, newest_pack, save_position
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.directory import Directory
from feltpost_gateway.errors import (
    BrokerClosedError,
    BrokerSilentError,
    BrokerUnavailableError,
    MessageRefusedError,
    StoreUnavailableError,
)
from feltpost_gateway.logs import EventLog
from feltpost_gateway.progress import Lane, Position, Progress
from feltpost_gateway.rate import Pace, Rate
from feltpost_gateway.store import Store
from feltpost_gateway.suspects import Suspects
from feltpost_gateway.tls_watch import TlsWatch
from feltpost_gateway.transaction import Transaction
from feltpost_gateway.walk import Item, Office, Walk

# A crash sends again what was acknowledged since the position was last stored.
_SAVE_S = 2.0
# How long the position waits for the commit of a request, to share it.
_SHARE_S = 1.0

# What changes on the status topic in less time is said together.
_STATUS_S = 2.0

_ACK_TIMEOUT_S = 60.0
_LAST_ACKS_S = 2.0


@dataclass(frozen=True)
class DestinationState:
    """How it is with a destination.

    `trouble` is why it is not connected. `taken` and `refused` count messages since the start.
    """

    name: str
    connected: bool
    trouble: str | None
    position: Position
    on_their_way: int
    taken: int
    refused: int


@dataclass(frozen=True)
class _Sent:
    lane: Lane
    item: Item
    at_s: float


class Forwarder:
    """One destination: its connections, its window, and where it is."""

    def __init__(
        self,
        config: DestinationConfig,
        store: Store,
        directory: Directory,
        clock: Clock,
        status: Callable[[], bytes],
    ) -> None:
        """`status` returns what the status topic is to say while the destination is connected."""
        self.config = config
        self._status = status
        self._store = store
        self._accounts = Accounts(config)
        self._office = Office(config, self._accounts, store, directory, clock, self._note_progress)
        self._log = EventLog("forwarder")
        self._tls = TlsWatch(config.name, config.all_tls_files, clock, self._renew)
        self._wake = asyncio.Event()
        self._advanced = asyncio.Event()
        self._status_changed = asyncio.Event()
        self._connections: Connections | None = None
        self._backoff = Backoff()
        self._rate = Rate(config.max_rate)
        self._backlog_rate = Rate(config.backlog_rate)
        self._pace = Pace()
        self._suspects = Suspects()
        self._refusals: Refusals = {}
        self._tokens = count()
        self._saved = Position(0)
        self._progress = Progress(self._saved)
        self._live = Walk(self._progress.live, self._office)
        self._backlog: Walk | None = None
        self._flight: OrderedDict[int, _Sent] = OrderedDict()
        self._refused: deque[tuple[Lane, list[Item], str]] = deque()
        self._trouble: str | None = "not connected yet"
        self._taken = 0
        self._renewing = False
        self._stopping = False

    async def run(self) -> None:
        """Forward until `stop`, or until cancelled; whatever the broker does, this goes on."""
        self._saved = await self._load_position()
        self._progress = Progress(self._saved)
        tasks = [
            asyncio.create_task(self._save_positions(), name=f"{self.config.name} position"),
            asyncio.create_task(self._publish_status(), name=f"{self.config.name} status"),
        ]
        if self.config.tls:
            tasks.append(asyncio.create_task(self._tls.run(), name=f"{self.config.name} TLS"))
        try:
            while not self._stopping:
                try:
                    await self._forward()
                except (BrokerUnavailableError, StoreUnavailableError) as error:
                    await self._pause(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.save_position()
            # Where it is may be changed in the store from now on.
            self._store.set_handover(self.config.name, None)

    async def stop(self, task: "asyncio.Task[None]") -> None:
        """End `task`, in which `run` is; wait a moment for what is on its way."""
        self._stopping = True
        self._wake.set()
        await asyncio.wait({task}, timeout=_LAST_ACKS_S if self._flight else 0)
        task.cancel()
        await asyncio.wait({task})

    def woken(self) -> None:
        """Note that the store may have new packs."""
        self._live.woken()
        self._wake.set()

    def status_changed(self) -> None:
        """Note that the status topic may have something else to say."""
        self._status_changed.set()

    def state(self) -> DestinationState:
        """Return how it is with the destination."""
        return DestinationState(
            name=self.config.name,
            connected=self._trouble is None,
            trouble=self._trouble,
            position=self._progress.position(),
            on_their_way=len(self._flight),
            taken=self._taken,
            refused=self._office.refused,
        )

    # What a connection tells.

    def taken(self, token: int) -> None:
        """Note that the broker has a message."""
        sent = self._answered(token)
        if sent is not None:
            self._taken += 1
            self._pace.acknowledged += 1
            self._backoff.reset()
            self._settle(sent.lane, [sent.item])

    def refused(self, token: int, reason: str) -> None:
        """Note that the broker does not take a message, nor will it."""
        sent = self._answered(token)
        if sent is not None:
            self._refused.append((sent.lane, [sent.item], f"the broker refused it: {reason}"))

    def lost(self) -> None:
        """Note that the connection is of no more use."""
        self._wake.set()

    def _answered(self, token: int) -> _Sent | None:
        # An answer that comes late, when a newer connection is in use already, is for a message
        # that goes out again.
        sent = self._flight.pop(token, None)
        if sent is None:
            return None
        walks = [walk for walk in (self._live, self._backlog) if walk is not None and walk.aside]
        if self._suspects.taken(sent.item.key, was_left_out=bool(walks)):
            for walk in walks:
                walk.send_aside()
        self._wake.set()
        return sent

    def _settle(self, lane: Lane, items: list[Item]) -> None:
        for item in items:
            lane.acknowledged(item.pack_id)
        self._wake.set()

    # One connection after another.

    async def _pause(self, error: Exception) -> None:
        delay_s = self._backoff.next_s()
        self._trouble = str(error)
        self._log.limited(
            (self._trouble,),
            "not-forwarding",
            destination=self.config.name,
            reason=error,
            retry_s=round(delay_s, 1),
        )
        await asyncio.sleep(delay_s)

    async def _forward(self) -> None:
        """Connect and forward; ends by an exception, or where a new connection is asked for."""
        self._progress.restart(await self._store.read(newest_pack))
        self._live = Walk(self._progress.live, self._office)
        self._backlog = None
        self._refused.clear()
        self._renewing = False
        connections = connecting.make(
            self.config, self._accounts, self, self._status, self._refusals
        )
        try:
            await connections.open()
            self._connections = connections
            self._pace.begin()
            self._trouble = None
            self._tls.warn(connections.expiries())
            self._log.info(
                "connected",
                destination=self.config.name,
                broker=self.config.broker,
                after_pack=self._progress.position().cursor,
                backlogs=len(self._progress.backlogs),
            )
            await self._pump(connections)
        except BrokerUnavailableError as error:
            self._note_broken(error)
            raise
        finally:
            self._connections = None
            self._flight.clear()
            self._note_progress()
            await connections.close()

    def _note_broken(self, error: BrokerUnavailableError) -> None:
        if not self._flight or not isinstance(error, BrokerClosedError | BrokerSilentError):
            return
        on_their_way = {sent.item.key for sent in self._flight.values()}
        self._suspects.lost(on_their_way, self._pace.acknowledged)
        if not isinstance(error, BrokerClosedError):
            return
        if self._pace.broke(error.too_fast):
            self._log.limited(
                (),
                "slowing-down",
                destination=self.config.name,
                messages_per_s=round(self._pace.per_s or 0, 1),
                reason=error,
            )

    async def _pump(self, connections: Connections) -> None:
        """Send what is to be sent, until something is wrong or a new connection is asked for."""
        while True:
            self._wake.clear()
            self._note_progress()
            # First: a broker may hang up just after a refusal, and would do so again.
            await self._write_refused()
            await connections.check()
            until_s = self._raise_if_overdue()
            if self._renewing or self._stopping:
                if not self._flight:
                    return
            else:
                wait_s = await self._fill(connections)
                if wait_s is not None:
                    next_s = time.monotonic() + wait_s
                    until_s = next_s if until_s is None else min(until_s, next_s)
            try:
                timeout_s = None if until_s is None else max(0.0, until_s - time.monotonic())
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _raise_if_overdue(self) -> float | None:
        """Return when the oldest acknowledgement is due, None where none is."""
        if not self._flight:
            return None
        due_s = next(iter(self._flight.values())).at_s + _ACK_TIMEOUT_S
        if time.monotonic() < due_s:
            return due_s
        raise BrokerSilentError(
            f"broker {self.config.broker} did not acknowledge a message in {_ACK_TIMEOUT_S:.0f} s"
        )

    async def _write_refused(self) -> None:
        while self._refused:
            lane, items, reason = self._refused[0]
            for item in items:
                await self._office.note_refused(item.pack_id, item.seqs, item.message.topic, reason)
            self._refused.popleft()
            self._settle(lane, items)

    # What goes next.

    async def _fill(self, connections: Connections) -> float | None:
        """Send until the window is full or nothing may go; return when more may, in seconds."""
        while True:
            window = 1 if self._suspects.cautious else self.config.window
            if len(self._flight) >= window:
                return None
            wait_s = max(self._rate.wait_s(), self._pace.wait_s())
            if wait_s:
                return wait_s
            walk = self._live
            item = await self._next(walk)
            if item is None and self._live.idle:
                backlog = self._backlog_walk()
                if backlog is None:
                    self._note_idle()
                    return None
                if self._sent_of(backlog.lane) >= max(1, window // 2):
                    return None
                wait_s = self._backlog_rate.wait_s()
                if wait_s:
                    return wait_s
                walk = backlog
                item = await self._next(walk)
                if item is None and backlog.idle and not backlog.lane.done:
                    self._note_idle()
                    return None
            if item is not None and not await self._send(connections, walk, item):
                return None

    async def _next(self, walk: Walk) -> Item | None:
        """Return the walk's next message, as `Walk.next`; give up those that break connections."""
        item = await walk.next(self._suspects.set_aside)
        if walk.aside and self._suspects.is_guilty:
            reason = "the broker ends the connection each time it is sent"
            self._refused.append((walk.lane, walk.aside, reason))
            walk.aside = []
            self._suspects.given_up()
            await self._write_refused()
        return item

    def _backlog_walk(self) -> Walk | None:
        lane = self._progress.backlog()
        if lane is None:
            self._backlog = None
        elif self._backlog is None or self._backlog.lane is not lane:
            self._backlog = Walk(lane, self._office)
        return self._backlog

    def _sent_of(self, lane: Lane) -> int:
        return sum(sent.lane is lane for sent in self._flight.values())

    def _note_idle(self) -> None:
        # A suspect may have been deleted meanwhile, and never be sent again.
        if not self._flight and self._suspects.set_aside is None:
            self._suspects.clear()

    async def _send(self, connections: Connections, walk: Walk, item: Item) -> bool:
        """Send a message; return False where that has to wait for an acknowledgement."""
        try:
            connection = await connections.of(item.node)
            if connection is None:
                return False
            token = next(self._tokens)
            connection.publish(item.message, token)
        except MessageRefusedError as error:
            self._refused.append((walk.lane, [item], str(error)))
            walk.pop()
            await self._write_refused()
            return True
        self._flight[token] = _Sent(walk.lane, item, time.monotonic())
        walk.pop()
        self._rate.take()
        self._pace.take()
        if walk is not self._live:
            self._backlog_rate.take()
        return True

    # Where the destination is, and its TLS files.

    def _note_progress(self) -> None:
        """Tell the store what the destination has, may have or may get, and have that written."""
        handover = self._progress.handover()
        self._store.set_handover(self.config.name, handover)
        if handover.position != self._saved:
            self._advanced.set()

    async def _load_position(self) -> Position:
        name = self.config.name
        while True:
            try:
                return await self._store.read(lambda reader: load_position(reader, name))
            except StoreUnavailableError as error:
                self._log.limited((), "position-not-read", destination=name, reason=error)
                await asyncio.sleep(self._backoff.next_s())

    async def _save_positions(self) -> None:
        while True:
            await self._advanced.wait()
            await self.save_position(patience_s=_SHARE_S)
            await asyncio.sleep(_SAVE_S)

    async def save_position(self, patience_s: float = 0.0) -> None:
        """Store where the destination is, if that has changed; it is tried again where it fails.

        With `patience_s` that may wait for the commit of a request, which spares the disk one.
        """
        self._advanced.clear()
        name, handover = self.config.name, self._progress.handover()
        position = handover.position
        if position == self._saved:
            return
        # An eviction would store an older one after it.
        self._store.set_handover(name, handover)

        def save(transaction: Transaction) -> None:
            save_position(transaction.connection, name, position)

        try:
            await self._store.write(save, patience_s=patience_s)
        except StoreUnavailableError as error:
            self._advanced.set()
            self._log.limited((), "position-not-stored", destination=name, reason=error)
        else:
            self._saved = position

    async def _publish_status(self) -> None:
        while True:
            await self._status_changed.wait()
            self._status_changed.clear()
            # A new connection says it by itself.
            if self._connections is not None:
                self._connections.publish_status()
            await asyncio.sleep(_STATUS_S)

    def _renew(self) -> None:
        self._refusals.clear()
        self._renewing = True
        self._wake.set()
