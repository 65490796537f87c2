"""Looks into a store from outside, whether or not its gateway runs, and never writes to it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from feltpost_gateway.errors import StoreError, StoreUnavailableError
from feltpost_gateway.migrations import SCHEMA_VERSION
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.texts import text

_BUSY_TIMEOUT_S = 5.0
_LOCKS = Path("/proc/locks")


@contextmanager
def open_view(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that reads the store at `path`.

    Raises `OperatorError` where there is none, or only the gateway's user may read it, and
    `StoreError` or `StoreUnavailableError` where it can't be read.
    """
    is_closed = path.parent.exists() and not os.access(path.parent, os.R_OK | os.X_OK)
    if is_closed or (path.exists() and not os.access(path, os.R_OK)):
        raise OperatorError(
            text(
                "{file} can't be read by this user. Run the command as the gateway's user, or"
                " with sudo",
                file=str(path),
            )
        )
    if not path.exists():
        raise OperatorError(
            text("there is no store {file} yet. It is made when the gateway runs", file=str(path))
        )
    try:
        with closing(
            sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro",
                uri=True,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
            )
        ) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version != SCHEMA_VERSION:
                raise StoreError(
                    f"the store {path} has schema version {version} and this program knows version"
                    f" {SCHEMA_VERSION}. Start the gateway of this version once"
                )
            yield connection
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"{path} can't be read: {error}") from error


def find_gateway(path: Path) -> int | None:
    """Return the process id of the gateway that has the store open, None where none has.

    The lock is looked at, not taken: that could keep a gateway from starting.
    """
    try:
        inode = path.with_name(path.name + ".lock").stat().st_ino
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 708 08:01:2097547 0 EOF (proc_locks(5))
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None
