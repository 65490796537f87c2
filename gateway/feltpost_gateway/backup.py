"""Backups of a gateway: its store, its enrolment key and its configuration, in one file.

A backup is taken while the gateway runs, by SQLite's own means, so that it is the store of one
moment. What comes back is older than what nodes and brokers have seen since, and so the OSCORE
state (RFC 8613) is left out when it is put in place:

- the replay windows, so that the first request under each key is answered by an Echo challenge
  (appendix B.1.2) and no old request is taken for a new one;
- the sender sequence numbers, so that each key goes on at a random one (`security`), far from those
  that the gateway has used since.
"""

import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from feltpost_gateway import enrol_files
from feltpost_gateway.config import Config
from feltpost_gateway.database import Database
from feltpost_gateway.migrations import SCHEMA_VERSION
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.operator_access import as_owner_of
from feltpost_gateway.sealing import MAGIC, SealedReader, SealedWriter
from feltpost_gateway.store_view import open_view
from feltpost_gateway.texts import text
from feltpost_gateway.whole_file import sync_directory

_FORMAT = 1
_ABOUT = "feltpost-backup.json"
_STORE = "feltpost.db"
_ENROL_KEY = "enrol-key"
_CONFIGURATION = "gateway.toml"
_MODE = 0o600
_COPY_BYTES = 1 << 20
# An infinite number, and nesting without end, are JSON to Python.
_NOT_UNDERSTOOD = (ValueError, KeyError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Backup:
    """What a backup says of itself: when it was made (Unix ms), and the store's schema version."""

    made_ms: int
    schema: int


def write(
    config: Config, configuration: Path, target: BinaryIO, now_ms: int, passphrase: str | None
) -> None:
    """Write a backup to `target`, encrypted where there is a passphrase.

    Raises `OperatorError` where there is no store, or no room beside it for a copy of it, and
    `StoreUnavailableError`.
    """
    store = config.store.path
    sealed = None if passphrase is None else SealedWriter(target, passphrase)
    about = {"format": _FORMAT, "made_ms": now_ms, "schema": SCHEMA_VERSION}
    # Of a file, tarfile's streams use nothing but write and read.
    stream: Any = sealed or target
    with tarfile.open(mode="w|", fileobj=stream, format=tarfile.PAX_FORMAT) as archive:
        _add(archive, _ABOUT, json.dumps(about).encode())
        _add(archive, _CONFIGURATION, configuration.read_bytes())
        key = enrol_files.key_path(store)
        _add(archive, _ENROL_KEY, key.read_bytes() if key.exists() else b"")
        with _snapshot(store, config.store.min_free_mib << 20) as snapshot:
            archive.add(snapshot, _STORE, filter=_anonymous)
    if sealed is not None:
        sealed.finish()


@contextmanager
def _snapshot(store: Path, min_free_bytes: int) -> Iterator[Path]:
    """Give a copy of the store as it is at this moment, beside it, where nobody else can read."""
    copy = store.with_name(f"{store.name}.backup")
    with open_view(store) as view, as_owner_of(store.parent):
        space = os.statvfs(store.parent)
        needed = store.stat().st_size + min_free_bytes
        if space.f_bavail * space.f_frsize < needed:
            raise OperatorError(
                text(
                    "{directory} has no room for a copy of the store, which takes {needed} MiB."
                    " Remove what is not needed",
                    directory=str(store.parent),
                    needed=needed >> 20,
                )
            )
        try:
            copy.unlink(missing_ok=True)
            copy.touch(_MODE)
            with closing(sqlite3.connect(copy)) as target:
                view.backup(target)
            yield copy
        finally:
            copy.unlink(missing_ok=True)


def is_sealed(source: BinaryIO) -> bool:
    """Tell whether a backup is encrypted; `source` is at its beginning again."""
    start = source.read(len(MAGIC))
    source.seek(0)
    return start == MAGIC


class Restoring:
    """A backup that is being read."""

    def __init__(self, source: BinaryIO, passphrase: str | None) -> None:
        """Read what it says of itself.

        Raises `OperatorError` where it is not a backup, or one of a newer gateway.
        """
        if passphrase is not None:
            source.seek(len(MAGIC))
        plain: Any = source if passphrase is None else SealedReader(source, passphrase)
        try:
            self._archive = tarfile.open(mode="r|", fileobj=plain)  # noqa: SIM115
            about = json.loads(self._read(_ABOUT))
            self.about = Backup(int(about["made_ms"]), int(about["schema"]))
            is_known = about["format"] == _FORMAT
            self.configuration = self._read(_CONFIGURATION)
            self._enrol_key = self._read(_ENROL_KEY)
        except (tarfile.TarError, *_NOT_UNDERSTOOD) as error:
            raise _not_a_backup(error) from None
        if not is_known or self.about.schema > SCHEMA_VERSION:
            raise OperatorError(
                text(
                    "it was made by a newer gateway (schema version {version}; this one knows"
                    " versions up to {known}). Install that version first",
                    version=self.about.schema,
                    known=SCHEMA_VERSION,
                )
            )

    def put_in_place(self, store: Path, *, replace: bool) -> Path | None:
        """Make the store that the backup has, and keep every gateway away meanwhile.

        Return where the store is that was there before, None where there was none. Raises
        `OperatorError` where there is one and `replace` is false, and `StoreError` where a gateway
        runs.
        """
        if not store.parent.exists():
            store.parent.mkdir(mode=0o700, parents=True)
        with as_owner_of(store.parent), Database(store).locked():
            if store.exists() and not replace:
                raise OperatorError(
                    text(
                        "there is a store {file} already. With --replace it is moved aside",
                        file=str(store),
                    )
                )
            restored = store.with_name(f"{store.name}.restored")
            try:
                self._extract(restored)
                _forget_sessions(restored)
                aside = _exchange(store, restored)
            except tarfile.TarError as error:
                raise _not_a_backup(error) from None
            finally:
                restored.unlink(missing_ok=True)
            if self._enrol_key:
                key = enrol_files.key_path(store)
                key.touch(_MODE)
                key.write_bytes(self._enrol_key)
            return aside

    def _extract(self, restored: Path) -> None:
        member = self._archive.next()
        content = None if member is None else self._archive.extractfile(member)
        if member is None or member.name != _STORE or content is None:
            raise tarfile.TarError(f"{_STORE} is missing")
        restored.unlink(missing_ok=True)
        restored.touch(_MODE)
        with restored.open("wb") as file:
            while chunk := content.read(_COPY_BYTES):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, name: str) -> bytes:
        member = self._archive.next()
        if member is None or member.name != name:
            raise tarfile.TarError(f"{name} is missing")
        content = self._archive.extractfile(member)
        if content is None:
            raise tarfile.TarError(f"{name} is not a file")
        return bytes(content.read())


def _not_a_backup(reason: Exception) -> OperatorError:
    return OperatorError(text("it is not a backup of a gateway: {reason}", reason=str(reason)))


def _forget_sessions(path: Path) -> None:
    """Check a restored store and take out of it what is not to be believed any more."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict == "ok":
                connection.execute("DELETE FROM oscore")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return
    except sqlite3.Error as error:
        verdict = str(error)
    raise OperatorError(text("the store in the backup is damaged: {reason}", reason=verdict))


def _exchange(store: Path, restored: Path) -> Path | None:
    """Put the restored store in its place; return where the one before it is now."""
    aside = None
    if store.exists():
        number = 1
        while store.with_name(f"{store.name}.replaced-{number}").exists():
            number += 1
        aside = store.with_name(f"{store.name}.replaced-{number}")
        # The log goes too: beside the new file it would be taken for that one's.
        for suffix in ("-wal", "-shm", ""):
            file = store.with_name(store.name + suffix)
            if file.exists():
                file.rename(aside.with_name(aside.name + suffix))
    for suffix in ("-wal", "-shm"):
        restored.with_name(restored.name + suffix).unlink(missing_ok=True)
    restored.rename(store)
    sync_directory(store.parent)
    return aside


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = _MODE
    archive.addfile(member, io.BytesIO(content))


def _anonymous(member: tarfile.TarInfo) -> Any:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
