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
from feltpost_gateway.errors import LinkError, StoreError, StoreUnavailableError
from feltpost_gateway.forwarder import Forwarder
from feltpost_gateway.ingest import Ingest
from feltpost_gateway.links.base import Link
from feltpost_gateway.links.serial import SerialLink
from feltpost_gateway.links.udp import UdpLink
from feltpost_gateway.logs import EventLog
from feltpost_gateway.oscore_site import OscoreSite
from feltpost_gateway.security import NodeContext
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, SecurityRow, Transaction

AnyLink = TypeVar("AnyLink", bound=Link)

_DESTINATION = "mqtt"
_PRUNE_INTERVAL_S = 60.0
_PRUNE_MAX_PACKS = 500
_DAY_MS = 86_400_000


class Gateway:
    """One gateway with one configuration; `start` and `stop` once each."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log = EventLog("service")
        self._store = Store(config.store.path)
        self._coap: Context | None = None
        self._udp: UdpLink | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def udp_port(self) -> int | None:
        """The UDP port in use, None without `[udp]`; of interest where port 0 was configured."""
        return self._udp.port if self._udp else None

    async def start(self) -> None:
        """Open the store, then the links.

        Returns when requests are served. Raises `StoreError` or `LinkError`, with nothing left
        open.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        await self._store.open()
        contexts = await self._load_contexts()
        site = OscoreSite(contexts, Ingest(self._store, self._clock).handle, self._store)
        self._coap = Context(serversite=site, loggername="feltpost-coap")
        if self._config.broker is not None:
            forwarder = Forwarder(_DESTINATION, self._config.broker, self._store, self._clock)
            self._spawn(forwarder.run(), "forwarder")
            self._spawn(self._prune(), "prune")
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
            done, _ = await asyncio.wait(
                (stopped, *self._tasks), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
        for task in done:
            task.result()

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

        try:
            loaded = await self._store.write(load)
        except StoreUnavailableError as error:
            raise StoreError(f"the store can't be written to: {error}") from error
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

    async def _prune(self) -> None:
        keep_ms = self._config.store.retention_days * _DAY_MS
        while True:
            deleted = _PRUNE_MAX_PACKS
            while deleted == _PRUNE_MAX_PACKS and self._clock.is_set():
                before_ms = self._clock.now_ms() - keep_ms
                try:
                    deleted = await self._store.write(
                        partial(
                            Transaction.prune,
                            destinations=(_DESTINATION,),
                            before_ms=before_ms,
                            limit=_PRUNE_MAX_PACKS,
                        )
                    )
                except StoreUnavailableError as error:
                    self._log.limited((), "not-pruned", reason=error)
                    break
            await asyncio.sleep(_PRUNE_INTERVAL_S)


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
