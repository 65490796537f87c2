"""The gateway put together: store, links, OSCORE, ingest, forwarder."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeVar

from aiocoap.messagemanager import MessageManager
from aiocoap.protocol import Context
from aiocoap.tokenmanager import TokenManager

from feltpost_gateway.clock import Clock
from feltpost_gateway.config import Config
from feltpost_gateway.errors import LinkError, StoreUnavailableError
from feltpost_gateway.forwarder import Forwarder
from feltpost_gateway.housekeeping import Housekeeper
from feltpost_gateway.ingest import Ingest
from feltpost_gateway.links.base import Link
from feltpost_gateway.links.serial import SerialLink
from feltpost_gateway.links.udp import UdpLink
from feltpost_gateway.logs import EventLog
from feltpost_gateway.oscore_site import OscoreSite
from feltpost_gateway.security import NodeContext
from feltpost_gateway.space import Limits
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, SecurityRow, Transaction
from feltpost_gateway.waiting import WaitingContext, refuse

AnyLink = TypeVar("AnyLink", bound=Link)

_DESTINATION = "mqtt"
_STORE_RETRY_S = 5.0
_CLOCK_LOOK_S = 5.0
_MIB = 1 << 20


class Gateway:
    """One gateway with one configuration; `start` and `stop` once each."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log = EventLog("service")
        self._store = Store(
            config.store.path,
            Limits(
                max_bytes=config.store.max_size_mib * _MIB,
                min_free_bytes=config.store.min_free_mib * _MIB,
                evict=config.store.when_full == "evict-oldest",
            ),
        )
        self._coap: Context | None = None
        self._udp: UdpLink | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def udp_port(self) -> int | None:
        """The UDP port in use, None without `[udp]`; of interest where port 0 was configured."""
        return self._udp.port if self._udp else None

    async def start(self) -> None:
        """Open the store, then the links.

        Returns when requests are answered. Where the store can't be opened for now they are
        refused (5.03) until it can. Raises `StoreError` or `LinkError`, with nothing left open.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._coap = Context(loggername="feltpost-coap")
        try:
            await self._open_store()
        except StoreUnavailableError as error:
            self._log.error("store-not-open", reason=error, retry_s=_STORE_RETRY_S)
            contexts = {node.key_id: WaitingContext(node) for node in self._config.nodes}
            self._coap.serversite = OscoreSite(contexts, refuse, self._store)
            self._spawn(self._open_store_later(), "store")
        self._add_links()
        if not self._clock.is_set():
            self._log.warning("clock-not-set", retry_s=_CLOCK_LOOK_S)
            self._spawn(self._await_clock(), "clock")

    async def _await_clock(self) -> None:
        # Nodes keep their readings meanwhile, or send them without a time of ours.
        while not self._clock.is_set():  # noqa: ASYNC110 - the kernel tells nobody of it
            await asyncio.sleep(_CLOCK_LOOK_S)
        self._log.info("clock-set")

    async def _open_store(self) -> None:
        """Open the store and begin what needs it; raise `StoreUnavailableError` with it closed."""
        assert self._coap is not None
        await self._store.open()
        try:
            contexts = await self._load_contexts()
        except StoreUnavailableError:
            await self._store.close()
            raise
        site = OscoreSite(contexts, Ingest(self._store, self._clock).handle, self._store)
        self._coap.serversite = site
        self._spawn(self._store.run(), "store")
        destinations = (_DESTINATION,) if self._config.broker is not None else ()
        self._store.set_destinations(destinations)
        if self._config.broker is not None:
            forwarder = Forwarder(_DESTINATION, self._config.broker, self._store, self._clock)
            self._spawn(forwarder.run(), "forwarder")
        keep_days = self._config.store.retention_days
        housekeeper = Housekeeper(self._store, self._clock, keep_days, destinations)
        self._spawn(housekeeper.run(), "housekeeper")

    async def _open_store_later(self) -> None:
        while True:
            await asyncio.sleep(_STORE_RETRY_S)
            try:
                await self._open_store()
            except StoreUnavailableError as error:
                self._log.limited((), "store-not-open", reason=error, retry_s=_STORE_RETRY_S)
            else:
                self._log.info("store-open")
                return

    def _add_links(self) -> None:
        if self._config.udp is not None:
            udp = self._config.udp
            try:
                self._udp = self._add_link(partial(UdpLink, config=udp))
            except OSError as error:
                raise LinkError(
                    f"udp {udp.bind} port {udp.port} can't be listened on: {error}. Is another"
                    " program using it?"
                ) from error
        for serial in self._config.serial:
            self._add_link(partial(SerialLink, config=serial))

    async def stop(self) -> None:
        """Close the links, store what is under way, and close the store."""
        coap, self._coap = self._coap, None
        if coap is not None and coap.request_interfaces:
            await coap.shutdown()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set; raise what ended a part of the gateway that must not end."""
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stopped.done():
                # More parts begin when a store that could not be opened at the start can be.
                done, _ = await asyncio.wait(
                    (stopped, *(task for task in self._tasks if not task.done())),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    task.result()
        finally:
            stopped.cancel()

    def _spawn(self, coroutine: Coroutine[None, None, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(coroutine, name=name))

    async def _load_contexts(self) -> dict[bytes, NodeContext]:
        nodes = self._config.nodes

        def load(transaction: Transaction) -> list[tuple[NodeContext, SecurityRow]]:
            loaded = []
            for node in nodes:
                node_id = transaction.register_node(
                    NodeRow(node.eui64, node.name, node.owner, node.site)
                )
                context = NodeContext(node, node_id)
                loaded.append((context, context.load(transaction)))
            return loaded

        loaded = await self._store.write(load)
        for context, row in loaded:
            context.start(row)
        return {context.recipient_id: context for context, _ in loaded}

    def _add_link(self, make: Callable[[MessageManager], AnyLink]) -> AnyLink:
        """Build aiocoap's layers for one link, each of which has message ids of its own."""
        assert self._coap is not None
        token_manager = TokenManager(self._coap)
        message_manager = MessageManager(token_manager)
        link = make(message_manager)
        message_manager.message_interface = link  # type: ignore[attr-defined]
        token_manager.token_interface = message_manager  # type: ignore[attr-defined]
        self._coap.request_interfaces.append(token_manager)
        return link


async def serve(config: Config, clock: Clock) -> None:
    """Run a gateway until SIGTERM or SIGINT."""
    log = EventLog("service")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(config, clock)
    await gateway.start()
    try:
        log.info("ready", nodes=len(config.nodes), udp_port=gateway.udp_port)
        await gateway.run(stop)
    finally:
        await gateway.stop()
        log.info("stopped")
