"""What a store has on the disk at a moment, seen by a connection of the model's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cbor2

_VALUE = 2


@dataclass(frozen=True)
class View:
    """The store of a gateway with one node and one journal.

    `packs` are numbers and values of each pack by its id, `gaps` the reason of each number that is
    in a gap. `places` are the ranges of pack ids (after, up to) that each destination is said to
    have, `letters` the ids of the packs that it refused for good.
    """

    packs: dict[int, dict[int, int]]
    gaps: dict[int, int]
    next_seq: int
    kept_from: int
    places: dict[str, list[tuple[int, int]]]
    letters: dict[str, set[int]]

    @property
    def stored(self) -> dict[int, int]:
        """Value by number of everything that is in a pack."""
        return {n: value for pack in self.packs.values() for n, value in pack.items()}

    def has(self, destination: str, pack_id: int) -> bool:
        """Tell whether the store says that a destination has a pack."""
        places = self.places.get(destination, [])
        return any(after < pack_id <= upto for after, upto in places)


def look(path: Path) -> View:
    """Return what is committed in the store `path`; no number may be there twice."""
    with _reading(path) as reader:
        packs = {
            pack_id: _values(first, count, skip, body)
            for pack_id, first, count, skip, body in reader.execute(
                "SELECT id, first, count, skip, body FROM packs ORDER BY id"
            )
        }
        gaps: dict[int, int] = {}
        for first, count, reason in reader.execute("SELECT first, count, reason FROM gaps"):
            numbers = dict.fromkeys(range(first, first + count), reason)
            assert not gaps.keys() & numbers.keys(), "gaps overlap"
            gaps |= numbers
        numbering = reader.execute("SELECT next_seq, kept_from FROM journals").fetchone()
        places: dict[str, list[tuple[int, int]]] = {}
        for name, after, upto in reader.execute(
            "SELECT destination, 0, pack_id FROM cursors UNION ALL SELECT * FROM ahead"
        ):
            places.setdefault(name, []).append((after, upto))
        letters: dict[str, set[int]] = {}
        for name, pack_id in reader.execute("SELECT destination, pack_id FROM dead_letters"):
            letters.setdefault(name, set()).add(pack_id)
    view = View(packs, gaps, *(numbering or (0, 0)), places, letters)
    assert len(view.stored) == sum(map(len, packs.values())), "a number is in two packs"
    return view


def unused_bytes(path: Path) -> int:
    """Return how much of the store's file holds nothing."""
    with _reading(path) as reader:
        pages, page_bytes = (
            reader.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("freelist_count", "page_size")
        )
    return int(pages * page_bytes)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    reader = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        # All of it as of one moment.
        reader.execute("BEGIN")
        yield reader
    finally:
        reader.close()


def _values(first: int, count: int, skip: int, body: bytes) -> dict[int, int]:
    records = cbor2.loads(body)[skip : skip + count]
    return {first + index: record[_VALUE] for index, record in enumerate(records)}
