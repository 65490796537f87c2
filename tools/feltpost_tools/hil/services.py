"""The broker and the gateway of one test: real processes, as tests see them."""

from collections.abc import Awaitable
from pathlib import Path

from feltpost_tools.faults.mqtt_packets import Published
from feltpost_tools.faults.mqtt_proxy import MqttProxy
from feltpost_tools.hil.backend import Backend
from feltpost_tools.hil.background import Background
from feltpost_tools.hil.book import Book
from feltpost_tools.sim import broker as simulation
from feltpost_tools.sim import taps
from feltpost_tools.sim.broker import Subscriber
from feltpost_tools.sim.gateway_process import GatewayProcess, write_configuration

_OWNER = "hil"
_SITE = "bench"


class Broker:
    """mosquitto, with a subscriber that enters what comes in the ledger.

    proxy: what the gateway reaches it through.
    """

    def __init__(self, loop: Background, folder: Path, book: Book):
        self._loop = loop
        self._broker = simulation.Broker(folder)
        self._book = book
        self._subscriber: Subscriber | None = None
        self.proxy = MqttProxy((self._broker.host, self._broker.port), self._handed_over)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port for the gateway."""
        return self.proxy.host, self.proxy.port

    def start(self) -> None:
        """Start it; what was there when it was stopped is there again."""
        self._loop.run(self._start())

    def stop(self) -> None:
        """Stop it."""
        self._loop.run(self._broker.stop())

    def close(self) -> None:
        """Stop it, and the subscriber."""
        self._loop.run(self._close())

    async def _start(self) -> None:
        await self._broker.start()
        if self._subscriber is None:
            topic = f"feltpost/{_OWNER}/{_SITE}/+/readings"
            address = self._broker.host, self._broker.port
            self._subscriber = Subscriber(*address, topic, self._book.received)
            await self._subscriber.start()
            await self.proxy.start()

    async def _close(self) -> None:
        await self.proxy.stop()
        if self._subscriber:
            await self._subscriber.stop()
        await self._broker.stop()

    def _handed_over(self, message: Published) -> None:
        node, journal, numbers = taps.numbers_in(message)
        if numbers:
            self._book.ledger.handed_over(node, journal, numbers)


class Gateway:
    """feltpost-gateway, with the board enrolled, in a folder of its own."""

    def __init__(self, loop: Background, folder: Path, backend: Backend, clock: Path):
        """clock: the file of the run's clock."""
        self._loop = loop
        self._backend = backend
        self.store = folder / "feltpost.db"
        self.log = folder / "gateway.log"
        self._configuration = folder / "gateway.toml"
        self._process = GatewayProcess(self._configuration, clock, self.log)

    def configure(self, broker: tuple[str, int]) -> None:
        """Write its configuration."""
        write_configuration(
            self._configuration,
            store=self.store,
            udp_port=self._backend.around.gateway_port,
            serial_ports=self._backend.serial_ports,
            broker=broker,
            nodes=[self._backend.enrolled],
            owner=_OWNER,
            site=_SITE,
        )

    def start(self) -> None:
        """Start it and return when it serves."""
        self._loop.run(self._start())

    def stop(self) -> None:
        """Have it end in order."""
        self._loop.run(self._end(self._process.stop()))

    def kill(self) -> None:
        """End it as a power cut would."""
        self._loop.run(self._end(self._process.kill()))

    async def _start(self) -> None:
        await self._process.start()
        self._backend.answers(True)

    async def _end(self, ending: Awaitable[None]) -> None:
        await ending
        self._backend.answers(False)
