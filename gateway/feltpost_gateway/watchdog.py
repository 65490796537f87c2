"""Feeds systemd's watchdog while the store takes commits, and only then.

A timer would prove no more than that the event loop lives. A gateway whose disk takes nothing, or
whose writer hangs, is of no use to any node, so that systemd starts it anew.
"""

import asyncio

from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.logs import EventLog
from feltpost_gateway.migrations import SCHEMA_VERSION
from feltpost_gateway.store import Store
from feltpost_gateway.systemd import Supervisor
from feltpost_gateway.transaction import Transaction

# Two signs of life may be late before the third is missed.
_FEEDS_PER_TIMEOUT = 3


class Watchdog:
    """Looks after `store` on behalf of `supervisor`."""

    def __init__(self, store: Store, supervisor: Supervisor) -> None:
        self._store = store
        self._supervisor = supervisor
        self._log = EventLog("watchdog")
        self._syncs = 0

    async def run(self) -> None:
        """Give signs of life until cancelled; return at once where nobody waits for them."""
        timeout_s = self._supervisor.watchdog_s
        if timeout_s is None:
            return
        while True:
            try:
                await self.probe()
            except StoreUnavailableError as error:
                self._log.limited((), "not-fed", reason=error)
            else:
                self._supervisor.alive()
            await asyncio.sleep(timeout_s / _FEEDS_PER_TIMEOUT)

    async def probe(self) -> None:
        """Return once a commit has reached the disk since the last call.

        Readings that were committed meanwhile prove it, and an SD card is spared a write. Raises
        `StoreUnavailableError` where the disk took nothing.
        """
        syncs = self._count_syncs()
        if syncs == self._syncs:
            await self._store.write(_rewrite_header)
            syncs = self._count_syncs()
        self._syncs = syncs

    def _count_syncs(self) -> int:
        disk = self._store.stats().disk
        return 0 if disk is None else disk.fdatasyncs


def _rewrite_header(transaction: Transaction) -> None:
    # The same number once more: SQLite writes the page all the same.
    transaction.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
