"""Brings a store's file to the newest schema, from whichever version it has.

Version n is made from version n-1 by `schema/000n.sql`, in one transaction; a file that has been
released is never edited. What can't be done in a transaction, the page size and the ability to
shrink, is looked for in the file itself and mended by a VACUUM.
"""

import sqlite3
from contextlib import closing
from importlib import resources

from feltpost_gateway.errors import StoreError
from feltpost_gateway.transaction import pack_checksum

SCHEMA_VERSION = 7

# A commit of one pack changes four pages or five. Small ones halve what that writes to the disk
# (9 kB instead of 21 kB, measured), and a row of a pack rarely needs more than one.
PAGE_BYTES = 1024
_AUTO_VACUUM_INCREMENTAL = 2


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Make the tables, or change them, until they are those of `SCHEMA_VERSION`.

    `name` is what the file is called in messages. Raises `StoreError` for a file that is newer, or
    not a store, and `sqlite3.Error` where the disk fails; the file is then what it was before.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store {name} has schema version {version}; this gateway knows versions"
            f" up to {SCHEMA_VERSION}. Install the newer gateway that wrote it"
        )
    if version == 0:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise StoreError(
                f"{name} is the database of another program. Give the store a file of its own"
            )
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA auto_vacuum = {_AUTO_VACUUM_INCREMENTAL}")
    connection.create_function("pack_checksum", 7, pack_checksum, deterministic=True)
    for number in range(version + 1, SCHEMA_VERSION + 1):
        script = resources.files("feltpost_gateway") / "schema" / f"{number:04}.sql"
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;"
        )


def has_whole_schema(connection: sqlite3.Connection) -> bool:
    """Tell whether every table and index has the columns that `migrate` gives it.

    What else there is may be. How a statement was written down is another release of SQLite's
    affair, so the columns are compared and not the text.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, "a fresh store")
        return _columns(fresh) <= _columns(connection)


def _columns(connection: sqlite3.Connection) -> set[tuple[object, ...]]:
    columns = connection.execute(
        """SELECT tables.name, columns.name, columns.type, columns."notnull", columns.pk
        FROM sqlite_schema AS tables JOIN pragma_table_xinfo(tables.name) AS columns
        WHERE tables.type = 'table'"""
    )
    indexed = connection.execute(
        """SELECT indices.tbl_name, indices.name, columns.seqno, columns.name
        FROM sqlite_schema AS indices JOIN pragma_index_xinfo(indices.name) AS columns
        WHERE indices.type = 'index'"""
    )
    return {*columns, *indexed}


def is_shrinkable(connection: sqlite3.Connection) -> bool:
    """Tell whether the file can give unused pages back, which the first stores could not."""
    mode = int(connection.execute("PRAGMA auto_vacuum").fetchone()[0])
    return mode == _AUTO_VACUUM_INCREMENTAL


def make_shrinkable(connection: sqlite3.Connection) -> None:
    """Write the whole file anew, with small pages and able to shrink.

    It takes as much room again as the file has. A power cut or an error leaves the file as it was;
    `sqlite3.Error` is raised for the latter.
    """
    connection.execute("PRAGMA journal_mode = DELETE")
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA auto_vacuum = {_AUTO_VACUUM_INCREMENTAL}")
        connection.execute("VACUUM")
    finally:
        connection.execute("PRAGMA journal_mode = WAL")
