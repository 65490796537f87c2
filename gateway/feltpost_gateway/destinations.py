"""All destinations: begun, changed and ended while the gateway runs."""

import asyncio
from collections.abc import Callable, Sequence

from feltpost_gateway.announcement import Announcement
from feltpost_gateway.clock import Clock
from feltpost_gateway.delivery import retry_dead_letters, settle_destinations
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.directory import Directory
from feltpost_gateway.events import Events
from feltpost_gateway.forwarder import DestinationState, Forwarder
from feltpost_gateway.logs import EventLog
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Transaction


class Destinations:
    """Runs a forwarder for each destination of the configuration.

    `events` are told on the status topics; `on_change` gets the destinations' names whenever they
    change.
    """

    def __init__(
        self,
        store: Store,
        directory: Directory,
        clock: Clock,
        events: Events,
        on_change: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._events = events
        self._on_change = on_change
        self._log = EventLog("forwarder")
        self._running: dict[str, tuple[Forwarder, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        self._applying = asyncio.Lock()
        store.on_commit(self._wake)
        events.on_change(lambda _: self.tell_status())

    async def apply(self, configs: Sequence[DestinationConfig]) -> None:
        """Have these destinations and no others.

        Those whose configuration has changed go on with the new one where they are. Raises
        `StoreUnavailableError` where nothing could be noted; the changed ones stand still then,
        until this is called again.
        """
        async with self._applying:
            wanted = {config.name: config for config in configs}
            for name, (forwarder, _) in list(self._running.items()):
                if wanted.get(name) != forwarder.config:
                    await self._end(name)

            # A new one may begin where the others are.
            for forwarder, _ in self._running.values():
                await forwarder.save_position()

            def settle(transaction: Transaction) -> None:
                settle_destinations(transaction.connection, configs)

            await self._store.write(settle)
            self._store.set_destinations(wanted)
            self._on_change(tuple(wanted))
            for name, config in wanted.items():
                if name not in self._running:
                    self._begin(config)

    async def retry(self, name: str) -> int:
        """Send a destination what it refused once more; return how many messages those are.

        Raises `KeyError` for a destination that there isn't, and `StoreUnavailableError`.
        """
        async with self._applying:
            config = self._running[name][0].config
            await self._end(name)
            try:
                return await self._store.write(
                    lambda transaction: retry_dead_letters(transaction.connection, name)
                )
            finally:
                self._begin(config)

    async def run(self) -> None:
        """Wait, and raise what ended a forwarder that must not end."""
        while True:
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            tasks = [task for _, task in self._running.values()]
            try:
                await asyncio.wait((changed, *tasks), return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            for _, task in self._running.values():
                if task.done() and not task.cancelled():
                    task.result()

    async def stop(self) -> None:
        """End all forwarders, after a moment for what is on its way."""
        await asyncio.gather(*(self._end(name) for name in list(self._running)))

    def states(self) -> list[DestinationState]:
        """Return how it is with each destination."""
        return [forwarder.state() for forwarder, _ in self._running.values()]

    def tell_status(self) -> None:
        """Have the status topics say how things are, where that is not what they say already.

        After each change of the registry, too: a node may be another owner's now.
        """
        for forwarder, _ in self._running.values():
            forwarder.status_changed()

    def _begin(self, config: DestinationConfig) -> None:
        status = Announcement(config, self._directory, self._events).payload
        forwarder = Forwarder(config, self._store, self._directory, self._clock, status)
        task = asyncio.create_task(forwarder.run(), name=f"destination {config.name}")
        self._running[config.name] = (forwarder, task)
        self._changed.set()

    async def _end(self, name: str) -> None:
        forwarder, task = self._running.pop(name)
        await forwarder.stop(task)

    def _wake(self) -> None:
        for forwarder, _ in self._running.values():
            forwarder.woken()
