"""How much room the store may take, and what happens when that is used up."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from feltpost_gateway.deletion import count_pages, evict
from feltpost_gateway.delivery import load_position, save_position
from feltpost_gateway.logs import EventLog
from feltpost_gateway.progress import Handover
from feltpost_gateway.transaction import Transaction

# A commit never needs more: it has at most 256 requests of at most 1,024 bytes.
ROOM_BYTES = 512 * 1024

_EVICT_PACKS = 256


@dataclass(frozen=True)
class Limits:
    """Bounds of the store.

    The database takes at most `max_bytes` (the log beside it some MB more), and nothing that would
    leave less than `min_free_bytes` on its file system. `evict` is whether undelivered readings
    are given up, the oldest first, rather than new ones refused.
    """

    max_bytes: int = 1 << 40
    min_free_bytes: int = 0
    evict: bool = False


@dataclass(frozen=True)
class Space:
    """What the store takes and what is left, in bytes.

    `file` is the database's file, `used` what of it holds something, `free` what the file system
    has left, `room` how much more the limits let in.
    """

    file: int
    used: int
    free: int
    room: int


class SpaceKeeper:
    """Looks after the limits; belongs to the writer's thread."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._log = EventLog("store")
        self._was_full = False
        self.destinations: tuple[str, ...] = ()
        self.handovers: Mapping[str, Handover] = {}
        """What destinations have, may have or may get; replaced whole, by the event loop."""
        self.rounds = 0
        """Odd while undelivered readings are being given up; changed by each time that they are."""
        self._giving_up = 0
        self.evicted = 0
        """How many undelivered readings were given up."""
        self.space: Space | None = None
        """What the last transaction found."""

    def make_room(self, transaction: Transaction) -> bool:
        """Tell whether new readings can be taken, after deleting what the policy gives up.

        Delivered readings are given up first, retention or not: they are safe elsewhere.
        `committed` or `taken_back` must follow.
        """
        space = self._measure(transaction)
        deleted = undelivered = 0
        taken: list[tuple[int, int]] = []
        if space.room < ROOM_BYTES:
            # Before the look at what is taken: who takes something from now on sees it.
            if self._limits.evict:
                self.rounds += 1
            taken = _note_positions(transaction, self.handovers)
        while space.room < ROOM_BYTES:
            step = evict(
                transaction.connection,
                self.destinations,
                _EVICT_PACKS,
                only_delivered=not self._limits.evict,
                spared=taken,
            )
            if not step.packs:
                break
            deleted += step.packs
            undelivered += step.undelivered
            space = self._measure(transaction)
        self._giving_up = undelivered
        if not undelivered:
            self._end_round()
        if deleted:
            self._log.limited(
                (),
                "evicted",
                file=self._path,
                packs=deleted,
                undelivered_readings=undelivered,
                evicted_since_start=self.evicted + undelivered,
            )
        self.space = space
        full = space.room < ROOM_BYTES
        if full:
            self._log.limited(
                (), "store-full", file=self._path, used=space.used, disk_free=space.free
            )
        elif self._was_full:
            self._log.info("room-again", file=self._path, room=space.room)
        self._was_full = full
        return not full

    def committed(self) -> None:
        """Note that what was given up is gone."""
        self.evicted += self._giving_up
        self._end_round()

    def taken_back(self) -> None:
        """Note that what was given up is there again."""
        self._end_round()

    def _end_round(self) -> None:
        self._giving_up = 0
        self.rounds += self.rounds % 2

    def _measure(self, transaction: Transaction) -> Space:
        pages = count_pages(transaction.connection)
        disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize
        used = pages.file_bytes - pages.unused_bytes
        # Unused pages of the file take new rows without any room of the file system's.
        growth = max(0, free - self._limits.min_free_bytes)
        room = min(self._limits.max_bytes - used, pages.unused_bytes + growth)
        return Space(pages.file_bytes, used, free, room)


def _note_positions(
    transaction: Transaction, handovers: Mapping[str, Handover]
) -> list[tuple[int, int]]:
    """Store what the destinations have by now; return what they may have or get besides."""
    for name, handover in handovers.items():
        if load_position(transaction.connection, name) != handover.position:
            save_position(transaction.connection, name, handover.position)
    return [ids for handover in handovers.values() for ids in handover.taken]
