"""How a gateway and its nodes are, read from the store."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from feltpost_gateway import completeness
from feltpost_gateway.completeness import Backlog, NodeDay
from feltpost_gateway.contacts import Contact, read_contacts
from feltpost_gateway.events import Event, read_events
from feltpost_gateway.formats.base import iso_time
from feltpost_gateway.registry_rows import load_nodes


@dataclass(frozen=True)
class Status:
    """What `read_status` found.

    `nodes` has owner/site/name by the node's row, `refused` the number of messages that each
    destination refused for good. `file_bytes` is the size of the database.
    """

    file_bytes: int
    packs: int
    nodes: dict[int, str]
    contacts: dict[int, Contact]
    events: list[Event]
    backlogs: list[Backlog]
    refused: dict[str, int]
    days: list[NodeDay]


def read_status(
    connection: sqlite3.Connection,
    destinations: Iterable[str],
    days: int,
    node: str | None = None,
) -> Status:
    """Return how things are, with the last `days` days of each node, or of the one called `node`.

    `node` is a name or owner/site/name. Nodes that were removed are left out.
    """
    # All of it is to be of one moment, so that what waits is part of what arrived.
    connection.execute("BEGIN")
    try:
        return _read(connection, tuple(destinations), days, node)
    finally:
        connection.execute("ROLLBACK")


def called(connection: sqlite3.Connection, node: str | None) -> dict[int, str]:
    """Return owner/site/name, by row, of all nodes but the removed, or of those called `node`."""
    nodes = {}
    for row in load_nodes(connection, "WHERE NOT removed"):
        path = f"{row.node.owner}/{row.node.site}/{row.node.name}"
        if node is None or node in (row.node.name, path):
            nodes[row.id] = path
    return nodes


def _read(
    connection: sqlite3.Connection, names: tuple[str, ...], days: int, node: str | None
) -> Status:
    nodes = called(connection, node)
    (since,) = connection.execute(
        "SELECT date('now', 'localtime', ?)", (f"-{days - 1} days",)
    ).fetchone()
    (size, pages, packs) = connection.execute(
        "SELECT (SELECT page_size FROM pragma_page_size()),"
        " (SELECT page_count FROM pragma_page_count()),"
        " (SELECT coalesce(max(id) - min(id) + 1, 0) FROM packs)"
    ).fetchone()
    return Status(
        file_bytes=size * pages,
        packs=packs,
        nodes=nodes,
        contacts={
            contact.node_id: contact
            for contact in read_contacts(connection)
            if contact.node_id in nodes
        },
        events=[
            event
            for event in read_events(connection)
            if event.subject.node_id in nodes or (event.subject.node_id is None and node is None)
        ],
        backlogs=[completeness.read_backlog(connection, name) for name in names],
        refused=dict(
            connection.execute(
                "SELECT destination, count(*) FROM dead_letters GROUP BY destination"
            ).fetchall()
        ),
        days=[
            day for day in completeness.read_days(connection, since, names) if day.node_id in nodes
        ],
    )


def to_json(
    status: Status, gateway_pid: int | None, refused: Mapping[str, int] | None
) -> dict[str, Any]:
    """Return a status in JSON values; times are ISO 8601, in UTC.

    `refused` counts by reason what was not taken for a node's request; None where nobody says.
    """
    return {
        "running": gateway_pid is not None,
        "refused_requests": refused,
        "store": {"file_bytes": status.file_bytes, "packs": status.packs},
        "events": [
            event_to_json(event, status.nodes.get(event.subject.node_id or 0))
            for event in status.events
        ],
        "destinations": [
            {
                "name": backlog.destination,
                "waiting_packs": backlog.packs,
                "oldest": _iso(backlog.oldest_ms),
                "refused_messages": status.refused.get(backlog.destination, 0),
            }
            for backlog in status.backlogs
        ],
        "nodes": [
            {"node": path, **_contact(status.contacts.get(node_id))}
            for node_id, path in status.nodes.items()
        ],
        "days": [
            {
                "day": day.day,
                "node": status.nodes[day.node_id],
                "expected": day.expected,
                "arrived": day.arrived,
                "missing": {reason.name.lower(): n for reason, n in day.missing.items()},
                "destinations": [asdict(delivery) for delivery in day.deliveries],
            }
            for day in status.days
        ],
    }


def event_to_json(event: Event, node: str | None) -> dict[str, str | None]:
    """Return an event in JSON values; `node` is owner/site/name, None for the gateway itself."""
    return {
        "kind": event.subject.kind,
        "node": node,
        "part": event.subject.part or None,
        "since": _iso(event.since_ms),
        "value": event.value,
    }


def _contact(contact: Contact | None) -> dict[str, Any]:
    if contact is None:
        return {"last_contact": None, "interval_s": None}
    interval_s = None if contact.interval_ms is None else contact.interval_ms / 1000
    return {"last_contact": iso_time(contact.last_ms), "interval_s": interval_s}


def _iso(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso_time(time_ms)
