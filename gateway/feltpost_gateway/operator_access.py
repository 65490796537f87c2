"""How the command line changes what the gateway keeps: through the running one, or by itself.

One process at a time may write to the store. Where a gateway runs, that is the gateway, and it is
asked over its control socket; where none runs, the command opens the store as a gateway would.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from feltpost_gateway import control
from feltpost_gateway.clock import SystemClock
from feltpost_gateway.commands import Commands
from feltpost_gateway.config import Config
from feltpost_gateway.delivery import retry_dead_letters
from feltpost_gateway.enrol_commands import EnrolCommands
from feltpost_gateway.enrolling import Enroller
from feltpost_gateway.registry import Registry
from feltpost_gateway.store import Store

Json = Any


class Operator:
    """Carries commands out for the gateway with that configuration, running or not."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def call(self, command: str, /, **arguments: Json) -> Json:
        """Return a command's result (`commands`).

        Raises `OperatorError` where it can't be done, and another of this package's errors where
        neither gateway nor store can be reached.
        """
        path = self._config.store.path
        with suppress(ConnectionError, FileNotFoundError):
            return control.ask(control.socket_path(path), command, arguments)
        with as_owner_of(path.parent):
            return asyncio.run(self._call_here(command, arguments))

    async def _call_here(self, command: str, arguments: dict[str, Json]) -> Json:
        store = Store(self._config.store.path)
        await store.open()
        try:
            registry = Registry(store, SystemClock())
            await registry.open(self._config.nodes)

            async def retry(name: str) -> int:
                if name not in {found.name for found in self._config.all_destinations}:
                    raise KeyError(name)
                return await store.write(
                    lambda transaction: retry_dead_letters(transaction.connection, name)
                )

            enrolment = EnrolCommands(Enroller(registry, SystemClock()), None)
            commands = Commands(registry, store, SystemClock(), retry, enrolment.by_name)
            return await commands.call(command, arguments)
        finally:
            await store.close()


@contextmanager
def as_owner_of(directory: Path) -> Iterator[None]:
    """Let root act as the user whom `directory` belongs to, so that the files there stay theirs."""
    owner = directory.stat() if directory.exists() and os.geteuid() == 0 else None
    if owner is None or owner.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
