"""What the store keeps, as operations inside one transaction of the writer.

Nothing is cached here: the database is the only state, so a rollback leaves nothing behind.
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

MAX_NUMBER = (1 << 32) - 1
"""The highest journal and the highest sequence number."""

REPORTS_KEPT = 20
"""How many reports of a node are kept, the latest ones."""

_PACK_HEAD = struct.Struct("<6q")


class GapReason(IntEnum):
    """Why a number will never come.

    1 to 4 are on the wire (docs/protocol.md); 0 may still come; the others are the gateway's own
    (docs/durability.md).
    """

    UNSEEN = 0
    JOURNAL_FULL = 1
    PAGE_CORRUPT = 2
    REJECTED = 3
    LOST_WITH_POWER = 4
    UNREADABLE = 5
    EVICTED = 6
    DAMAGED = 7


@dataclass(frozen=True)
class NodeRow:
    """A node as the store knows it; `eui64` has 8 bytes."""

    eui64: bytes
    name: str
    owner: str
    site: str


@dataclass(frozen=True)
class SecurityRow:
    """OSCORE state of one key; the window is None where there is none (RFC 8613 section 3.1)."""

    key_id: bytes
    fingerprint: bytes
    window: tuple[int, int] | None
    sender_reserved: int


@dataclass(frozen=True)
class Pack:
    """Readings `first`, `first`+1, … of a journal; `first` is None where the gateway numbers."""

    node_id: int
    journal: int
    first: int | None
    count: int
    received_ms: int
    body: bytes


@dataclass(frozen=True)
class Gap:
    """Numbers of a journal that will never come."""

    node_id: int
    journal: int
    first: int
    count: int
    reason: GapReason
    noted_ms: int


@dataclass(frozen=True)
class Report:
    """What a node said of itself after a boot (docs/protocol.md, "Reports")."""

    node_id: int
    boot: int
    received_ms: int
    body: bytes


@dataclass(frozen=True)
class StoredPack:
    """A row of packs, with its node; `body` is empty where the row fails its checksum."""

    id: int
    node_id: int
    node: NodeRow
    journal: int
    first: int
    count: int
    skip: int
    received_ms: int
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """What an operation on a journal did.

    `next_seq` is the next number expected, `stored` how many numbers were new, `unseen` how many
    were found missing before them.
    """

    next_seq: int
    stored: int
    unseen: int


class Transaction:
    """The operations; every method must run inside a transaction that its caller commits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @property
    def connection(self) -> sqlite3.Connection:
        """The writer's connection, for operations on tables that have a module of their own."""
        return self._db

    def register_node(self, node: NodeRow) -> int:
        """Return the id of the node's row, new or brought up to date."""
        self._db.execute(
            "INSERT INTO nodes (eui64, name, owner, site) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (eui64) DO UPDATE"
            " SET name = excluded.name, owner = excluded.owner, site = excluded.site",
            (node.eui64, node.name, node.owner, node.site),
        )
        row = self._db.execute("SELECT id FROM nodes WHERE eui64 = ?", (node.eui64,)).fetchone()
        return int(row[0])

    def load_security(self, key_id: bytes, fingerprint: bytes) -> SecurityRow | None:
        """Return what is stored for a key, None for a key never seen by this store."""
        row = self._db.execute(
            "SELECT window_index, window_bits, sender_reserved FROM oscore"
            " WHERE key_id = ? AND fingerprint = ?",
            (key_id, fingerprint),
        ).fetchone()
        if row is None:
            return None
        window = None if row[0] is None else (int(row[0]), int(row[1]))
        return SecurityRow(key_id, fingerprint, window, int(row[2]))

    def save_security(self, row: SecurityRow) -> None:
        """Store the OSCORE state of a key; a reservation of sender numbers never shrinks."""
        index, bits = row.window if row.window else (None, None)
        self._db.execute(
            "INSERT INTO oscore VALUES (?, ?, ?, ?, ?) ON CONFLICT (key_id, fingerprint) DO UPDATE"
            " SET window_index = excluded.window_index, window_bits = excluded.window_bits,"
            " sender_reserved = max(sender_reserved, excluded.sender_reserved)",
            (row.key_id, row.fingerprint, index, bits, row.sender_reserved),
        )

    def append(self, pack: Pack) -> Outcome:
        """Store those numbers of a pack that are neither stored nor accounted for as lost."""
        next_seq = self._next_seq(pack.node_id, pack.journal)
        first = next_seq if pack.first is None else pack.first
        end = first + pack.count
        wanted = self._take_unseen(pack.node_id, pack.journal, first, end)
        unseen = self._note_unseen(pack.node_id, pack.journal, next_seq, first, pack.received_ms)
        if end > next_seq:
            wanted.append((max(first, next_seq), end))
            next_seq = end
            self._set_next_seq(pack.node_id, pack.journal, next_seq)
        for start, stop in wanted:
            self._db.execute(
                "INSERT INTO packs"
                " (node_id, journal, first, count, skip, received_ms, body, checksum)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                with_checksum(
                    pack.node_id,
                    pack.journal,
                    start,
                    stop - start,
                    start - first,
                    pack.received_ms,
                    pack.body,
                ),
            )
        return Outcome(next_seq, sum(stop - start for start, stop in wanted), unseen)

    def note_gap(self, gap: Gap) -> Outcome:
        """Note numbers as lost, except those that are stored already."""
        next_seq = self._next_seq(gap.node_id, gap.journal)
        end = gap.first + gap.count
        lost = self._take_unseen(gap.node_id, gap.journal, gap.first, end)
        unseen = self._note_unseen(gap.node_id, gap.journal, next_seq, gap.first, gap.noted_ms)
        if end > next_seq:
            lost.append((max(gap.first, next_seq), end))
            next_seq = end
            self._set_next_seq(gap.node_id, gap.journal, next_seq)
        self._insert_gaps(gap.node_id, gap.journal, lost, gap.reason, gap.noted_ms)
        return Outcome(next_seq, sum(stop - start for start, stop in lost), unseen)

    def note_unreadable(self, pack_id: int, noted_ms: int) -> None:
        """Account for a stored pack that can't be delivered, as a gap."""
        self._db.execute(
            "INSERT OR IGNORE INTO gaps SELECT node_id, journal, first, count, ?, ? FROM packs"
            " WHERE id = ?",
            (GapReason.UNREADABLE, noted_ms, pack_id),
        )

    def save_cursor(self, destination: str, pack_id: int) -> None:
        """Note that a destination has every pack up to `pack_id`."""
        self._db.execute(
            "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (destination) DO UPDATE"
            " SET pack_id = excluded.pack_id",
            (destination, pack_id),
        )

    def save_report(self, report: Report) -> bytes | None:
        """Store a report in place of the one that the node gave of that boot, which is returned.

        Only the node's latest `REPORTS_KEPT` are kept.
        """
        key = (report.node_id, report.boot)
        row = self._db.execute(
            "DELETE FROM reports WHERE node_id = ? AND boot = ? RETURNING body", key
        ).fetchone()
        self._db.execute(
            "INSERT INTO reports (node_id, boot, received_ms, body) VALUES (?, ?, ?, ?)",
            (*key, report.received_ms, report.body),
        )
        self._db.execute(
            "DELETE FROM reports WHERE node_id = ?1 AND id NOT IN"
            " (SELECT id FROM reports WHERE node_id = ?1 ORDER BY id DESC LIMIT ?2)",
            (report.node_id, REPORTS_KEPT),
        )
        return None if row is None else bytes(row[0])

    def _next_seq(self, node_id: int, journal: int) -> int:
        row = self._db.execute(
            "SELECT next_seq FROM journals WHERE node_id = ? AND journal = ?", (node_id, journal)
        ).fetchone()
        return int(row[0]) if row else 0

    def _set_next_seq(self, node_id: int, journal: int, next_seq: int) -> None:
        self._db.execute(
            "INSERT INTO journals VALUES (?, ?, ?, 0) ON CONFLICT (node_id, journal) DO UPDATE"
            " SET next_seq = excluded.next_seq",
            (node_id, journal, next_seq),
        )

    def _note_unseen(
        self, node_id: int, journal: int, next_seq: int, first: int, now_ms: int
    ) -> int:
        if first <= next_seq:
            return 0
        self._insert_gaps(node_id, journal, [(next_seq, first)], GapReason.UNSEEN, now_ms)
        return first - next_seq

    def _insert_gaps(
        self,
        node_id: int,
        journal: int,
        ranges: Iterable[tuple[int, int]],
        reason: GapReason,
        noted_ms: int,
    ) -> None:
        self._db.executemany(
            "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)",
            [(node_id, journal, start, end - start, reason, noted_ms) for start, end in ranges],
        )

    def _take_unseen(
        self, node_id: int, journal: int, first: int, end: int
    ) -> list[tuple[int, int]]:
        """Cut [first, end) out of the unseen gaps and return the parts that were in them."""
        rows = self._db.execute(
            "SELECT first, count, noted_ms FROM gaps WHERE node_id = ? AND journal = ?"
            " AND reason = ? AND first < ? AND first + count > ? ORDER BY first",
            (node_id, journal, GapReason.UNSEEN, end, first),
        ).fetchall()
        taken = []
        for gap_first, count, noted_ms in rows:
            gap_end = gap_first + count
            self._db.execute(
                "DELETE FROM gaps WHERE node_id = ? AND journal = ? AND first = ?",
                (node_id, journal, gap_first),
            )
            rest = [(gap_first, max(gap_first, first)), (min(gap_end, end), gap_end)]
            self._insert_gaps(
                node_id,
                journal,
                [(start, stop) for start, stop in rest if start < stop],
                GapReason.UNSEEN,
                noted_ms,
            )
            taken.append((max(gap_first, first), min(gap_end, end)))
        return taken


def load_cursor(connection: sqlite3.Connection, destination: str) -> int:
    """Return the id of the last pack that a destination has, 0 for none."""
    row = connection.execute(
        "SELECT pack_id FROM cursors WHERE destination = ?", (destination,)
    ).fetchone()
    return int(row[0]) if row else 0


def pack_checksum(
    node_id: int, journal: int, first: int, count: int, skip: int, received_ms: int, body: bytes
) -> int:
    """Return the CRC-32 that a row of packs is stored with."""
    head = _PACK_HEAD.pack(node_id, journal, first, count, skip, received_ms)
    return zlib.crc32(body, zlib.crc32(head))


def with_checksum(
    node_id: int, journal: int, first: int, count: int, skip: int, received_ms: int, body: bytes
) -> tuple[int | bytes, ...]:
    """Return a row of packs without its id."""
    row = (node_id, journal, first, count, skip, received_ms, body)
    return (*row, pack_checksum(*row))


def _is_intact(row: list[Any], checksum: int) -> bool:
    try:
        return pack_checksum(*row) == checksum
    except (TypeError, struct.error):
        # A column lost its type. SQLite looks at types only when it writes.
        return False


def read_packs(connection: sqlite3.Connection, after_id: int, limit: int) -> list[StoredPack]:
    """Return the packs that follow `after_id`, oldest first, at most `limit`."""
    rows = connection.execute(
        "SELECT packs.id, eui64, name, owner, site, node_id, journal, first, count, skip,"
        " received_ms, body, checksum"
        " FROM packs JOIN nodes ON nodes.id = node_id WHERE packs.id > ? ORDER BY packs.id LIMIT ?",
        (after_id, limit),
    )
    packs = []
    for pack_id, eui64, name, owner, site, *row, checksum in rows:
        intact = _is_intact(row, checksum)
        node_id, journal, first, count, skip, received_ms, body = row
        packs.append(
            StoredPack(
                pack_id,
                node_id,
                NodeRow(eui64, name, owner, site),
                journal,
                first,
                count,
                skip,
                received_ms,
                body if intact else b"",
            )
        )
    return packs


def read_reports(connection: sqlite3.Connection, node_id: int) -> list[Report]:
    """Return a node's reports, the latest first."""
    rows = connection.execute(
        "SELECT node_id, boot, received_ms, body FROM reports WHERE node_id = ? ORDER BY id DESC",
        (node_id,),
    )
    return [Report(*row) for row in rows]
