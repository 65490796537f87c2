"""The gateway put together: store, links, OSCORE, ingest, forwarder."""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeVar

from aiocoap.messagemanager import MessageManager
from aiocoap.protocol import Context
from aiocoap.tokenmanager import TokenManager

from feltpost_gateway.clock import Clock
from feltpost_gateway.commands import Commands
from feltpost_gateway.config import Config
from feltpost_gateway.control import ControlServer, socket_path
from feltpost_gateway.destinations import Destinations
from feltpost_gateway.enrol_access import Codes
from feltpost_gateway.enrol_commands import EnrolCommands
from feltpost_gateway.enrol_resource import EnrolResource
from feltpost_gateway.enrolling import Enroller
from feltpost_gateway.errors import ConfigError, LinkError, StoreUnavailableError
from feltpost_gateway.exposition import Figures, MetricsServer
from feltpost_gateway.forwarder import DestinationState
from feltpost_gateway.housekeeping import Housekeeper
from feltpost_gateway.ingest import Ingest
from feltpost_gateway.links.base import Link
from feltpost_gateway.links.serial import SerialLink
from feltpost_gateway.links.udp import UdpLink
from feltpost_gateway.logs import EventLog
from feltpost_gateway.mailbox import Mailbox
from feltpost_gateway.oscore_site import OscoreSite
from feltpost_gateway.registry import Registry
from feltpost_gateway.short_path import ShortPath
from feltpost_gateway.space import Limits
from feltpost_gateway.store import Store
from feltpost_gateway.symptoms import Bounds
from feltpost_gateway.systemd import Supervisor
from feltpost_gateway.traffic import Traffic
from feltpost_gateway.waiting import WaitingContext, refuse
from feltpost_gateway.watch import Watch
from feltpost_gateway.watchdog import Watchdog

AnyLink = TypeVar("AnyLink", bound=Link)

_STORE_RETRY_S = 5.0
_CLOCK_LOOK_S = 5.0
# Objects made and not freed between two looks at the young ones; some hundred requests.
_GC_FIRST = 20_000
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
        self._registry = Registry(self._store, clock)
        enroller = Enroller(self._registry, clock)
        self._codes = Codes()
        self.watch = Watch(
            self._store,
            clock,
            Bounds(config.events.battery_volts, config.events.battery_percent),
            config.all_destinations,
        )
        self.traffic = Traffic(
            Ingest(self._store, clock, self.watch, Mailbox(self._registry)).handle,
            lambda context: self.watch.heard(context.node_id, context.node.name),
        )
        others = EnrolCommands(enroller, self._codes).by_name
        commands = Commands(
            self._registry,
            self._store,
            clock,
            self.retry_refused,
            {**others, "count-refused": self.traffic.read_refused},
        )
        self._control = ControlServer(socket_path(config.store.path), commands.call)
        self._enrolment = EnrolResource(enroller, self.traffic.handle)
        self._metrics: MetricsServer | None = None
        self._coap: Context | None = None
        self._short_path = ShortPath()
        self._udp: UdpLink | None = None
        self._destinations: Destinations | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_open = asyncio.Event()

    @property
    def udp_port(self) -> int | None:
        """The UDP port in use, None without `[udp]`; of interest where port 0 was configured."""
        return self._udp.port if self._udp else None

    @property
    def nodes(self) -> int:
        """How many nodes the registry has, 0 while the store is not open."""
        return len(self._registry.nodes)

    @property
    def destinations(self) -> list[DestinationState]:
        """How it is with each destination, none while the store is not open."""
        return [] if self._destinations is None else self._destinations.states()

    @property
    def metrics_port(self) -> int | None:
        """The port of the figures, None without `[metrics]`."""
        return self._metrics.port if self._metrics else None

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
            refused = self.traffic.refused
            self._coap.serversite = OscoreSite(contexts, refuse, self._store, refused)
            self.spawn(self._open_store_later(), "store")
        self._add_links()
        if self._config.metrics is not None:
            figures = Figures(self._store, self.watch, self.traffic, self._clock)
            self._metrics = MetricsServer(self._config.metrics, figures)
        if not self._clock.is_set():
            self._log.warning("clock-not-set", retry_s=_CLOCK_LOOK_S)
            self.spawn(self._await_clock(), "clock")

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
            await self._registry.open(self._config.nodes)
            await self.watch.open()
        except StoreUnavailableError:
            await self._store.close()
            raise
        self.spawn(self.watch.run(), "watch")
        site = OscoreSite(
            self._registry.contexts,
            self._enrolment.handle,
            self._store,
            self.traffic.refused,
            self._registry.key_used,
            self._codes.find,
        )
        self._coap.serversite = self._short_path.site = site
        self.spawn(self._store.run(), "store")
        housekeeper = Housekeeper(self._store, self._clock, self._config.store.retention_days, ())
        destinations = Destinations(
            self._store,
            self._registry,
            self._clock,
            self.watch.events,
            housekeeper.set_destinations,
        )
        self._destinations = destinations
        self._registry.on_change(destinations.tell_status)
        try:
            await destinations.apply(self._config.all_destinations)
        except StoreUnavailableError as error:
            self._log.error("destinations-not-begun", reason=error, retry_s=_STORE_RETRY_S)
            self.spawn(self._apply_later(destinations), "destinations to begin")
        self.spawn(destinations.run(), "destinations")
        self.spawn(housekeeper.run(), "housekeeper")
        await self._control.start()
        self._is_open.set()

    async def reload(self, config: Config) -> None:
        """Go on with the destinations of `config`; the rest of it holds from the next start on."""
        rest = {"broker": None, "destinations": ()}
        if config.model_copy(update=rest) != self._config.model_copy(update=rest):
            self._log.warning("restart-needed", reason="more than destinations has changed")
        self._config = self._config.model_copy(
            update={"broker": config.broker, "destinations": config.destinations}
        )
        self.watch.set_destinations(config.all_destinations)
        if self._destinations is not None:
            try:
                await self._destinations.apply(config.all_destinations)
            except StoreUnavailableError as error:
                self._log.error("destinations-not-changed", reason=error, retry_s=_STORE_RETRY_S)
                self.spawn(self._apply_later(self._destinations), "destinations to change")
        self._log.info("reloaded", destinations=len(config.all_destinations))

    async def _apply_later(self, destinations: Destinations) -> None:
        while True:
            await asyncio.sleep(_STORE_RETRY_S)
            try:
                await destinations.apply(self._config.all_destinations)
            except StoreUnavailableError as error:
                self._log.limited((), "destinations-not-changed", reason=error)
            else:
                return

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

    async def retry_refused(self, destination: str) -> int:
        """Send a destination what it refused once more; return how many messages those are.

        Raises `KeyError` for a destination that there isn't, and `StoreUnavailableError`.
        """
        if self._destinations is None:
            raise StoreUnavailableError("the gateway is stopping. Ask it again when it runs")
        return await self._destinations.retry(destination)

    def _add_links(self) -> None:
        if self._config.udp is not None:
            udp = self._config.udp
            try:
                self._udp = self._add_link(partial(UdpLink, take=self._short_path.take, config=udp))
            except OSError as error:
                raise LinkError(
                    f"udp {udp.bind} port {udp.port} can't be listened on: {error}. Is another"
                    " program using it?"
                ) from error
        for serial in self._config.serial:
            self._add_link(partial(SerialLink, take=self._short_path.take, config=serial))

    async def stop(self) -> None:
        """Close the links, store what is under way, and close the store."""
        self._short_path.close()
        coap, self._coap = self._coap, None
        if coap is not None and coap.request_interfaces:
            await coap.shutdown()
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            await asyncio.to_thread(metrics.close)
        destinations, self._destinations = self._destinations, None
        if destinations is not None:
            await destinations.stop()
        await self._control.close()
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

    async def supervise(self, supervisor: Supervisor) -> None:
        """Say that the gateway is ready once its store is open, and then that it stays so."""
        await self._is_open.wait()
        supervisor.ready()
        await Watchdog(self._store, supervisor).run()

    def spawn(self, coroutine: Coroutine[None, None, None], name: str) -> None:
        """Run a part of the gateway, which ends with it."""
        self._tasks.append(asyncio.create_task(coroutine, name=name))

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


def _spare_collector() -> None:
    """Have the garbage collector leave alone what lives as long as the gateway.

    It would look through all of that for each few hundred requests: a tenth of the time that a
    request takes (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_FIRST, *gc.get_threshold()[1:])


async def serve(
    config: Config, clock: Clock, read_again: Callable[[], Config] | None = None
) -> None:
    """Run a gateway until SIGTERM or SIGINT; SIGHUP has it read its configuration again."""
    log = EventLog("service")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor()
    gateway = Gateway(config, clock)
    async with supervisor.starting():
        await gateway.start()
    gateway.spawn(gateway.supervise(supervisor), "supervisor")
    if read_again is not None:
        reloads = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reloads.set)
        gateway.spawn(_reload_on_demand(gateway, supervisor, reloads, read_again), "reload")
    _spare_collector()
    try:
        log.info("ready", nodes=gateway.nodes, udp_port=gateway.udp_port)
        await gateway.run(stop)
    finally:
        supervisor.stopping()
        await gateway.stop()
        log.info("stopped")


async def _reload_on_demand(
    gateway: Gateway,
    supervisor: Supervisor,
    wanted: asyncio.Event,
    read: Callable[[], Config],
) -> None:
    log = EventLog("service")
    while True:
        await wanted.wait()
        wanted.clear()
        with supervisor.reloading():
            try:
                config = await asyncio.to_thread(read)
            except ConfigError as error:
                for line in str(error).splitlines():
                    log.error("not-reloaded", reason=line)
            else:
                await gateway.reload(config)
