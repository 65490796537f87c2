"""The store's file: made, locked, checked, salvaged where it is damaged, brought up to date.

Whatever can pass by itself (no room, a failing or read-only disk) is a `StoreUnavailableError`,
and `open` can be called again; whatever needs a person is a `StoreError`.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feltpost_gateway import salvage
from feltpost_gateway.errors import StoreError, StoreUnavailableError
from feltpost_gateway.faults import is_damage, is_other_schema, is_passing
from feltpost_gateway.logs import EventLog
from feltpost_gateway.migrations import (
    has_whole_schema,
    is_shrinkable,
    make_shrinkable,
    migrate,
)

_BUSY_TIMEOUT_S = 5.0

# A large store on a slow card takes minutes to check. What is not found in this time is found when
# it is read, and salvaged at the next start.
_CHECK_MAX_S = 15.0
_CHECK_STEPS = 10_000


class Database:
    """The file `path`, which one gateway at a time has open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = EventLog("store")
        self._lock_fd: int | None = None

    def open(self) -> sqlite3.Connection:
        """Return a connection that may write; the file is ours until `close`."""
        try:
            # The file is made by us, not by SQLite, so that nobody else can ever read it.
            self._lock()
            self._finish_salvage()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if self._suspect.exists():
                self._salvage("damage was met when it was last in use")
            elif salvage.has_damaged_log(self._path):
                self._salvage("its log is damaged, with commits after the damage")
            try:
                return self._open_sound()
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not is_damage(error) and not is_other_schema(error):
                    raise
                self._salvage(str(error))
            return self._open_sound()
        except (sqlite3.Error, OSError) as error:
            self.close()
            if is_passing(error):
                raise StoreUnavailableError(f"{self._path} can't be opened: {error}") from error
            raise StoreError(
                f"the store {self._path} can't be opened: {error}. Check that the directory"
                " exists and belongs to the gateway's user, and that the file is a Feltpost store"
            ) from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every gateway away from the file meanwhile; raise `StoreError` where one has it."""
        self._lock()
        try:
            yield
        finally:
            self.close()

    def connect(self) -> sqlite3.Connection:
        """Return one more connection to the file that `open` has made ready."""
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            # The writer does it itself, after it has answered.
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Let another gateway have the file; its connections must be closed already."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def suspect(self) -> None:
        """Have the next `open` salvage the file, since damage was met while it was in use."""
        try:
            self._suspect.touch(mode=0o600)
        except OSError as error:
            self._log.error("not-marked", file=self._suspect, reason=error)

    @property
    def _suspect(self) -> Path:
        return self._path.with_name(self._path.name + ".suspect")

    def _lock(self) -> None:
        """Keep a second gateway out: two of them would use the same nonces."""
        if self._lock_fd is not None:
            return
        self._lock_fd = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"the store {self._path} is in use by another gateway. Stop that one first, or"
                " give this one a store of its own"
            ) from None

    def _open_sound(self) -> sqlite3.Connection:
        connection = self.connect()
        try:
            self._check(connection)
            migrate(connection, str(self._path))
            if not has_whole_schema(connection):
                raise _damage("its tables are not what they were")
            if not is_shrinkable(connection):
                self._make_shrinkable(connection)
            connection.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Raise the error of a damaged database where a bounded look finds it to be one."""
        until_s = time.monotonic() + _CHECK_MAX_S
        connection.set_progress_handler(lambda: time.monotonic() > until_s, _CHECK_STEPS)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            self._log.warning("not-wholly-checked", file=self._path, after_s=_CHECK_MAX_S)
            return
        finally:
            connection.set_progress_handler(None, 0)
        if verdict != "ok":
            raise _damage(verdict)

    def _make_shrinkable(self, connection: sqlite3.Connection) -> None:
        try:
            make_shrinkable(connection)
        except sqlite3.Error as error:
            if not is_passing(error):
                raise
            self._log.warning("not-shrinkable", file=self._path, reason=error)

    def _finish_salvage(self) -> None:
        moved_to = salvage.finish(self._path)
        if moved_to is not None:
            self._log.error("salvage-finished", file=self._path, damaged_file=moved_to)
            self._suspect.unlink(missing_ok=True)

    def _salvage(self, reason: str) -> None:
        if not salvage.looks_like_store(self._path):
            raise StoreError(
                f"{self._path} is not a database. Check the path in the configuration; a store"
                " that is beyond all reading has to be moved away by hand"
            )
        self._log.error("damaged", file=self._path, reason=reason, action="salvaging")
        done = salvage.salvage(self._path)
        self._log.error(
            "salvaged",
            file=self._path,
            damaged_file=done.moved_to,
            packs=done.packs,
            packs_without_node=done.packs_dropped,
            readings_lost=done.readings_lost,
            unreadable_pages=done.unreadable_pages,
            events=done.events,
            contacts=done.contacts,
            not_kept=", ".join(salvage.NOT_KEPT),
        )
        self._suspect.unlink(missing_ok=True)


def _damage(what: str) -> sqlite3.DatabaseError:
    damage = sqlite3.DatabaseError(what)
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return damage
