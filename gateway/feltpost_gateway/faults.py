"""Which errors of the disk and of SQLite pass by themselves, and which mean a damaged file."""

import errno
import sqlite3

_DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_PASSING = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    )
)
_PASSING_ERRNOS = frozenset(
    (
        errno.EAGAIN,
        errno.EDQUOT,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENODEV,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EROFS,
        errno.ESTALE,
    )
)


def is_damage(error: BaseException) -> bool:
    """Tell whether SQLite found the file itself to be wrong."""
    # What it says of a damaged schema quotes that, and may be no text for the sqlite3 module.
    if isinstance(error, UnicodeDecodeError):
        return True
    return isinstance(error, sqlite3.Error) and _primary_code(error) in _DAMAGED


def is_other_schema(error: BaseException) -> bool:
    """Tell whether a statement did not fit the file's tables.

    Those that bring a store up to date do, unless a name in it is not what it was. Of any other
    statement it may be the fault.
    """
    return isinstance(error, sqlite3.Error) and _primary_code(error) == sqlite3.SQLITE_ERROR


def is_passing(error: BaseException) -> bool:
    """Tell whether the same thing can succeed later: disk full, failing, read-only or in use."""
    if isinstance(error, sqlite3.Error):
        return _primary_code(error) in _PASSING
    return isinstance(error, OSError) and error.errno in _PASSING_ERRNOS


def _primary_code(error: sqlite3.Error) -> int | None:
    # Errors that the sqlite3 module itself raises have no code. The low byte of SQLite's extended
    # result codes is the primary one.
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
