"""The store: one SQLite file, one writer thread, one commit for many requests.

What `write` returned for is on the disk (WAL, synchronous=FULL). Requests that arrive while a
commit is under way share the next one. `transaction` has the operations themselves.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from feltpost_gateway.errors import StoreError, StoreUnavailableError
from feltpost_gateway.logs import EventLog
from feltpost_gateway.transaction import StoredPack, Transaction, load_cursor, read_packs

Result = TypeVar("Result")

_QUEUE_MAX_JOBS = 1024
_BATCH_MAX_JOBS = 256
_BUSY_TIMEOUT_S = 5.0
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class _Job:
    operation: Callable[[Transaction], Any]
    future: "asyncio.Future[Any]"


class Store:
    """A store at `path`; every method belongs to the event loop that called `open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = EventLog("store")
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_QUEUE_MAX_JOBS)
        self._on_commit: list[Callable[[], None]] = []
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._writer_thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._writer: sqlite3.Connection
        self._reader: sqlite3.Connection
        self._lock_fd: int | None = None
        self.commits = 0

    async def open(self) -> None:
        """Open the file, made and brought to the newest schema where needed.

        Raises `StoreError`, naming the file, where that can't be done.
        """
        self._loop = asyncio.get_running_loop()
        self._writer, self._reader = await asyncio.to_thread(self._connect)
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
        self._reader.close()
        self._writer.close()
        self._unlock()

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have `callback` run on the event loop after each commit."""
        self._on_commit.append(callback)

    async def write(self, operation: Callable[[Transaction], Result]) -> Result:
        """Run `operation` in a transaction and return its result once that is on the disk.

        The operation runs on the writer's thread. It is carried out even where the caller stops
        waiting. Raises `StoreUnavailableError` where nothing of it was stored.
        """
        if self._writer_thread is None:
            raise StoreUnavailableError(f"{self._path}: the store is closed")
        future: asyncio.Future[Result] = self._loop.create_future()
        try:
            self._jobs.put_nowait(_Job(operation, future))
        except queue.Full:
            raise StoreUnavailableError(
                f"{self._path}: {_QUEUE_MAX_JOBS} requests wait for the disk already"
            ) from None
        return await future

    async def read_packs(self, after_id: int, limit: int) -> list[StoredPack]:
        """Return the packs that follow `after_id`, oldest first, at most `limit`."""
        return await self._read(lambda reader: read_packs(reader, after_id, limit))

    async def load_cursor(self, destination: str) -> int:
        """Return the id of the last pack that a destination has, 0 for none."""
        return await self._read(lambda reader: load_cursor(reader, destination))

    async def _read(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return await self._loop.run_in_executor(self._reader_thread, query, self._reader)
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"{self._path} can't be read: {error}") from error

    def _connect(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        with ExitStack() as undo:
            undo.callback(self._unlock)
            try:
                # The file is made by us, not by SQLite, so that nobody else can ever read it.
                self._path.touch(mode=0o600)
                self._lock()
                writer = undo.enter_context(closing(_open_connection(self._path)))
                writer.execute("PRAGMA journal_mode = WAL")
                writer.execute("PRAGMA synchronous = FULL")
                writer.execute("PRAGMA foreign_keys = ON")
                self._migrate(writer)
                reader = _open_connection(self._path)
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    f"the store {self._path} can't be opened: {error}. Check that the directory"
                    " exists and belongs to the gateway's user, that the disk is not full, and"
                    " that the file is a Feltpost store"
                ) from error
            undo.pop_all()
            return writer, reader

    def _lock(self) -> None:
        """Keep a second gateway out: two of them would use the same nonces."""
        self._lock_fd = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._unlock()
            raise StoreError(
                f"the store {self._path} is in use by another gateway. Stop that one first, or"
                " give this one a store of its own"
            ) from None

    def _unlock(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _migrate(self, writer: sqlite3.Connection) -> None:
        version = int(writer.execute("PRAGMA user_version").fetchone()[0])
        if version > _SCHEMA_VERSION:
            raise StoreError(
                f"the store {self._path} has schema version {version}; this gateway knows versions"
                f" up to {_SCHEMA_VERSION}. Install the newer gateway that wrote it"
            )
        for number in range(version + 1, _SCHEMA_VERSION + 1):
            script = resources.files("feltpost_gateway") / "schema" / f"{number:04}.sql"
            writer.executescript(
                f"BEGIN IMMEDIATE;\n{script.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;"
            )

    def _write_jobs(self) -> None:
        stopping = False
        while not stopping:
            batch: list[_Job] = []
            job = self._jobs.get()
            while True:
                if job is None:
                    stopping = True
                    break
                batch.append(job)
                if len(batch) == _BATCH_MAX_JOBS:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._write_batch(batch)

    def _write_batch(self, batch: list[_Job]) -> None:
        transaction = Transaction(self._writer)
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            results = [job.operation(transaction) for job in batch]
            self._writer.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - a waiting request must always get an answer
            self._roll_back()
            failure = StoreUnavailableError(f"{self._path} took nothing: {error}")
            self._log.limited((str(error),), "commit-failed", file=self._path, error=error)
            self._loop.call_soon_threadsafe(_fail, batch, failure)
        else:
            self.commits += 1
            self._loop.call_soon_threadsafe(self._succeed, batch, results)

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, and says so with another one.
        if self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK")
            except sqlite3.Error as error:
                self._log.error("rollback-failed", file=self._path, error=error)

    def _succeed(self, batch: list[_Job], results: list[Any]) -> None:
        for job, result in zip(batch, results, strict=True):
            if not job.future.done():
                job.future.set_result(result)
        for callback in self._on_commit:
            callback()


def _fail(batch: list[_Job], failure: StoreUnavailableError) -> None:
    for job in batch:
        if not job.future.done():
            job.future.set_exception(failure)


def _open_connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
