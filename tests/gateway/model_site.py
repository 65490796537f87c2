"""A gateway for the model: the whole of it in this process, with its brokers, its clock, its disk.

It runs only while one of the methods does. A crash leaves what the store's file and its log have at
that moment: they are copied, with the writer held so that no commit is half in the copy, and a new
gateway goes on from the copy. The old one is ended behind its brokers' and its node's back.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.gateway.conftest import FixedClock, make_config
from tests.gateway.disks import in_memory
from tests.gateway.fake_broker import until
from tests.gateway.model_broker import ModelBroker
from tests.gateway.model_gate import Gate
from tests.gateway.model_node import Reply, Request
from tests.gateway.model_view import View, look, unused_bytes
from tests.gateway.model_wire import Fate, Sent, Wire

from feltpost_gateway import backoff, forwarder, progress, rate, service, space
from feltpost_gateway.delivery import drop_dead_letters
from feltpost_gateway.errors import BrokerUnavailableError
from feltpost_gateway.housekeeping import Housekeeper
from feltpost_gateway.service import Gateway

DESTINATIONS = ("a", "b")

_PLENTY_BYTES = 1 << 40
# A step of the model takes milliseconds.
_STUCK_S = 15


_SENT_AGAIN = (Fate.CRASH_BEFORE_COMMIT_AGAIN, Fate.CRASH_AFTER_COMMIT_AGAIN)


class Site:
    """A gateway that evicts or refuses when its disk is full, in a directory of its own."""

    def __init__(self, evicts: bool, backlog_packs: int | None) -> None:
        """`backlog_packs` is how many packs make a backlog, None for as many as usual."""
        self._resources = ExitStack()
        # Nobody cuts the gateway's power here: the disk need not be one.
        self._directory = self._resources.enter_context(in_memory())
        self._starts = 0
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note_failure)
        self._failures: list[dict[str, Any]] = []
        self._patch = pytest.MonkeyPatch()
        self._speed_up(backlog_packs)
        self._when_full = "evict-oldest" if evicts else "refuse"
        self._wire = Wire()
        self._free_bytes = _PLENTY_BYTES
        self._gateway: Gateway
        self._housekeeper: Housekeeper
        self._gate: Gate
        self.clock = FixedClock()
        self.brokers = {name: ModelBroker() for name in DESTINATIONS}
        self.configured = DESTINATIONS
        self._run(self._open())

    def close(self) -> None:
        """End everything; what is left of the site is of no use."""
        try:
            self._run(self._close())
        finally:
            self._patch.undo()
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            self._resources.close()

    # What the node does.

    def exchange(self, request: Request, fate: Fate) -> Reply | None:
        """Carry a request and return what the node gets; None for no answer."""
        return self._run(self._exchange(request, fate))

    def replay(self, which: int) -> None:
        """Send a datagram once more that was sent before, as anybody may."""
        self._run(self._wire.replay(which))

    # What happens to the gateway.

    def crash(self) -> None:
        self._run(self._crash(None))

    def restart(self) -> None:
        self._run(self._restart())

    def tidy(self) -> None:
        self._run(self._housekeeper.tidy())

    def configure(self, names: tuple[str, ...]) -> None:
        """Have these destinations and no others."""
        self.configured = names
        self._run(self._gateway.reload(self._config()))
        for broker in self.brokers.values():
            broker.forget()

    def retry(self, name: str) -> None:
        """Have a destination get what it refused once more."""
        self._run(self._gateway.retry_refused(name))
        self.brokers[name].forget()

    def drop_refused(self, name: str) -> None:
        """Forget what a destination refused."""
        self._run(self._gateway._store.write(lambda t: drop_dead_letters(t.connection, name)))

    def fill_disk(self, short_bytes: int) -> None:
        """Leave the store so much less room than it wants before it takes readings."""
        self._free_bytes = max(0, space.ROOM_BYTES - unused_bytes(self.path) - short_bytes)

    def empty_disk(self) -> None:
        self._free_bytes = _PLENTY_BYTES

    # What happens to the brokers.

    def cut(self, name: str) -> None:
        """Reset a broker's connections."""
        self._run(self.brokers[name].shut())
        self.brokers[name].reopen()

    def deliver(self) -> None:
        """Let each broker that is well get what is stored."""
        try:
            self._run(self._deliver())
        except TimeoutError:
            states = [(state.name, state.position) for state in self._gateway.destinations]
            raise AssertionError(f"a broker does not get what is stored: {states}") from None

    @property
    def path(self) -> Path:
        """The store's file."""
        return self._directory / str(self._starts) / "feltpost.db"

    def view(self) -> View:
        return look(self.path)

    def _run(self, coroutine: Any) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(_STUCK_S):
                return await coroutine

        result = self._loop.run_until_complete(bounded())
        assert not self._failures, self._failures
        return result

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A connection that is given up while it is made leaves its failure to nobody.
        if not isinstance(context.get("exception"), BrokerUnavailableError):
            self._failures.append(context)

    def _speed_up(self, backlog_packs: int | None) -> None:
        patch = self._patch
        # The logs of hundreds of gateways would bury the steps of a failure.
        patch.setattr(logging.root.manager, "disable", logging.CRITICAL)
        patch.setattr(backoff, "_FIRST_S", 0.002)
        patch.setattr(backoff, "_CAP_S", 0.01)
        patch.setattr(rate, "_SOME_MESSAGES", 1 << 30)
        # What a destination has is stored with the next commit, however soon or late that is.
        patch.setattr(forwarder, "_SAVE_S", 0.0)
        patch.setattr(forwarder, "_SHARE_S", 3_600.0)
        patch.setattr(forwarder, "_LAST_ACKS_S", 0.02)
        # So that an eviction leaves something over.
        patch.setattr(space, "_EVICT_PACKS", 2)
        patch.setattr(space, "os", SimpleNamespace(statvfs=self._statvfs))
        patch.setattr(service, "Housekeeper", self._make_housekeeper)
        if backlog_packs is not None:
            patch.setattr(progress, "BACKLOG_PACKS", backlog_packs)

    def _statvfs(self, _path: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=self._free_bytes, f_frsize=1)

    def _make_housekeeper(self, *arguments: Any) -> Housekeeper:
        self._housekeeper = Housekeeper(*arguments)
        return self._housekeeper

    def _config(self) -> Any:
        return make_config(
            self.path.parent,
            store={
                "path": str(self.path),
                "retention_days": 0,
                "min_free_mib": 0,
                "when_full": self._when_full,
            },
            destinations=[
                {
                    "name": name,
                    "host": "127.0.0.1",
                    "port": self.brokers[name].port,
                    "client_id": name,
                }
                for name in self.configured
            ],
        )

    async def _open(self) -> None:
        for broker in self.brokers.values():
            await broker.start()
        self.path.parent.mkdir()
        await self._start()

    async def _close(self) -> None:
        await self._stop()
        for broker in self.brokers.values():
            await broker.stop()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _start(self) -> None:
        for broker in self.brokers.values():
            broker.forget()
        self._gateway = Gateway(self._config(), self.clock)
        await self._gateway.start()
        store = self._gateway._store
        store._writer = self._gate = Gate(store._writer)  # type: ignore[assignment]
        assert self._gateway.udp_port is not None
        await self._wire.connect(self._gateway.udp_port)

    async def _stop(self) -> None:
        self._wire.close()
        await self._gateway.stop()

    async def _restart(self) -> None:
        await self._stop()
        await self._start()

    async def _crash(self, last: Sent | None) -> Reply | None:
        """Crash, with the writer held since before `last` came; return what was answered to it."""
        early = None
        with self._gate.lock:
            if last is not None:
                self._wire.send(last)
                early = await self._wire.answer_so_far(last)
            before = self.path.parent
            self._starts += 1
            self.path.parent.mkdir()
            for name in ("feltpost.db", "feltpost.db-wal"):
                shutil.copy(before / name, self.path.parent / name)
            for broker in self.brokers.values():
                await broker.shut()
        await self._stop()
        for broker in self.brokers.values():
            broker.reopen()
        await self._start()
        return early

    async def _exchange(self, request: Request, fate: Fate) -> Reply | None:
        wire = self._wire
        sent = wire.protect(request)
        match fate:
            case Fate.REQUEST_LOST:
                return None
            case Fate.LATE:
                with self._gate.lock:
                    wire.send(sent)
                    return await wire.answer_so_far(sent)
            case Fate.CRASH_BEFORE_COMMIT | Fate.CRASH_BEFORE_COMMIT_AGAIN:
                reply = await self._crash(sent)
            case _:
                wire.send(sent)
                if fate is Fate.TWICE:
                    wire.send(sent)
                reply = await wire.receive(sent)
        match fate:
            case Fate.ANSWER_LOST:
                return None
            case Fate.CRASH_AFTER_COMMIT | Fate.CRASH_AFTER_COMMIT_AGAIN:
                await self._crash(None)
                reply = None
        if reply is None and fate in _SENT_AGAIN:
            wire.send(sent)
            reply = await wire.receive(sent)
        return reply

    async def _deliver(self) -> None:
        for name in self.configured:
            if not self.brokers[name].is_away:
                await until(lambda name=name: self._is_through(name))
        # So that where the destinations are is handed to the store, for its next commit.
        for _ in range(10):
            await asyncio.sleep(0)

    def _is_through(self, name: str) -> bool:
        """Tell whether a broker has everything, or owes the PUBACK of something."""
        (state,) = (state for state in self._gateway.destinations if state.name == name)
        if state.on_their_way:
            return self.brokers[name].owes
        had = ((0, state.position.cursor), *state.position.ahead)
        return all(
            any(after < pack_id <= upto for after, upto in had) for pack_id in self.view().packs
        )
