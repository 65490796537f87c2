"""What the store keeps, as operations inside one transaction of the writer.

Nothing is cached here: the database is the only state, so a rollback leaves nothing behind.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

MAX_NUMBER = (1 << 32) - 1
"""The highest journal and the highest sequence number."""


class GapReason(IntEnum):
    """Why a number will never come (1 to 4 are on the wire, docs/protocol.md)."""

    UNSEEN = 0
    JOURNAL_FULL = 1
    PAGE_CORRUPT = 2
    REJECTED = 3
    LOST_WITH_POWER = 4
    UNREADABLE = 5


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
class StoredPack:
    """A row of packs, with its node."""

    id: int
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
                "INSERT INTO packs (node_id, journal, first, count, skip, received_ms, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
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

    def prune(self, destinations: Iterable[str], before_ms: int, limit: int) -> int:
        """Delete packs that came before `before_ms` and that every destination has.

        At most `limit` of the oldest are looked at; the number of deleted ones is returned.
        """
        delivered = min((load_cursor(self._db, name) for name in destinations), default=0)
        return self._db.execute(
            "DELETE FROM packs WHERE received_ms < ? AND id IN"
            " (SELECT id FROM packs WHERE id <= ? ORDER BY id LIMIT ?)",
            (before_ms, delivered, limit),
        ).rowcount

    def _next_seq(self, node_id: int, journal: int) -> int:
        row = self._db.execute(
            "SELECT next_seq FROM journals WHERE node_id = ? AND journal = ?", (node_id, journal)
        ).fetchone()
        return int(row[0]) if row else 0

    def _set_next_seq(self, node_id: int, journal: int, next_seq: int) -> None:
        self._db.execute(
            "INSERT INTO journals VALUES (?, ?, ?) ON CONFLICT (node_id, journal) DO UPDATE"
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


def read_packs(connection: sqlite3.Connection, after_id: int, limit: int) -> list[StoredPack]:
    """Return the packs that follow `after_id`, oldest first, at most `limit`."""
    rows = connection.execute(
        "SELECT packs.id, eui64, name, owner, site, journal, first, count, skip, received_ms, body"
        " FROM packs JOIN nodes ON nodes.id = node_id WHERE packs.id > ? ORDER BY packs.id LIMIT ?",
        (after_id, limit),
    )
    return [StoredPack(row[0], NodeRow(*row[1:5]), *row[5:]) for row in rows]
