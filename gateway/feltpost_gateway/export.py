"""Readings for a file: those that the store still has, of some nodes, a period and a class.

Read in small steps by a connection of its own that can't write, so that a running gateway is
neither held up nor kept from emptying its log, and memory is bounded.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from feltpost_gateway.errors import ClockNotSetError, PackError
from feltpost_gateway.formats.base import Reading, iso_time
from feltpost_gateway.nodes import Node, OperatorError, Owner, is_called
from feltpost_gateway.publication import Publication
from feltpost_gateway.registry import class_of
from feltpost_gateway.registry_rows import load_without_keys
from feltpost_gateway.senml import Number, Record
from feltpost_gateway.stored_readings import readings_of
from feltpost_gateway.texts import text
from feltpost_gateway.transaction import read_packs

_STEP_PACKS = 500
_BUSY_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Wanted:
    """Which readings: of nodes by name or address, sites, owners; from `from_ms` to `until_ms`.

    None stands for all. `publication` is the most guarded class that may be among them.
    """

    node: str | None = None
    site: str | None = None
    owner: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    publication: Publication = Publication.OPEN


@dataclass(frozen=True)
class ExportRow:
    """One reading, in the order of the columns; `value` is exact."""

    time: str
    node: str
    name: str
    owner: str
    site: str
    room: str | None
    latitude: float | None
    longitude: float | None
    metric: str
    place: str | None
    value: Number | bool
    unit: str
    marks: int
    journal: int
    seq: int


class Export:
    """An export to be read once; `rows` gives the readings, the rest says what they are of.

    `unreadable` counts stored readings that could not be read.
    """

    def __init__(self, connection: sqlite3.Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self._registry = load_without_keys(connection)
        self._nodes = {
            row.id: row.node for row in self._registry.nodes if _is_wanted(row.node, wanted)
        }
        self._classes = {node_id: dict(node.classes) for node_id, node in self._nodes.items()}
        self.unreadable = 0
        if not self._nodes:
            raise OperatorError(text("no node is of that name, site and owner"))

    @property
    def publication(self) -> Publication:
        """The most guarded class that may be among the readings."""
        return self._wanted.publication

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes whose readings are wanted."""
        return tuple(self._nodes.values())

    def owner(self) -> Owner:
        """Return the one owner of all these nodes.

        Raises `OperatorError` where there is more than one: each publishes data of its own.
        """
        names = sorted({node.owner for node in self.nodes})
        if len(names) > 1:
            raise OperatorError(
                text(
                    "these are readings of several owners, {owners}. Give one of them with --owner",
                    owners=", ".join(names),
                )
            )
        known = {owner.name: owner for owner in self._registry.owners}
        return known.get(names[0], Owner(names[0], names[0]))

    def rows(self) -> Iterator[ExportRow]:
        """Give the readings in the order in which they came."""
        after = 0
        # What comes meanwhile is for the next export.
        row = self._connection.execute("SELECT max(id) FROM packs").fetchone()
        end = int(row[0] or 0)
        while after < end:
            packs = read_packs(self._connection, after, _STEP_PACKS)
            if not packs:
                return
            for pack in packs:
                node = self._nodes.get(pack.node_id)
                if node is None or pack.id > end:
                    continue
                try:
                    readings = readings_of(pack)
                except (PackError, ClockNotSetError):
                    self.unreadable += pack.count
                    continue
                for reading in readings:
                    if self._may_have(pack.node_id, reading.record):
                        yield _row(node, pack.journal, reading)
            after = packs[-1].id

    def _may_have(self, node_id: int, record: Record) -> bool:
        wanted = self._wanted
        if wanted.from_ms is not None and record.time_ms < wanted.from_ms:
            return False
        if wanted.until_ms is not None and record.time_ms >= wanted.until_ms:
            return False
        found = class_of(self._classes[node_id], self._registry.classes, record.name)
        return wanted.publication.may_carry(found)


def _is_wanted(node: Node, wanted: Wanted) -> bool:
    return (
        (wanted.node is None or is_called(node, wanted.node))
        and wanted.site in (None, node.site)
        and wanted.owner in (None, node.owner)
    )


def _row(node: Node, journal: int, reading: Reading) -> ExportRow:
    record = reading.record
    metric, _, place = record.name.partition(".")
    return ExportRow(
        time=iso_time(record.time_ms),
        node=node.urn,
        name=node.name,
        owner=node.owner,
        site=node.site,
        room=node.room,
        latitude=None if node.position is None else node.position.latitude,
        longitude=None if node.position is None else node.position.longitude,
        metric=metric,
        place=place or None,
        value=record.value,
        unit=record.unit,
        marks=record.marks,
        journal=journal,
        seq=reading.seq,
    )
