"""Moves a damaged store aside and puts what can be read of it into a new one.

The damaged file is never changed and never deleted: it ends up beside the store, with
`.damaged-1` (2, 3, …) after its name. The new file is complete and on the disk before anything is
renamed, so that a power cut at any moment leaves something that the next start finishes.

Security comes first: replay windows are not taken over, since an old copy of one would let
requests in twice (nodes get an Echo instead), and the gateway's own sender sequence numbers go on
far ahead of every copy that was found.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from feltpost_gateway.migrations import migrate
from feltpost_gateway.salvage_registry import FoundRegistry
from feltpost_gateway.salvage_watch import FoundWatch
from feltpost_gateway.sqlite_log import read_log
from feltpost_gateway.sqlite_pages import MAGIC, PageReader, Row, Value
from feltpost_gateway.transaction import MAX_NUMBER, GapReason, pack_checksum, with_checksum
from feltpost_gateway.whole_file import sync_directory

NOT_KEPT = ("progress beyond a backlog", "counts of deleted readings by day", "keys to be fetched")
"""What a salvage leaves behind, for the log."""

_GUESS_BYTES = 1 << 22
_PAGE_SIZES = (1024, 4096)
_MAX_COUNT = 64
_REASONS = frozenset(GapReason)

# More than all restarts and refusals of many years can have used since the oldest copy.
_SENDER_SKIP = 1 << 32
_SENDER_MAX = (1 << 40) - 1


@dataclass(frozen=True)
class Salvaged:
    """What became of a damaged store.

    `moved_to` is where it is now. `packs` were saved; `readings_lost` numbers were written off as
    gaps; `packs_dropped` were readable but no longer say which node they are of. `events` and
    `contacts` are how many of each were found.
    """

    moved_to: Path
    packs: int
    packs_dropped: int
    readings_lost: int
    unreadable_pages: int
    events: int
    contacts: int


@dataclass
class _Found:
    """The rows of the small tables, the newest of each as far as copies can be told apart."""

    registry: FoundRegistry = field(default_factory=FoundRegistry)
    watch: FoundWatch = field(default_factory=FoundWatch)
    addresses: dict[int, bytes] = field(default_factory=dict)
    journals: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    old_journals: dict[tuple[int, int], int] = field(default_factory=dict)
    gaps: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    senders: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    refused: dict[tuple[int, str, str], tuple[str, str, int]] = field(default_factory=dict)
    reports: dict[int, tuple[int, int, int, bytes]] = field(default_factory=dict)
    is_version_1: bool = True


def looks_like_store(path: Path) -> bool:
    """Tell whether `path` was a store once: an SQLite file, zeros, or with rows like ours."""
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
    if head in (MAGIC, bytes(len(head))):
        return True
    return any(_count_rows(path, size) for size in _PAGE_SIZES)


def has_damaged_log(path: Path) -> bool:
    """Tell whether commits in the log of the store `path` follow on damage, which cuts them off.

    SQLite takes that for the end of the log and would write over them. Raises `OSError`.
    """
    sizes = _page_sizes(path)
    log_path = _beside(path, "-wal")
    if len(sizes) > 1 or not log_path.exists():
        return False
    with log_path.open("rb") as log:
        return read_log(log, sizes[0]).is_damaged


def finish(path: Path) -> Path | None:
    """Finish a salvage that was cut off; return where the damaged file went, None for none."""
    complete = _beside(path, ".salvaged")
    return _put_in_place(path, complete) if complete.exists() else None


def salvage(path: Path) -> Salvaged:
    """Replace the damaged store `path`, which nobody has open, by what can be read of it.

    Raises `OSError` or `sqlite3.Error` where the disk does not let it; nothing has changed then,
    and it can be called again.
    """
    partial = _beside(path, ".salvaging")
    for leftover in (partial, _beside(partial, "-journal"), _beside(partial, "-wal")):
        leftover.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    sizes = _page_sizes(path)
    size = max(sizes, key=lambda size: _count_rows(path, size)) if len(sizes) > 1 else sizes[0]
    with (
        closing(PageReader(path, size)) as reader,
        closing(sqlite3.connect(partial, isolation_level=None)) as store,
    ):
        migrate(store, str(partial))
        # Nothing of the old content is needed to undo this; the file is made anew instead.
        store.execute("PRAGMA journal_mode = OFF")
        store.execute("BEGIN")
        found = _Found()
        for row in reader.rows():
            if not _take_pack(store, found, row):
                _take_row(found, row)
        dropped, lost = _fill(store, found)
        packs = int(store.execute("SELECT count(*) FROM packs").fetchone()[0])
        store.execute("COMMIT")
        unreadable = reader.unreadable
    complete = _beside(path, ".salvaged")
    partial.rename(complete)
    moved_to = _put_in_place(path, complete)
    return Salvaged(
        moved_to=moved_to,
        packs=packs,
        packs_dropped=dropped,
        readings_lost=lost,
        unreadable_pages=unreadable,
        events=len(found.watch.events),
        contacts=len(found.watch.contacts),
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _put_in_place(path: Path, complete: Path) -> Path:
    number = 1
    while _beside(path, f".damaged-{number}").exists():
        number += 1
    if not path.exists():
        # It was moved already, before the salvage was cut off.
        number -= 1
    moved_to = _beside(path, f".damaged-{number}")
    # Each step is on the disk before the next. A file system may keep a later rename and lose an
    # earlier one: an empty store would then be begun, or the damaged file be replaced.
    sync_directory(path.parent)
    # The log goes too: beside the new file it would be taken for that one's.
    for suffix in ("", "-wal", "-shm"):
        if _beside(path, suffix).exists():
            _beside(path, suffix).rename(_beside(moved_to, suffix))
    sync_directory(path.parent)
    complete.rename(path)
    sync_directory(path.parent)
    return moved_to


def _page_sizes(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        head = file.read(18)
    stated = int.from_bytes(head[16:18], "big")
    return (stated,) if head.startswith(MAGIC) and stated in _PAGE_SIZES else _PAGE_SIZES


def _count_rows(path: Path, page_bytes: int) -> int:
    with closing(PageReader(path, page_bytes)) as reader:
        found = _Found()
        rows = reader.rows(_GUESS_BYTES // page_bytes)
        return sum(_as_pack(row) is not None or _take_row(found, row) for row in rows)


def _as_pack(row: Row) -> tuple[int, int, int, int, int, int, bytes] | None:
    """Return a row of packs without id and checksum, None where it isn't one or is damaged."""
    match row.values:
        case (
            None,
            int(node_id),
            int(journal),
            int(first),
            int(count),
            int(skip),
            int(received_ms),
            bytes(body),
            *checksum,
        ) if row.rowid is not None and row.rowid > 0 and len(checksum) <= 1:
            pass
        case _:
            return None
    numbers_fit = 0 <= journal <= MAX_NUMBER and 0 <= first <= first + count - 1 <= MAX_NUMBER
    if not numbers_fit or not 0 < count <= _MAX_COUNT or not 0 <= skip < _MAX_COUNT:
        return None
    pack = (node_id, journal, first, count, skip, received_ms, body)
    return None if checksum and checksum[0] != pack_checksum(*pack) else pack


def _take_pack(store: sqlite3.Connection, found: _Found, row: Row) -> bool:
    pack = _as_pack(row)
    if pack is None:
        return False
    found.is_version_1 &= len(row.values) == 8
    store.execute(
        "INSERT OR IGNORE INTO packs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (row.rowid, *with_checksum(*pack)),
    )
    return True


def _take_row(found: _Found, row: Row) -> bool:
    """Keep a row of a small table; return whether it was one."""
    if row.rowid is not None:
        return _take_table_row(found, row.rowid, row.values)
    match row.values:
        case (bytes(eui64), int(node_id)) if len(eui64) == 8:
            found.addresses[node_id] = eui64
        case (str(name), int(pack_id)):
            found.cursors[name] = max(pack_id, found.cursors.get(name, 0))
        case (int(node_id), int(journal), int(next_seq)):
            # In version 2 this is the index of reports, told apart when all has been read.
            key = (node_id, journal)
            found.old_journals[key] = max(next_seq, found.old_journals.get(key, 0))
        case (int(node_id), int(journal), int(next_seq), int(kept_from)):
            found.is_version_1 = False
            known = found.journals.get((node_id, journal), (0, 0))
            found.journals[node_id, journal] = (
                max(next_seq, known[0]),
                max(kept_from, known[1]),
            )
        case (int(pack_id), str(name), str(seqs), str(topic), str(reason), int(noted_ms)):
            # A copy of one that was settled since comes back, which says too much, not too little.
            found.refused[pack_id, name, seqs] = (topic, reason, noted_ms)
        case (bytes(key_id), bytes(fingerprint), int() | None, int() | None, int(reserved)):
            sender = (key_id, fingerprint)
            found.senders[sender] = max(reserved, found.senders.get(sender, 0))
        case (int(node_id), int(journal), int(first), int(count), int(reason), int(noted_ms)):
            if count > 0 and reason in _REASONS:
                found.gaps.append((node_id, journal, first, count, reason, noted_ms))
        case _:
            return found.registry.take_row(row.values)
    return True


def _take_table_row(found: _Found, rowid: int, values: tuple[Value, ...]) -> bool:
    match values:
        case (None, int(node_id), int(boot), int(received_ms), bytes(body)):
            found.reports[rowid] = (node_id, boot, received_ms, body)
        case (str(name), int(sequence)):
            found.sequences[name] = max(sequence, found.sequences.get(name, 0))
        case _:
            return found.registry.take_table_row(rowid, values) or found.watch.take_table_row(
                rowid, values
            )
    return True


def _fill(store: sqlite3.Connection, found: _Found) -> tuple[int, int]:
    """Fill the small tables; return how many packs have no node, and how many numbers are lost."""
    for node_id, eui64 in found.addresses.items():
        # What the configuration file says of it comes back when the gateway starts.
        found.registry.add_address(node_id, eui64)
    found.registry.fill(store)
    found.watch.fill(store, found.registry.nodes)
    dropped = store.execute(
        "DELETE FROM packs WHERE node_id NOT IN (SELECT id FROM nodes)"
    ).rowcount
    store.executemany(
        "INSERT INTO oscore VALUES (?, ?, NULL, NULL, ?)",
        [
            (*key, min(reserved + _SENDER_SKIP, _SENDER_MAX))
            for key, reserved in found.senders.items()
        ],
    )
    store.executemany("INSERT INTO cursors VALUES (?, ?)", found.cursors.items())
    store.executemany(
        "INSERT INTO dead_letters SELECT ?, ?, ?, ?, ?, ? FROM packs WHERE id = ?",
        [(*key, *letter, key[0]) for key, letter in sorted(found.refused.items())],
    )
    store.executemany(
        "INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?, ?)",
        [
            (rowid, *report)
            for rowid, report in sorted(found.reports.items())
            if report[0] in found.registry.nodes
        ],
    )
    _set_sequence(store, found)
    return dropped, _fill_journals(store, found)


def _set_sequence(store: sqlite3.Connection, found: _Found) -> None:
    """Keep the ids of packs growing past every one that a cursor or a lost row may have had."""
    highest = max(found.sequences.get("packs", 0), *found.cursors.values(), 0)
    row = store.execute("SELECT seq FROM sqlite_sequence WHERE name = 'packs'").fetchone()
    if row is None:
        store.execute("INSERT INTO sqlite_sequence VALUES ('packs', ?)", (highest,))
    elif row[0] < highest:
        store.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'packs'", (highest,))


def _fill_journals(store: sqlite3.Connection, found: _Found) -> int:
    """Account for every number of every journal; return how many are lost."""
    packs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    newest_ms = 0
    for node_id, journal, first, count, received_ms in store.execute(
        "SELECT node_id, journal, first, count, received_ms FROM packs"
    ):
        packs.setdefault((node_id, journal), []).append((first, first + count))
        newest_ms = max(newest_ms, received_ms)
    gaps: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    for node_id, journal, first, count, reason, noted_ms in found.gaps:
        # Copies of older gaps may be among them. What was decided goes before what may come.
        gaps.setdefault((node_id, journal), []).append((-reason, first, first + count, noted_ms))
    old = found.old_journals if found.is_version_1 else {}
    lost = 0
    for node_id, journal in {*packs, *gaps, *found.journals, *old}:
        if node_id not in found.registry.nodes:
            continue
        key = (node_id, journal)
        covered = _Ranges(packs.get(key, ()))
        lowest = covered.start
        for negative_reason, first, end, noted_ms in sorted(gaps.get(key, ())):
            _insert_gaps(store, key, covered.add(first, end), -negative_reason, noted_ms)
        next_seq = max(old.get(key, 0), found.journals.get(key, (0, 0))[0], covered.end)
        # Where the journal's own row is gone, what was deleted before the oldest pack is not known.
        kept_from = found.journals[key][1] if key in found.journals else min(lowest, next_seq)
        missing = covered.add(kept_from, next_seq)
        _insert_gaps(store, key, missing, GapReason.DAMAGED, newest_ms)
        lost += sum(end - first for first, end in missing)
        store.execute("INSERT INTO journals VALUES (?, ?, ?, ?)", (*key, next_seq, kept_from))
    return lost


def _insert_gaps(
    store: sqlite3.Connection,
    key: tuple[int, int],
    ranges: Iterable[tuple[int, int]],
    reason: int,
    noted_ms: int,
) -> None:
    store.executemany(
        "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)",
        [(*key, first, end - first, reason, noted_ms) for first, end in ranges],
    )


class _Ranges:
    """Numbers of one journal that are accounted for, as sorted ranges [first, end)."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._ranges: list[tuple[int, int]] = []
        for first, end in sorted(ranges):
            self._push(first, end)

    @property
    def start(self) -> int:
        """The lowest number; above all where there is none."""
        return self._ranges[0][0] if self._ranges else MAX_NUMBER + 1

    @property
    def end(self) -> int:
        """One more than the highest number, 0 for none."""
        return self._ranges[-1][1] if self._ranges else 0

    def add(self, first: int, end: int) -> list[tuple[int, int]]:
        """Add [first, end) and return the parts of it that were not there."""
        new = list(self._holes(first, end))
        merged = sorted(self._ranges + new)
        self._ranges = []
        for start, stop in merged:
            self._push(start, stop)
        return new

    def _holes(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        for start, stop in self._ranges:
            if stop <= first:
                continue
            if start >= end:
                break
            if start > first:
                yield first, start
            first = stop
        if first < end:
            yield first, end

    def _push(self, first: int, end: int) -> None:
        if self._ranges and first <= self._ranges[-1][1]:
            self._ranges[-1] = (self._ranges[-1][0], max(end, self._ranges[-1][1]))
        else:
            self._ranges.append((first, end))
