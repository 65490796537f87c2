"""What can be read of events and contacts in a damaged store.

Pages that are not in use any more may hold an event that has ended since. It comes back and says
too much, not too little, until what it is about is next looked at or heard from.
"""

import sqlite3
from collections.abc import Container
from dataclasses import dataclass, field

from feltpost_gateway.events import EventKind
from feltpost_gateway.sqlite_pages import Value

_KINDS = frozenset(EventKind)
_Subject = tuple[str, int | None, str]


@dataclass
class FoundWatch:
    """Open events by what they are about, of copies the one with the highest row; last contacts."""

    events: dict[_Subject, tuple[int, int | None, str]] = field(default_factory=dict)
    contacts: dict[int, tuple[int, int | None]] = field(default_factory=dict)

    def take_table_row(self, rowid: int, values: tuple[Value, ...]) -> bool:
        """Keep a row of a table with numbered rows; return whether it was one of ours."""
        match values:
            case (
                str(kind),
                int() | None as node_id,
                str(part),
                int() | None as since_ms,
                str(said),
            ):
                if kind not in _KINDS:
                    return False
                subject = (kind, node_id, part)
                if rowid >= self.events.get(subject, (0,))[0]:
                    self.events[subject] = (rowid, since_ms, said)
            case (None, int(last_ms), int() | None as interval_ms):
                if last_ms >= self.contacts.get(rowid, (0,))[0]:
                    self.contacts[rowid] = (last_ms, interval_ms)
            case _:
                return False
        return True

    def fill(self, store: sqlite3.Connection, nodes: Container[int]) -> None:
        """Put what was found into the tables of a new store, as far as it is of its `nodes`."""
        store.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
            [
                (*subject, since_ms, said)
                for subject, (_, since_ms, said) in self.events.items()
                if subject[1] is None or subject[1] in nodes
            ],
        )
        store.executemany(
            "INSERT INTO contacts VALUES (?, ?, ?)",
            [(node_id, *contact) for node_id, contact in self.contacts.items() if node_id in nodes],
        )
