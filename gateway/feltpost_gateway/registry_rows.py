"""The registry's rows in the store, as operations inside one transaction of the writer.

A key that was revoked is overwritten on the disk, not only unlinked.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from feltpost_gateway.formats.base import Position, Setting
from feltpost_gateway.nodes import (
    Node,
    OperatorError,
    Owner,
    format_classes,
    format_mac,
    parse_classes,
)
from feltpost_gateway.publication import Publication
from feltpost_gateway.texts import text

_VALID_KEYS = (
    "SELECT key_id, node_id, key, since_ms,"
    " (node_id, key_id) IN (SELECT node_id, key_id FROM mail)"
    " FROM node_keys WHERE key IS NOT NULL"
)
_NODE_COLUMNS = (
    "eui64, name, owner, site, setting, room, latitude, longitude, elevation_m, kit, metrics,"
    " classes, declared_in, removed"
)


class DeclaredIn(StrEnum):
    """Where a node is kept up: the configuration file, here, or nowhere since a salvage."""

    FILE = "file"
    REGISTRY = "registry"
    LOST = "lost"


class HistoryKind(StrEnum):
    """What was done to a node."""

    INSTALLED = "installed"
    SERVICED = "serviced"
    CALIBRATED = "calibrated"


@dataclass(frozen=True)
class NodeKey:
    """A key that is valid; `key` is the OSCORE master secret.

    `mailed` says whether the node is to fetch it from its mailbox.
    """

    key_id: bytes
    node_id: int
    key: bytes = field(repr=False)
    since_ms: int
    mailed: bool


@dataclass(frozen=True)
class RegisteredNode:
    """A row of nodes; one that was removed stays as long as there are readings of it."""

    id: int
    node: Node
    declared_in: DeclaredIn
    removed: bool


@dataclass(frozen=True)
class HistoryEntry:
    """What was done to a node, when (Unix ms); a calibration has what it compared."""

    at_ms: int
    kind: HistoryKind
    note: str = ""
    metric: str | None = None
    measured: float | None = None
    reference: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """The whole registry but for its history; `keys` are the valid ones, the oldest first."""

    nodes: tuple[RegisteredNode, ...]
    keys: tuple[NodeKey, ...]
    owners: tuple[Owner, ...]
    classes: dict[str, Publication]


class RegistryRows:
    """The operations; every method must run inside a transaction that its caller commits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for operations that have a module of their own."""
        return self._db

    def load(self) -> Snapshot:
        """Return what is there."""
        keys = self._db.execute(f"{_VALID_KEYS} ORDER BY since_ms")
        return replace(load_without_keys(self._db), keys=tuple(map(_valid_key, keys)))

    def find(self, eui64: bytes) -> RegisteredNode | None:
        """Return the node with that address, removed or not."""
        found = load_nodes(self._db, "WHERE eui64 = ?", eui64)
        return found[0] if found else None

    def save_node(self, node: Node, declared_in: DeclaredIn) -> int:
        """Store a node, new or changed, and return the id of its row."""
        place = node.position
        values = (
            node.eui64,
            node.name,
            node.owner,
            node.site,
            node.setting,
            node.room,
            None if place is None else place.latitude,
            None if place is None else place.longitude,
            None if place is None else place.elevation_m,
            node.kit,
            " ".join(node.metrics),
            format_classes(node.classes),
            declared_in,
            False,
        )
        names = _NODE_COLUMNS.split(", ")
        places = ", ".join("?" * len(names))
        changes = ", ".join(f"{name} = excluded.{name}" for name in names)
        row = self._db.execute(
            f"INSERT INTO nodes ({_NODE_COLUMNS}, revision) VALUES ({places}, 1)"
            f" ON CONFLICT (eui64) DO UPDATE SET {changes}, revision = revision + 1"
            " RETURNING id",
            values,
        ).fetchone()
        return int(row[0])

    def check_names(self) -> None:
        """Raise `OperatorError` where two nodes of a site have one name.

        To be called when all changes are made, so that two nodes can change names.
        """
        twins = self._db.execute(
            "SELECT owner, site, name, min(eui64), max(eui64) FROM nodes"
            " WHERE NOT removed AND declared_in <> ? GROUP BY owner, site, name"
            " HAVING count(*) > 1 ORDER BY owner, site, name",
            (DeclaredIn.LOST,),
        ).fetchone()
        if twins is not None:
            owner, site, name, one, other = twins
            raise OperatorError(
                text(
                    "{owner}/{site} would have two nodes {name}, {mac} and {other}. Give one of"
                    " them another name",
                    owner=owner,
                    site=site,
                    name=name,
                    mac=format_mac(one),
                    other=format_mac(other),
                )
            )

    def namesake(self, node: Node) -> bytes | None:
        """Return the address of another node of that name at that site, None where there is none.

        A node that a salvage knows nothing of but its address has no name to take.
        """
        row = self._db.execute(
            "SELECT eui64 FROM nodes WHERE owner = ? AND site = ? AND name = ? AND eui64 <> ?"
            " AND NOT removed AND declared_in <> ?",
            (node.owner, node.site, node.name, node.eui64, DeclaredIn.LOST),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def remove_node(self, node_id: int) -> None:
        """Take a node off the list and its keys away; its readings stay what they are."""
        self.revoke_keys(node_id)
        self._db.execute(
            "UPDATE nodes SET removed = 1, revision = revision + 1 WHERE id = ?", (node_id,)
        )

    def take_over(self, node_id: int) -> None:
        """Note that a node is kept up here from now on, whatever the configuration file says."""
        self._db.execute(
            "UPDATE nodes SET declared_in = ?, revision = revision + 1"
            " WHERE id = ? AND declared_in <> ?",
            (DeclaredIn.REGISTRY, node_id, DeclaredIn.REGISTRY),
        )

    def add_key(self, node_id: int, key_id: bytes, key: bytes, now_ms: int) -> None:
        """Make a key valid; raise `OperatorError` where another valid key has its id.

        It counts as newer than the node's others even where the clock has been set back.
        """
        row = self._db.execute(
            "SELECT node_id, key, nodes.eui64 FROM node_keys JOIN nodes ON nodes.id = node_id"
            " WHERE key_id = ?",
            (key_id,),
        ).fetchone()
        if row is not None and row[1] is not None and (row[0], row[1]) != (node_id, key):
            raise OperatorError(
                text(
                    "the key id 0x{key_id} belongs to a key of {mac} already. Give the new key"
                    " another id",
                    key_id=key_id.hex(),
                    mac=format_mac(row[2]),
                )
            )
        since_ms = max([now_ms, *(known.since_ms + 1 for known in self.keys_of(node_id))])
        self._db.execute(
            "INSERT INTO node_keys VALUES (?, ?, ?, ?, 1) ON CONFLICT (key_id) DO UPDATE SET"
            " node_id = excluded.node_id, key = excluded.key, since_ms = excluded.since_ms,"
            " revision = revision + 1 WHERE key IS NULL",
            (key_id, node_id, key, since_ms),
        )

    def keys_of(self, node_id: int) -> list[NodeKey]:
        """Return a node's valid keys, the oldest first."""
        rows = self._db.execute(f"{_VALID_KEYS} AND node_id = ? ORDER BY since_ms", (node_id,))
        return [_valid_key(row) for row in rows]

    def mail_key(self, node_id: int, key_id: bytes) -> None:
        """Leave a key, the node's newest, in its mailbox."""
        self._db.execute("INSERT OR REPLACE INTO mail VALUES (?, ?)", (node_id, key_id))

    def owner_of_key(self, key_id: bytes) -> tuple[bytes, bool] | None:
        """Return the address of the node whose key has that id, and whether the key is valid."""
        row = self._db.execute(
            "SELECT nodes.eui64, key IS NOT NULL FROM node_keys JOIN nodes ON nodes.id = node_id"
            " WHERE key_id = ?",
            (key_id,),
        ).fetchone()
        return None if row is None else (row[0], bool(row[1]))

    def had_keys(self, node_id: int) -> bool:
        """Tell whether a node has a key, or had one that was taken away."""
        found = self._db.execute("SELECT 1 FROM node_keys WHERE node_id = ? LIMIT 1", (node_id,))
        return found.fetchone() is not None

    def supersede_key(self, node_id: int, key_id: bytes, key: bytes, now_ms: int) -> None:
        """Give a node a new key beside the one that it uses, of which `key_used` will rid it."""
        # Of an earlier change that came to nothing, the key that the node uses is the oldest.
        keys = self.keys_of(node_id)
        self.revoke_keys(node_id, but=keys[0].key_id if keys else None)
        self.add_key(node_id, key_id, key, now_ms)

    def revoke_keys(self, node_id: int, but: bytes | None = None) -> int:
        """Take a node's keys away, all or all but one, and its mail; return how many keys went."""
        self._db.execute("DELETE FROM mail WHERE node_id = ?", (node_id,))
        with overwriting(self._db):
            return self._db.execute(
                "UPDATE node_keys SET key = NULL, revision = revision + 1"
                " WHERE node_id = ? AND key_id IS NOT ? AND key IS NOT NULL",
                (node_id, but),
            ).rowcount

    def save_owner(self, owner: Owner) -> None:
        """Store an owner, new or changed."""
        self._db.execute(
            "INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, ?)",
            (owner.name, owner.title, owner.contact, owner.email, owner.licence),
        )

    def remove_owner(self, name: str) -> bool:
        """Forget an owner's contact and licence; return whether there was one."""
        return self._db.execute("DELETE FROM owners WHERE name = ?", (name,)).rowcount > 0

    def save_class(self, metric: str, name: Publication) -> None:
        """Set the class that a metric has wherever a node says nothing else."""
        self._db.execute("INSERT OR REPLACE INTO metric_classes VALUES (?, ?)", (metric, name))

    def add_history(self, node_id: int, entry: HistoryEntry) -> None:
        """Note what was done to a node."""
        self._db.execute(
            "INSERT INTO node_history (node_id, at_ms, kind, metric, measured, reference, note)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                node_id,
                entry.at_ms,
                entry.kind,
                entry.metric,
                entry.measured,
                entry.reference,
                entry.note,
            ),
        )

    def history_of(self, node_id: int) -> list[HistoryEntry]:
        """Return what was done to a node, the oldest first."""
        rows = self._db.execute(
            "SELECT at_ms, kind, note, metric, measured, reference FROM node_history"
            " WHERE node_id = ? ORDER BY at_ms, id",
            (node_id,),
        )
        return [HistoryEntry(at_ms, HistoryKind(kind), *rest) for at_ms, kind, *rest in rows]


def _valid_key(row: tuple[bytes, int, bytes, int, int]) -> NodeKey:
    key_id, node_id, key, since_ms, mailed = row
    return NodeKey(key_id, node_id, key, since_ms, bool(mailed))


def load_without_keys(connection: sqlite3.Connection) -> Snapshot:
    """Return the registry as those may know it who have no business with keys."""
    owners = connection.execute("SELECT name, title, contact, email, licence FROM owners")
    classes = connection.execute("SELECT metric, class FROM metric_classes")
    return Snapshot(
        load_nodes(connection),
        (),
        tuple(Owner(*row) for row in owners),
        {metric: Publication(name) for metric, name in classes},
    )


def load_nodes(
    connection: sqlite3.Connection, where: str = "", *values: object
) -> tuple[RegisteredNode, ...]:
    """Return the rows of nodes that `where` selects, removed ones too, in the order of names."""
    rows = connection.execute(
        f"SELECT id, {_NODE_COLUMNS} FROM nodes {where} ORDER BY owner, site, name, id", values
    )
    return tuple(_registered(*row) for row in rows)


def _registered(
    node_id: int,
    eui64: bytes,
    name: str,
    owner: str,
    site: str,
    setting: str,
    room: str | None,
    latitude: float | None,
    longitude: float | None,
    elevation_m: float | None,
    kit: str | None,
    metrics: str,
    classes: str,
    declared_in: str,
    removed: int,
) -> RegisteredNode:
    position = None
    if latitude is not None and longitude is not None:
        position = Position(latitude, longitude, elevation_m)
    node = Node(
        eui64=eui64,
        name=name,
        owner=owner,
        site=site,
        setting=Setting(setting),
        room=room,
        position=position,
        kit=kit,
        metrics=tuple(metrics.split()),
        classes=parse_classes(classes),
    )
    return RegisteredNode(node_id, node, DeclaredIn(declared_in), bool(removed))


@contextmanager
def overwriting(connection: sqlite3.Connection) -> Iterator[None]:
    """Have what is deleted or changed meanwhile overwritten with zeros in the file."""
    connection.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA secure_delete = OFF")
