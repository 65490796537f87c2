"""The store: one SQLite file, one writer thread, one commit for many requests.

What `write` returned for is on the disk (WAL, synchronous=FULL). Requests that arrive while a
commit is under way share the next one. `transaction` has the operations themselves, `database`
the file, `space` its bounds.
"""

import asyncio
import math
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from feltpost_gateway.database import Database
from feltpost_gateway.diskio import DiskCounter, DiskCounts
from feltpost_gateway.errors import StoreError, StoreFullError, StoreUnavailableError
from feltpost_gateway.faults import is_damage, is_passing
from feltpost_gateway.logs import EventLog
from feltpost_gateway.progress import Handover
from feltpost_gateway.space import Limits, Space, SpaceKeeper
from feltpost_gateway.transaction import (
    Report,
    StoredPack,
    Transaction,
    load_cursor,
    read_packs,
    read_reports,
)

Result = TypeVar("Result")

_QUEUE_MAX_JOBS = 1024

# A commit is bounded by size (a request has at most 1,024 bytes) and by the time that its
# operations take, so that the first of many does not wait for the last.
_BATCH_MAX_JOBS = 256
_BATCH_MAX_S = 0.05

_CHECKPOINT_BYTES = 4 << 20


@dataclass(frozen=True)
class StoreStats:
    """Totals since the store was opened, and its space as the last commit found it.

    `jobs` were committed in `commits`; `failed` commits were taken back. `evicted_readings` were
    given up undelivered. `disk` is None before the first commit.
    """

    commits: int
    jobs: int
    failed: int
    evicted_readings: int
    disk: DiskCounts | None
    space: Space | None


@dataclass(frozen=True)
class Taken:
    """Packs that were taken to be sent, and whether more may follow them."""

    packs: list[StoredPack]
    may_have_more: bool


@dataclass(frozen=True)
class _Job:
    """`takes_room` is whether the operation is refused where the store is full.

    `until_s`, by the monotonic clock, is how long it may wait for others to be committed with.
    """

    operation: Callable[[Transaction], Any]
    future: "asyncio.Future[Any]"
    takes_room: bool
    checkpoint: bool
    until_s: float


class Store:
    """A store at `path`; every method belongs to the event loop that called `open`."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._path = path
        self._log = EventLog("store")
        self._database = Database(path)
        self._keeper = SpaceKeeper(path, limits or Limits())
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_QUEUE_MAX_JOBS)
        self._on_commit: list[Callable[[], None]] = []
        self._reader_thread: ThreadPoolExecutor
        self._writer_thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._failed: asyncio.Future[None]
        self._writer: sqlite3.Connection
        self._reader: sqlite3.Connection | None = None
        self._counter: DiskCounter
        self._stats = StoreStats(0, 0, 0, 0, None, None)

    async def open(self) -> None:
        """Open the file, made, salvaged or brought to the newest schema where needed.

        Raises `StoreUnavailableError` where that can succeed later, and `StoreError`, naming the
        file, where it takes a person.
        """
        self._loop = asyncio.get_running_loop()
        self._failed = self._loop.create_future()
        self._writer = await asyncio.to_thread(self._database.open)
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._writer_thread = threading.Thread(
            target=self._write_jobs, name="store-writer", daemon=True
        )
        self._writer_thread.start()

    async def close(self) -> None:
        """Commit what was handed in and close the file; a second call does nothing."""
        thread, self._writer_thread = self._writer_thread, None
        if thread is None:
            return
        await asyncio.to_thread(self._jobs.put, None)
        await asyncio.to_thread(thread.join)
        self._reader_thread.shutdown()
        self._failed.cancel()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._writer.close()
        self._counter.close()
        self._database.close()

    async def run(self) -> None:
        """Wait, and raise `StoreError` when the file turns out to be damaged.

        The gateway must be started anew then, which salvages the file.
        """
        await asyncio.shield(self._failed)

    @property
    def commits(self) -> int:
        """How many commits there were since the store was opened."""
        return self._stats.commits

    def stats(self) -> StoreStats:
        """Return what the store did up to now."""
        return self._stats

    def set_destinations(self, names: Iterable[str]) -> None:
        """Say which cursors must have passed a pack before it counts as delivered."""
        self._keeper.destinations = tuple(names)

    def set_handover(self, destination: str, handover: Handover | None) -> None:
        """Say what a destination has, may have or may get; None for what is stored of that.

        It is looked at where room is needed, so that nothing counts as lost that isn't.
        """
        others = {
            name: known for name, known in self._keeper.handovers.items() if name != destination
        }
        self._keeper.handovers = others if handover is None else {**others, destination: handover}

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have `callback` run on the event loop after each commit."""
        self._on_commit.append(callback)

    async def write(
        self,
        operation: Callable[[Transaction], Result],
        *,
        takes_room: bool = False,
        checkpoint: bool = False,
        patience_s: float = 0.0,
    ) -> Result:
        """Run `operation` in a transaction and return its result once that is on the disk.

        The operation runs on the writer's thread, and a second time where another one spoils the
        commit that they share. It is carried out even where the caller stops waiting.
        `takes_room` is for those that bring new readings: they are refused where the store is
        full. `checkpoint` puts the log into the database before this returns, which makes the file
        shorter where pages were given back. With `patience_s`, the operation takes part in the next
        commit that something else needs, and in one of its own only after that time.

        Raises `StoreUnavailableError` where nothing of it was stored.
        """
        if self._writer_thread is None:
            raise StoreUnavailableError(f"{self._path}: the store is closed")
        future: asyncio.Future[Result] = self._loop.create_future()
        try:
            until_s = time.monotonic() + patience_s
            self._jobs.put_nowait(_Job(operation, future, takes_room, checkpoint, until_s))
        except queue.Full:
            raise StoreUnavailableError(
                f"{self._path}: {_QUEUE_MAX_JOBS} requests wait for the disk already"
            ) from None
        return await future

    async def read_packs(self, after_id: int, limit: int) -> list[StoredPack]:
        """Return the packs that follow `after_id`, oldest first, at most `limit`."""
        return await self.read(lambda reader: read_packs(reader, after_id, limit))

    async def take_packs(self, after_id: int, limit: int, hold: Callable[[int], None]) -> Taken:
        """Take packs that follow `after_id`, oldest first, at most `limit`, to be sent.

        `hold` gets the id of the last and must have `set_handover` say that they are taken. None of
        them is given up from then on, which would make a gap of what arrives.
        """
        before = self._keeper.rounds
        packs = await self.read_packs(after_id, limit)
        if not packs:
            return Taken([], may_have_more=False)
        last_id = packs[-1].id
        hold(last_id)
        if not before % 2 and before == self._keeper.rounds:
            return Taken(packs, may_have_more=len(packs) == limit)
        # Some may have been given up in between, or are about to be: those that the end of that
        # leaves are held.
        await self.write(lambda _: None)
        packs = await self.read_packs(after_id, limit)
        return Taken([pack for pack in packs if pack.id <= last_id], may_have_more=True)

    async def load_cursor(self, destination: str) -> int:
        """Return the id of the last pack that a destination has, 0 for none."""
        return await self.read(lambda reader: load_cursor(reader, destination))

    async def read_reports(self, node_id: int) -> list[Report]:
        """Return the reports of a node, the latest first."""
        return await self.read(lambda reader: read_reports(reader, node_id))

    async def read(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return what a short query finds; longer ones hold up the forwarders, which read too.

        Raises `StoreUnavailableError` where the file can't be read.
        """

        def run() -> Result:
            if self._reader is None:
                self._reader = self._database.connect()
            return query(self._reader)

        try:
            return await self._loop.run_in_executor(self._reader_thread, run)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                self._give_up(error)
            raise StoreUnavailableError(f"{self._path} can't be read: {error}") from error

    def _write_jobs(self) -> None:
        """Commit jobs until told to stop; the writer's thread."""
        page_bytes = int(self._writer.execute("PRAGMA page_size").fetchone()[0])
        self._counter = DiskCounter(self._path, page_bytes)
        waiting: deque[_Job] = deque()
        stopping = False
        until_s = math.inf
        while waiting or not stopping:
            while len(waiting) < _BATCH_MAX_JOBS and not stopping:
                wait_s = max(0.0, until_s - time.monotonic()) if waiting else None
                try:
                    job = self._jobs.get(timeout=wait_s)
                except queue.Empty:
                    break
                if job is None:
                    stopping = True
                else:
                    waiting.append(job)
                    until_s = min(until_s, job.until_s)
            if waiting:
                self._write_batch(waiting)
            until_s = -math.inf if waiting else math.inf

    def _write_batch(self, waiting: deque[_Job]) -> None:
        """Commit as many of the waiting jobs as fit into one batch, or fail them."""
        done: list[tuple[_Job, Any]] = []
        refused: list[_Job] = []
        job: _Job | None = None
        try:
            transaction = Transaction(self._writer)
            self._writer.execute("BEGIN IMMEDIATE")
            has_room = self._keeper.make_room(transaction)
            until_s = time.monotonic() + _BATCH_MAX_S
            while waiting and (not done or time.monotonic() < until_s):
                job = waiting.popleft()
                if job.takes_room and not has_room:
                    refused.append(job)
                else:
                    done.append((job, job.operation(transaction)))
            job = None
            self._writer.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - a waiting request must always get an answer
            self._roll_back()
            jobs = [*(job for job, _ in done), *refused]
            if job is not None and not is_damage(error) and not is_passing(error):
                # The fault is that operation's own; the others must not suffer from it.
                waiting.extendleft(reversed(jobs))
                jobs = [job]
            else:
                jobs += [*([job] if job is not None else []), *waiting]
                waiting.clear()
            self._fail(jobs, error)
        else:
            self._keeper.committed()
            self._note_commit(len(done))
            if any(job.checkpoint for job, _ in done):
                self._checkpoint()
            self._loop.call_soon_threadsafe(self._answer, done, refused)
            if self._counter.log_bytes > _CHECKPOINT_BYTES:
                self._checkpoint()

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, and says so with another one.
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._log.limited((str(error),), "rollback-failed", file=self._path, error=error)
        self._keeper.taken_back()

    def _checkpoint(self) -> None:
        try:
            _, _, frames = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # What is in the log is safe there; it is tried again after the next commit.
            self._log.limited((str(error),), "checkpoint-failed", file=self._path, error=error)
            if is_damage(error):
                self._loop.call_soon_threadsafe(self._give_up, error)
        else:
            self._counter.checkpointed(frames)

    def _note_commit(self, jobs: int) -> None:
        self._counter.committed()
        stats = self._stats
        self._stats = StoreStats(
            commits=stats.commits + 1,
            jobs=stats.jobs + jobs,
            failed=stats.failed,
            evicted_readings=self._keeper.evicted,
            disk=self._counter.counts(),
            space=self._keeper.space,
        )

    def _fail(self, jobs: list[_Job], error: BaseException) -> None:
        self._stats = replace(self._stats, failed=self._stats.failed + 1)
        self._log.limited((str(error),), "commit-failed", file=self._path, error=error)
        failure = StoreUnavailableError(f"{self._path} took nothing: {error}")
        self._loop.call_soon_threadsafe(_set_exception, jobs, failure)
        if is_damage(error):
            self._loop.call_soon_threadsafe(self._give_up, error)

    def _give_up(self, error: BaseException) -> None:
        if not self._failed.done():
            self._database.suspect()
            self._failed.set_exception(
                StoreError(
                    f"the store {self._path} is damaged: {error}. Start the gateway again: it moves"
                    " the file aside and saves what can be read of it"
                )
            )

    def _answer(self, done: list[tuple[_Job, Any]], refused: list[_Job]) -> None:
        for job, result in done:
            if not job.future.done():
                job.future.set_result(result)
        if refused:
            _set_exception(refused, StoreFullError(f"{self._path} is full; nothing was stored"))
        for callback in self._on_commit:
            callback()


def _set_exception(jobs: list[_Job], failure: StoreUnavailableError) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(failure)
