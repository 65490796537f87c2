"""Keeps the store small, and says what it does to the disk.

What was delivered long ago is deleted and unused room given back, each minute; once an hour the
log gets the store's counts.
"""

import asyncio
from dataclasses import asdict
from itertools import count

from feltpost_gateway.clock import Clock
from feltpost_gateway.deletion import count_pages, prune, vacuum
from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.logs import EventLog
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Transaction

_INTERVAL_S = 60.0
_ROUNDS_PER_COUNT = 60
_PRUNE_MAX_PACKS = 500

# Each step moves pages about; a small one holds no request up for long.
_VACUUM_PAGES = 512

# Some unused room is left for the readings to come: giving it back and taking it again wears the
# disk for nothing.
_KEEP_UNUSED_PARTS = 8
_KEEP_UNUSED_BYTES = 1 << 20

_DAY_MS = 86_400_000


class Housekeeper:
    """Looks after `store`, whose delivered readings are kept for `retention_days`."""

    def __init__(
        self, store: Store, clock: Clock, retention_days: int, destinations: tuple[str, ...]
    ) -> None:
        self._store = store
        self._clock = clock
        self._keep_ms = retention_days * _DAY_MS
        self._destinations = destinations
        self._log = EventLog("store")

    def set_destinations(self, names: tuple[str, ...]) -> None:
        """Say which destinations must have a pack before it counts as delivered."""
        self._destinations = names

    async def run(self) -> None:
        """Tidy up now and then until cancelled."""
        for number in count(1):
            try:
                await self.tidy()
            except StoreUnavailableError as error:
                self._log.limited((), "not-tidied", reason=error)
            await asyncio.sleep(_INTERVAL_S)
            if number % _ROUNDS_PER_COUNT == 0:
                self.log_counts()

    def log_counts(self) -> None:
        """Log the totals since the store was opened, in bytes where they are sizes."""
        stats = self._store.stats()
        parts = (part for part in (stats.disk, stats.space) if part is not None)
        fields = {name: value for part in parts for name, value in asdict(part).items()}
        self._log.info(
            "counts",
            commits=stats.commits,
            requests=stats.jobs,
            failed=stats.failed,
            evicted_readings=stats.evicted_readings,
            **fields,
        )

    async def tidy(self) -> None:
        """Delete what may go, and shrink the file where much of it is unused."""
        # While the clock is not set, nobody knows how old a reading is.
        deleted = _PRUNE_MAX_PACKS if self._clock.is_set() else 0
        while deleted == _PRUNE_MAX_PACKS:
            deleted = await self._store.write(self._prune)
        await self._shrink()

    def _prune(self, transaction: Transaction) -> int:
        before_ms = self._clock.now_ms() - self._keep_ms
        return prune(transaction.connection, self._destinations, before_ms, _PRUNE_MAX_PACKS)

    async def _shrink(self) -> None:
        shrunk = False
        while await self._store.write(_vacuum):
            shrunk = True
        if shrunk:
            # The file gets shorter when the log is put into it.
            await self._store.write(_nothing, checkpoint=True)
            self._log.info("shrunk")


def _vacuum(transaction: Transaction) -> bool:
    """Give some pages back where too many are unused; return whether that was so."""
    pages = count_pages(transaction.connection)
    keep = max(_KEEP_UNUSED_BYTES, pages.file_bytes // _KEEP_UNUSED_PARTS)
    return pages.unused_bytes > keep and vacuum(transaction.connection, _VACUUM_PAGES) > 0


def _nothing(_transaction: Transaction) -> None:
    """Change nothing."""
