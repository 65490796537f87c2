"""Gateways in this process, each with a link that is a list: what came in, and what went out."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from aiocoap import Message
from aiocoap.messagemanager import MessageManager
from tests.gateway.conftest import FixedClock, make_config

from feltpost_gateway.links.base import Link, LinkAddress, Take
from feltpost_gateway.logs import EventLog
from feltpost_gateway.service import Gateway

Result = TypeVar("Result")

_KEPT = ("packs", "gaps", "reports", "nodes", "node_keys", "owners")
# Far more than a commit takes on any disk: what has not ended by then hangs.
_ANSWER_S = 60


class Wire(Link):
    """A link without a line."""

    def __init__(self, manager: MessageManager, take: Take) -> None:
        super().__init__(manager, take, EventLog("fuzz"))
        self.sent: list[bytes] = []

    def send_bytes(self, message: bytes, address: LinkAddress) -> None:
        self.sent.append(message)

    async def shutdown(self) -> None:
        """Nothing is open."""


class Faults(logging.Handler):
    """Collects what the gateway and asyncio log as a fault of their own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))

    def check(self) -> None:
        """Fail where something was logged since the last time."""
        seen, self.seen = self.seen, []
        assert not seen, "\n".join(seen)


class Side:
    """One gateway and its wire; with `short` false its requests all go through aiocoap."""

    def __init__(self, gateway: Gateway, store: Path, short: bool) -> None:
        self.gateway = gateway
        self._wire: Wire = gateway._add_link(partial(Wire, take=gateway._short_path.take))
        if not short:
            gateway._short_path.site = None
        self._store = sqlite3.connect(f"file:{store}?mode=ro", uri=True, isolation_level=None)
        self._peers = 0
        self._others = asyncio.all_tasks()

    async def exchange(self, datagram: bytes) -> list[Message]:
        """Return what is sent for a datagram from an address of its own, acknowledgements that say
        no more apart.
        """
        self._peers += 1
        self._wire.sent.clear()
        self._wire.received(datagram, LinkAddress(("fuzz", self._peers), "fuzz"))
        await self.at_rest()
        messages = [Message.decode(sent) for sent in self._wire.sent]
        return [message for message in messages if message.code]

    async def at_rest(self) -> None:
        """Return when nothing is being done that a request or a command began."""
        await asyncio.sleep(0)
        while under_way := asyncio.all_tasks() - self._others - {asyncio.current_task()}:
            async with asyncio.timeout(_ANSWER_S):
                await asyncio.wait(under_way)

    def kept(self) -> dict[str, list[Any]]:
        """What the store has of each table that requests and commands may change."""
        return {
            table: self._store.execute(f"SELECT * FROM {table} ORDER BY 1 DESC LIMIT 20").fetchall()
            for table in _KEPT
        }

    def close(self) -> None:
        self._store.close()


class Bench:
    """Runs gateways side by side on an event loop of their own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sides: list[Side], faults: Faults) -> None:
        self._loop = loop
        self.sides = sides
        self.faults = faults

    def do(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end."""
        return self._loop.run_until_complete(coroutine)


@contextmanager
def bench(*shorts: bool) -> Iterator[Bench]:
    """Give a bench with a gateway for each entry, which says whether it has its short path."""
    root, faults = logging.getLogger(), Faults()
    with TemporaryDirectory() as folder, closing(asyncio.new_event_loop()) as loop:
        gateways = []
        for number, _ in enumerate(shorts):
            directory = Path(folder, str(number))
            directory.mkdir()
            config = make_config(directory, udp=None)
            gateways.append((Gateway(config, FixedClock()), config.store.path))
        for gateway, _ in gateways:
            loop.run_until_complete(gateway.start())
        root.addHandler(faults)

        async def make() -> list[Side]:
            return [
                Side(g, store, short) for (g, store), short in zip(gateways, shorts, strict=True)
            ]

        sides = loop.run_until_complete(make())
        try:
            yield Bench(loop, sides, faults)
        finally:
            root.removeHandler(faults)
            for side in sides:
                side.close()
            for gateway, _ in gateways:
                loop.run_until_complete(gateway.stop())
