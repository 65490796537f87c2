"""What can be read of the registry in a damaged store.

Pages that are not in use any more may hold older copies of a row, so each row has a revision, and
the highest counts: a key that was revoked does not come back with an old copy. What a node may
publish is guarded: where nothing but its address is found, all of its readings are private.
"""

import sqlite3
from dataclasses import dataclass, field

from feltpost_gateway.nodes import OperatorError, parse_classes
from feltpost_gateway.publication import Publication
from feltpost_gateway.registry_rows import DeclaredIn, HistoryKind
from feltpost_gateway.sqlite_pages import Value

_Values = tuple[Value, ...]

_NODE_COLUMNS = 16
_LOST_CLASSES = "*=private"


@dataclass
class FoundRegistry:
    """The rows of the registry's tables, the newest of each, by the nodes' ids where they have one.

    `nodes` has every column of a row but its id.
    """

    nodes: dict[int, _Values] = field(default_factory=dict)
    keys: dict[bytes, _Values] = field(default_factory=dict)
    owners: dict[str, _Values] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    history: dict[int, _Values] = field(default_factory=dict)

    def take_table_row(self, rowid: int, values: _Values) -> bool:
        """Keep a row of a table with numbered rows; return whether it was one of ours."""
        match values:
            case (None, bytes(eui64), str(name), str(owner), str(site), *details) if (
                len(eui64) == 8
            ):
                row = (eui64, name, owner, site, *_checked(details))
                known = self.nodes.get(rowid)
                if known is None or _revision(row) >= _revision(known):
                    self.nodes[rowid] = row
            case (
                None,
                int(),
                int(),
                str(kind),
                str() | None,
                int() | float() | None,
                int() | float() | None,
                str(),
            ) if kind in set(HistoryKind):
                self.history[rowid] = values[1:]
            case _:
                return False
        return True

    def take_row(self, values: _Values) -> bool:
        """Keep a row of a table by key; return whether it was one of ours."""
        match values:
            case (bytes(key_id), int(), bytes() | None, int(), int(revision)):
                known = self.keys.get(key_id)
                if known is None or revision >= _revision(known):
                    self.keys[key_id] = values
            case (str(name), str(), str(), str(), str()):
                self.owners[name] = values
            case (str(metric), str(name)) if name in set(Publication):
                # Of two copies the one that guards more counts: nobody knows which is newer.
                known_class = Publication(self.classes.get(metric, Publication.OPEN))
                if Publication(name).may_carry(known_class):
                    self.classes[metric] = name
            case _:
                return False
        return True

    def add_address(self, node_id: int, eui64: bytes) -> None:
        """Make a node of which nothing but the address is known, unless more is."""
        details = _details(classes=_LOST_CLASSES, declared_in=DeclaredIn.LOST)
        self.nodes.setdefault(node_id, (eui64, "unknown", "unknown", "unknown", *details))

    def fill(self, store: sqlite3.Connection) -> None:
        """Put what was found into the tables of a new store."""
        places = ", ".join("?" * _NODE_COLUMNS)
        store.executemany(
            f"INSERT OR IGNORE INTO nodes VALUES ({places})",
            [(node_id, *row) for node_id, row in self.nodes.items()],
        )
        store.executemany(
            "INSERT INTO node_keys VALUES (?, ?, ?, ?, ?)",
            [row for row in self.keys.values() if row[1] in self.nodes],
        )
        store.executemany("INSERT INTO owners VALUES (?, ?, ?, ?, ?)", self.owners.values())
        store.executemany("INSERT INTO metric_classes VALUES (?, ?)", self.classes.items())
        store.executemany(
            "INSERT INTO node_history VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(rowid, *row) for rowid, row in self.history.items() if row[0] in self.nodes],
        )


def _details(*, classes: str = "", declared_in: DeclaredIn = DeclaredIn.FILE) -> tuple[Value, ...]:
    """Return the columns that version 4 added, as a node has them of which they are not known."""
    return ("indoor", None, None, None, None, None, "", classes, declared_in, 0, 0)


def _checked(details: list[Value]) -> tuple[Value, ...]:
    """Return the columns that version 4 added, where they can be what was written."""
    match details:
        case []:
            return _details()
        case [
            "indoor" | "outdoor" | "water",
            str() | None,
            int() | float() | None,
            int() | float() | None,
            int() | float() | None,
            str() | None,
            str(),
            str(classes),
            "file" | "registry" | "lost",
            0 | 1,
            int(),
        ] if _are_classes(classes):
            return tuple(details)
    return _details(classes=_LOST_CLASSES, declared_in=DeclaredIn.LOST)


def _are_classes(classes: str) -> bool:
    try:
        parse_classes(classes)
    except OperatorError:
        return False
    return True


def _revision(row: _Values) -> int:
    """Return a row's revision, which is its last column."""
    revision = row[-1]
    assert isinstance(revision, int)
    return revision
