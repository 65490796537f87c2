"""Watches over nodes, store and destinations, and keeps the open events up to date.

What readings and reports tell is stored in the same commit as they are, so that no crash of the
gateway comes between a fault that a node reports once and the event. All else is looked for every
few seconds.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from feltpost_gateway import completeness, reports
from feltpost_gateway.clock import Clock
from feltpost_gateway.completeness import Backlog, NodeDay
from feltpost_gateway.contacts import (
    Contact,
    Contacts,
    read_contacts,
    save_contacts,
)
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.events import (
    Change,
    EventKind,
    Events,
    Subject,
    read_events,
    save_changes,
)
from feltpost_gateway.logs import EventLog
from feltpost_gateway.reports import NodeReport
from feltpost_gateway.senml import Record
from feltpost_gateway.space import ROOM_BYTES
from feltpost_gateway.store import Store
from feltpost_gateway.symptoms import Bounds, Symptom, find
from feltpost_gateway.tls import Expiry
from feltpost_gateway.transaction import Outcome, Transaction

_LOOK_S = 5.0
_LOOKS_PER_SAVE = 12
_LOOKS_PER_CERTIFICATES = 720

_STUCK_MS = 10 * 60_000
_FILLING_PERCENT = 80
_FILLED_RIGHT_PERCENT = 70
_OF_DESTINATIONS = (EventKind.DESTINATION_STUCK, EventKind.REFUSED)
_EXPIRES_SOON_MS = 30 * 86_400_000


@dataclass(frozen=True)
class View:
    """What the last look saw.

    `names` are owner/site/name of all nodes that are not removed, by their row; `refused` says how
    many messages each destination refused for good; `uncounted` is whether packs are to be counted.
    """

    names: dict[int, str]
    backlogs: tuple[Backlog, ...]
    today: tuple[NodeDay, ...]
    refused: dict[str, int]
    packs: int
    uncounted: bool


class Watch:
    """The gateway's view of what is wrong; belongs to the event loop."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        bounds: Bounds,
        destinations: tuple[DestinationConfig, ...],
    ) -> None:
        self.events = Events()
        self.contacts = Contacts()
        self.readings_taken: Counter[int] = Counter()
        """How many new readings came from each node since the start."""
        self._store = store
        self._clock = clock
        self._bounds = bounds
        self._destinations = destinations
        self._log = EventLog("watch")
        self._names: dict[int, str] = {}
        self._seen_ms: dict[Subject, int] = {}
        self._listening_since_ms: int | None = None
        self._progress: dict[str, tuple[int, int]] = {}
        self._looking = asyncio.Lock()
        self._looks = 0
        self._looked_ms: int | None = None
        self.view: View | None = None

    def set_destinations(self, destinations: tuple[DestinationConfig, ...]) -> None:
        """Look at other destinations, and their certificates, from now on."""
        self._destinations = destinations

    async def open(self) -> None:
        """Take up what was known when the gateway stopped; raises `StoreUnavailableError`."""
        self.events.load(await self._store.read(read_events))
        self.contacts.load(await self._store.read(read_contacts))

    async def run(self) -> None:
        """Look again and again until cancelled, and store what must be known after a restart."""
        try:
            while True:
                try:
                    await self.look()
                except StoreUnavailableError as error:
                    self._log.limited((), "not-looked", reason=error)
                await asyncio.sleep(_LOOK_S)
        finally:
            contacts = self.contacts.take_unsaved()
            if contacts:
                await self._save([], contacts)

    def heard(self, node_id: int, name: str) -> None:
        """Note that a node was heard from."""
        self._names.setdefault(node_id, name)
        if self._clock.is_set():
            self.contacts.heard(node_id, self._clock.now_ms())

    def took_readings(self, node_id: int, records: Sequence[Record]) -> list[Change]:
        """Return what readings change, to be stored with them and then handed to `saved`.

        What is older than what the node said before of the same thing changes nothing.
        """
        symptoms: dict[Subject, list[Symptom]] = {}
        for symptom in find(records, self._bounds):
            subject = Subject(symptom.kind, node_id, symptom.part)
            if symptom.time_ms >= self._seen_ms.get(subject, 0):
                symptoms.setdefault(subject, []).append(symptom)
        changes = []
        for subject, found in symptoms.items():
            found.sort(key=lambda symptom: symptom.time_ms)
            self._seen_ms[subject] = found[-1].time_ms
            changes += self._judge(subject, found)
        return changes

    def _judge(self, subject: Subject, found: list[Symptom]) -> list[Change]:
        since: Symptom | None = None
        is_right = False
        for symptom in found:
            if symptom.wrong:
                since = since or symptom
            elif symptom.wrong is False:
                since, is_right = None, True
        if since is not None:
            return self.events.wrong(subject, since.time_ms, found[-1].value)
        return self.events.right(subject) if is_right else []

    def took_report(self, node_id: int, report: NodeReport, now_ms: int) -> list[Change]:
        """Return what a report changes, to be stored with it and then handed to `saved`."""
        found = {
            EventKind.CRASHED: report.traceback and reports.one_line(report.traceback),
            EventKind.SAFE_MODE: report.firmware if report.safe_mode else None,
            EventKind.MISCONFIGURED: "; ".join(report.problems),
        }
        changes = []
        for kind, value in found.items():
            subject = Subject(kind, node_id)
            changes += (
                self.events.wrong(subject, now_ms, value) if value else self.events.right(subject)
            )
        return changes

    def saved(self, changes: Iterable[Change]) -> None:
        """Note changes that are on the disk."""
        self.events.saved(changes, lambda node_id: self._names.get(node_id, "unknown"))

    def count(self, node_id: int, outcome: Outcome) -> None:
        """Count the readings that a pack brought."""
        self.readings_taken[node_id] += outcome.stored

    async def look(self) -> None:
        """Look at everything once; raises `StoreUnavailableError`."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        now_ms = self._clock.now_ms() if self._clock.is_set() else None
        view = self.view = await self._store.read(self._read)
        self._names = dict(view.names)
        if view.uncounted:
            while await self._store.write(completeness.count_packs):
                pass
        changes = self._forget_removed(view)
        clock = Subject(EventKind.CLOCK_NOT_SET)
        if now_ms is None:
            changes += self.events.wrong(clock, None)
        else:
            if self._looked_ms is None or now_ms < self._looked_ms:
                await self._set_back(now_ms)
            self._looked_ms = now_ms
            if self._listening_since_ms is None:
                self._listening_since_ms = now_ms
            changes += self.events.right(clock)
            changes += self._look_at_contacts(now_ms, self._listening_since_ms)
            changes += self._look_at_destinations(view, now_ms)
            changes += self._look_at_store(view, now_ms)
            if self._looks % _LOOKS_PER_CERTIFICATES == 0:
                changes += await self._look_at_certificates(now_ms)
        self._looks += 1
        contacts = self.contacts.take_unsaved() if self._looks % _LOOKS_PER_SAVE == 0 else []
        if changes or contacts:
            await self._save(changes, contacts)

    async def _save(self, changes: list[Change], contacts: list[Contact]) -> None:
        def save(transaction: Transaction) -> None:
            save_changes(transaction.connection, changes)
            save_contacts(transaction.connection, contacts)

        await self._store.write(save)
        self.saved(changes)

    def _read(self, connection: sqlite3.Connection) -> View:
        names = connection.execute(
            "SELECT id, owner || '/' || site || '/' || name FROM nodes WHERE NOT removed"
        ).fetchall()
        (first, last, counted) = connection.execute(
            "SELECT (SELECT min(id) FROM packs), (SELECT max(id) FROM packs),"
            " (SELECT max(pack_id) FROM counted)"
        ).fetchone()
        (today,) = connection.execute("SELECT date('now', 'localtime')").fetchone()
        return View(
            names=dict(names),
            backlogs=tuple(
                completeness.read_backlog(connection, destination.name)
                for destination in self._destinations
            ),
            today=tuple(completeness.read_days(connection, today, ())),
            refused=dict(
                connection.execute(
                    "SELECT destination, count(*) FROM dead_letters GROUP BY destination"
                ).fetchall()
            ),
            packs=0 if last is None else last - first + 1,
            uncounted=last is not None and last > counted,
        )

    async def _set_back(self, now_ms: int) -> None:
        """Have nothing be later than now, where the clock was ahead and has been set right.

        What happened then would hide for as long what happens now.
        """
        if self._listening_since_ms is not None:
            self._listening_since_ms = min(self._listening_since_ms, now_ms)
        self._progress = {
            name: (progress, min(since_ms, now_ms))
            for name, (progress, since_ms) in self._progress.items()
        }
        self._seen_ms = {
            subject: min(seen_ms, now_ms) for subject, seen_ms in self._seen_ms.items()
        }
        self.contacts.set_back(now_ms)
        changes = self.events.set_back(now_ms)
        if changes:
            await self._save(changes, [])

    def _forget_removed(self, view: View) -> list[Change]:
        changes = []
        for event in self.events.open():
            node_id = event.subject.node_id
            if node_id is not None and node_id not in view.names:
                self.contacts.forget(node_id)
                changes += self.events.right(event.subject)
        return changes

    def _look_at_contacts(self, now_ms: int, listening_since_ms: int) -> list[Change]:
        changes = []
        for contact, is_silent in self.contacts.judge(now_ms, listening_since_ms):
            subject = Subject(EventKind.SILENT, contact.node_id)
            if is_silent and contact.node_id in self._names:
                seconds = "" if contact.interval_ms is None else f"{contact.interval_ms // 1000}"
                changes += self.events.wrong(subject, contact.last_ms, seconds)
            else:
                known = self.events.get(subject)
                # After a restart a silent node is silent still, until it is heard.
                if known is not None and known.since_ms != contact.last_ms:
                    changes += self.events.right(subject)
        return changes

    def _look_at_destinations(self, view: View, now_ms: int) -> list[Change]:
        changes = []
        for backlog in view.backlogs:
            subject = Subject(EventKind.DESTINATION_STUCK, part=backlog.destination)
            before, since_ms = self._progress.get(backlog.destination, (backlog.progress, now_ms))
            if before != backlog.progress:
                since_ms = now_ms
            self._progress[backlog.destination] = (backlog.progress, since_ms)
            if not backlog.packs or before != backlog.progress:
                changes += self.events.right(subject)
            elif now_ms - since_ms >= _STUCK_MS:
                changes += self.events.wrong(subject, since_ms, str(backlog.oldest_ms))
            refused = Subject(EventKind.REFUSED, part=backlog.destination)
            count = view.refused.get(backlog.destination)
            changes += (
                self.events.wrong(refused, now_ms, str(count))
                if count
                else self.events.right(refused)
            )
        names = {backlog.destination for backlog in view.backlogs}
        for event in self.events.open():
            if event.subject.kind in _OF_DESTINATIONS and event.subject.part not in names:
                changes += self.events.right(event.subject)
        return changes

    def _look_at_store(self, view: View, now_ms: int) -> list[Change]:
        space = self._store.stats().space
        if space is None:
            return []
        changes = []
        # Delivered readings go when their room is needed, so only the others fill the store.
        waiting = max((backlog.packs for backlog in view.backlogs), default=view.packs)
        share = waiting / view.packs if view.packs else 0
        percent = round(100 * share * space.used / max(1, space.used + space.room))
        filling = Subject(EventKind.STORE_FILLING)
        if percent >= _FILLING_PERCENT:
            changes += self.events.wrong(filling, now_ms, str(percent))
        elif percent < _FILLED_RIGHT_PERCENT:
            changes += self.events.right(filling)
        full = Subject(EventKind.STORE_FULL)
        if space.room < ROOM_BYTES:
            changes += self.events.wrong(full, now_ms)
        else:
            changes += self.events.right(full)
        return changes

    async def _look_at_certificates(self, now_ms: int) -> list[Change]:
        changes = []
        expiries = await asyncio.to_thread(_read_expiries, self._destinations)
        for expiry in expiries:
            subject = Subject(EventKind.CERTIFICATE_EXPIRING, part=expiry.what)
            if expiry.end_ms - now_ms < _EXPIRES_SOON_MS:
                day = datetime.fromtimestamp(expiry.end_ms / 1000, UTC).date().isoformat()
                changes += self.events.wrong(subject, now_ms, day)
            else:
                changes += self.events.right(subject)
        return changes


def _read_expiries(destinations: Iterable[DestinationConfig]) -> list[Expiry]:
    expiries: list[Expiry] = []
    for files in {files for each in destinations for files in each.all_tls_files}:
        # What can't be read stops the destination, which says so itself.
        with contextlib.suppress(OSError, ValueError):
            expiries += files.expiries()
    return expiries
