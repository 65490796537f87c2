"""When each node was last heard from, how often it usually is, and which ones are silent.

The usual interval is learnt from the contacts themselves, so that nobody has to enter it: a node on
a battery that sends once an hour and one that sends each minute are both judged by their own.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

SILENT_INTERVALS = 3

# What follows so closely belongs to the same contact: a pack after a pack, a report after the time.
_SAME_CONTACT_MS = 5_000

# Nobody drives out for less.
_SILENT_MIN_MS = 5 * 60_000

# A node that was in contact only once has not shown its interval yet.
_SILENT_UNKNOWN_MS = 24 * 3_600_000

# A new gap counts for an eighth. One long outage must not teach a node to be quiet, so it counts as
# no more than this many intervals; a node that really slowed down is known after some contacts.
_WEIGHT = 8
_GAP_MAX_INTERVALS = 4


@dataclass(frozen=True)
class Contact:
    """When a node was last heard from, and what usually passes between contacts (None: unknown)."""

    node_id: int
    last_ms: int
    interval_ms: int | None


class Contacts:
    """The contacts of all nodes."""

    def __init__(self) -> None:
        self._contacts: dict[int, Contact] = {}
        self._unsaved: set[int] = set()

    def load(self, contacts: Iterable[Contact]) -> None:
        """Take up what was stored."""
        self._contacts = {contact.node_id: contact for contact in contacts}

    def heard(self, node_id: int, now_ms: int) -> None:
        """Note that a node was heard from."""
        known = self._contacts.get(node_id)
        interval_ms = None if known is None else known.interval_ms
        if known is not None:
            gap_ms = now_ms - known.last_ms
            if 0 <= gap_ms < _SAME_CONTACT_MS:
                return
            # A clock that was set back says nothing about the node.
            if gap_ms > 0:
                interval_ms = _learn(interval_ms, gap_ms)
        self._contacts[node_id] = Contact(node_id, now_ms, interval_ms)
        self._unsaved.add(node_id)

    def get(self, node_id: int) -> Contact | None:
        """Return a node's last contact."""
        return self._contacts.get(node_id)

    def forget(self, node_id: int) -> None:
        """Forget a node that was removed."""
        self._contacts.pop(node_id, None)
        self._unsaved.discard(node_id)

    def set_back(self, now_ms: int) -> None:
        """Have no contact be later than now, as after a clock that was ahead."""
        for node_id, contact in self._contacts.items():
            if contact.last_ms > now_ms:
                self._contacts[node_id] = replace(contact, last_ms=now_ms)
                self._unsaved.add(node_id)

    def take_unsaved(self) -> list[Contact]:
        """Return what has to be stored, once."""
        unsaved, self._unsaved = self._unsaved, set()
        return [self._contacts[node_id] for node_id in sorted(unsaved)]

    def judge(self, now_ms: int, listening_since_ms: int) -> Iterator[tuple[Contact, bool]]:
        """Return each node's last contact and whether it has been silent for too long since.

        While the gateway was not listening no node was silent.
        """
        for contact in self._contacts.values():
            quiet_ms = now_ms - max(contact.last_ms, listening_since_ms)
            yield contact, quiet_ms > _allowed_ms(contact.interval_ms)


def _learn(interval_ms: int | None, gap_ms: int) -> int:
    if interval_ms is None:
        return gap_ms
    gap_ms = min(gap_ms, _GAP_MAX_INTERVALS * interval_ms)
    return interval_ms + (gap_ms - interval_ms) // _WEIGHT


def _allowed_ms(interval_ms: int | None) -> int:
    if interval_ms is None:
        return _SILENT_UNKNOWN_MS
    return max(SILENT_INTERVALS * interval_ms, _SILENT_MIN_MS)


def save_contacts(connection: sqlite3.Connection, contacts: Iterable[Contact]) -> None:
    """Store contacts of nodes that are still there; must run in a transaction of the writer."""
    connection.executemany(
        "INSERT INTO contacts SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM nodes WHERE id = ?1)"
        " ON CONFLICT (node_id) DO UPDATE"
        " SET last_ms = excluded.last_ms, interval_ms = excluded.interval_ms",
        [(contact.node_id, contact.last_ms, contact.interval_ms) for contact in contacts],
    )


def read_contacts(connection: sqlite3.Connection) -> list[Contact]:
    """Return what is stored."""
    rows = connection.execute("SELECT node_id, last_ms, interval_ms FROM contacts")
    return [Contact(*row) for row in rows]
