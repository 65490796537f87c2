"""Deletes packs: those whose time is over, and those that must make room for others.

All of it runs inside a transaction of the writer (`Transaction.connection`).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from feltpost_gateway.delivery import load_position
from feltpost_gateway.transaction import GapReason, load_cursor

_MAX_ID = (1 << 63) - 1


@dataclass(frozen=True)
class Eviction:
    """What was deleted to make room: packs, and readings that some destination did not have."""

    packs: int
    undelivered: int


@dataclass(frozen=True)
class Pages:
    """The database's size, and the part of it that holds nothing, in bytes."""

    file_bytes: int
    unused_bytes: int


def prune(
    connection: sqlite3.Connection, destinations: Iterable[str], before_ms: int, limit: int
) -> int:
    """Delete packs that came before `before_ms` and that every destination has.

    At most `limit` of the oldest are looked at; the number of deleted ones is returned. Those
    that one of `destinations` refused are left for a person to decide on.
    """
    names = tuple(destinations)
    rows = connection.execute(
        "DELETE FROM packs WHERE received_ms < ? AND id IN"
        f" (SELECT id FROM packs WHERE id <= ? AND NOT {_refused_by(names)}"
        " ORDER BY id LIMIT ?) RETURNING node_id, journal, first + count",
        (before_ms, _delivered(connection, names), *names, limit),
    ).fetchall()
    _note_deleted(connection, rows)
    return len(rows)


def evict(
    connection: sqlite3.Connection,
    destinations: Iterable[str],
    limit: int,
    only_delivered: bool,
    spared: Sequence[tuple[int, int]] = (),
) -> Eviction:
    """Delete the `limit` oldest packs to make room, or of those only the delivered ones.

    Those of the ranges `spared`, ids after the first up to the second, stay. Readings that a
    destination still lacks become gaps, dated by the newest pack, so that the clock is not
    needed; neighbours make one gap, so that a long outage doesn't fill the store with gaps.
    """
    names = tuple(destinations)
    delivered = _delivered(connection, names)
    had = [_had_by(connection, name) for name in names]
    newest = connection.execute("SELECT received_ms FROM packs ORDER BY id DESC LIMIT 1").fetchone()
    rows = connection.execute(
        f"SELECT id, node_id, journal, first, count, {_refused_by(names)} FROM packs"
        f" WHERE id <= ?{' AND NOT (id > ? AND id <= ?)' * len(spared)} ORDER BY id LIMIT ?",
        (*names, delivered if only_delivered else _MAX_ID, *chain(*spared), limit),
    ).fetchall()
    connection.executemany("DELETE FROM packs WHERE id = ?", [(row[0],) for row in rows])
    undelivered = 0
    for pack_id, node_id, journal, first, count, refused in rows:
        if refused or not had or not all(_is_in(ranges, pack_id) for ranges in had):
            undelivered += count
            _extend_gap(connection, node_id, journal, first, count, int(newest[0]))
    _note_deleted(connection, [(row[1], row[2], row[3] + row[4]) for row in rows])
    return Eviction(len(rows), undelivered)


def count_pages(connection: sqlite3.Connection) -> Pages:
    """Return how large the database is, and how much of that holds nothing."""
    size, pages, unused = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return Pages(pages * size, unused * size)


def vacuum(connection: sqlite3.Connection, pages: int) -> int:
    """Give up to `pages` unused pages back to the file system; return how many bytes went.

    The file gets shorter at the next checkpoint.
    """
    before = count_pages(connection).file_bytes
    # SQLite frees one page for each step of the statement, and Python's sqlite3 takes a single
    # step where there are no columns.
    for _ in range(pages):
        connection.execute("PRAGMA incremental_vacuum(1)")
    return before - count_pages(connection).file_bytes


def _delivered(connection: sqlite3.Connection, destinations: Iterable[str]) -> int:
    return min((load_cursor(connection, name) for name in destinations), default=0)


def _had_by(connection: sqlite3.Connection, destination: str) -> list[tuple[int, int]]:
    """Return which ids a destination has, as (after, up to)."""
    position = load_position(connection, destination)
    return [(0, position.cursor), *position.ahead]


def _note_deleted(connection: sqlite3.Connection, ends: Iterable[tuple[int, int, int]]) -> None:
    """Note the (node, journal, number after the last) of packs that were deleted."""
    highest: dict[tuple[int, int], int] = {}
    for node_id, journal, end in ends:
        highest[node_id, journal] = max(end, highest.get((node_id, journal), 0))
    connection.executemany(
        "UPDATE journals SET kept_from = max(kept_from, ?) WHERE node_id = ? AND journal = ?",
        [(end, *key) for key, end in highest.items()],
    )


def _extend_gap(
    connection: sqlite3.Connection, node_id: int, journal: int, first: int, count: int, now_ms: int
) -> None:
    """Note evicted numbers, as part of the evicted gap before them where there is one."""
    extended = connection.execute(
        "UPDATE gaps SET count = count + ?1 WHERE node_id = ?2 AND journal = ?3 AND first ="
        " (SELECT max(first) FROM gaps WHERE node_id = ?2 AND journal = ?3 AND first < ?4)"
        " AND first + count = ?4 AND reason = ?5 AND NOT EXISTS"
        " (SELECT 1 FROM gaps WHERE node_id = ?2 AND journal = ?3 AND first = ?4)",
        (count, node_id, journal, first, GapReason.EVICTED),
    ).rowcount
    if not extended:
        # A pack that could not be delivered is a gap already.
        connection.execute(
            "INSERT OR IGNORE INTO gaps VALUES (?, ?, ?, ?, ?, ?)",
            (node_id, journal, first, count, GapReason.EVICTED, now_ms),
        )


def _is_in(ranges: Iterable[tuple[int, int]], pack_id: int) -> bool:
    return any(after < pack_id <= upto for after, upto in ranges)


def _refused_by(destinations: tuple[str, ...]) -> str:
    """Return the condition that one of the destinations, its parameters, refused a pack."""
    places = ", ".join("?" * len(destinations))
    return (
        "EXISTS (SELECT 1 FROM dead_letters"
        f" WHERE pack_id = packs.id AND destination IN ({places}))"
    )
