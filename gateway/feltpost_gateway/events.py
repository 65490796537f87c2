"""What is wrong at present, and since when.

An event begins when something is found wrong, may get another value meanwhile, and ends when it is
right again. Open events are rows of the store, so that neither a restart nor a crash of the gateway
changes since when something is wrong.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from feltpost_gateway.logs import EventLog


class EventKind(StrEnum):
    """What can be wrong, and what the event's value is then.

    Of a node: `silent` (seconds between two contacts, usually), `battery-low` (value and unit),
    `sensor-fault` (docs/protocol.md, `sensorFault`; part is the sensor), `clock-unsure` (marks of
    the latest reading), `journal-filling` (percent), `crashed` (the traceback on one line),
    `safe-mode` (firmware version), `misconfigured` (what is wrong in its configuration).

    Of the gateway: `clock-not-set`, `store-filling` (percent taken by what was not delivered),
    `store-full`, `destination-stuck` (when the oldest reading that waits came, Unix milliseconds;
    part is the destination), `refused` (how many messages the destination refused for good; part
    is the destination), `certificate-expiring` (the day; part is the certificate).
    """

    SILENT = "silent"
    BATTERY_LOW = "battery-low"
    SENSOR_FAULT = "sensor-fault"
    CLOCK_UNSURE = "clock-unsure"
    JOURNAL_FILLING = "journal-filling"
    CRASHED = "crashed"
    SAFE_MODE = "safe-mode"
    MISCONFIGURED = "misconfigured"
    CLOCK_NOT_SET = "clock-not-set"
    STORE_FILLING = "store-filling"
    STORE_FULL = "store-full"
    DESTINATION_STUCK = "destination-stuck"
    REFUSED = "refused"
    CERTIFICATE_EXPIRING = "certificate-expiring"


@dataclass(frozen=True)
class Subject:
    """What an event is about: a node (None for the gateway itself), and a part of it."""

    kind: EventKind
    node_id: int | None = None
    part: str = ""


@dataclass(frozen=True)
class Event:
    """Something that is wrong; `since_ms` is None where no clock said when it began."""

    subject: Subject
    since_ms: int | None
    value: str = ""


@dataclass(frozen=True)
class Change:
    """How `event` changed: begun, ended, or neither, where only its value is another one."""

    event: Event
    begun: bool = False
    ended: bool = False


class Events:
    """The open events; belongs to the event loop."""

    def __init__(self) -> None:
        self._open: dict[Subject, Event] = {}
        self._callbacks: list[Callable[[Change], None]] = []
        self._log = EventLog("events")

    def load(self, events: Iterable[Event]) -> None:
        """Take up what was open when the gateway stopped."""
        self._open = {event.subject: event for event in events}

    def open(self) -> list[Event]:
        """Return the open events, the longest first."""
        return sorted(self._open.values(), key=lambda event: event.since_ms or 0)

    def get(self, subject: Subject) -> Event | None:
        """Return the open event about `subject`, if there is one."""
        return self._open.get(subject)

    def on_change(self, callback: Callable[[Change], None]) -> None:
        """Have `callback` run on the event loop for each change, once that is on the disk."""
        self._callbacks.append(callback)

    def wrong(self, subject: Subject, since_ms: int | None, value: str = "") -> list[Change]:
        """Return the change that it makes to find `subject` wrong, none where that is known.

        Nothing has changed before `saved` is called with it. An event keeps its first since-when.
        """
        known = self._open.get(subject)
        if known is None:
            return [Change(Event(subject, since_ms, value), begun=True)]
        return [] if known.value == value else [Change(replace(known, value=value))]

    def right(self, subject: Subject) -> list[Change]:
        """Return the change that it makes to find `subject` as it should be."""
        known = self._open.get(subject)
        return [] if known is None else [Change(known, ended=True)]

    def set_back(self, now_ms: int) -> list[Change]:
        """Return the changes by which no event is later than now, as after a clock was ahead."""
        return [
            Change(replace(event, since_ms=now_ms))
            for event in self._open.values()
            if event.since_ms is not None and event.since_ms > now_ms
        ]

    def saved(self, changes: Iterable[Change], name_of: Callable[[int], str]) -> None:
        """Note changes that are on the disk; `name_of` names nodes for the log."""
        for change in changes:
            event = change.event
            subject = event.subject
            if change.ended:
                self._open.pop(subject, None)
            else:
                self._open[subject] = event
            if change.begun or change.ended:
                fields: dict[str, object] = {"kind": subject.kind}
                if subject.node_id is not None:
                    fields["node"] = name_of(subject.node_id)
                if subject.part:
                    fields["part"] = subject.part
                if change.ended:
                    self._log.info("ended", **fields)
                else:
                    self._log.warning("begun", **fields, value=event.value)
            for callback in self._callbacks:
                asyncio.get_running_loop().call_soon(callback, change)


def save_changes(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Store changes; must run inside a transaction of the writer."""
    for change in changes:
        event = change.event
        subject = (event.subject.kind, event.subject.node_id, event.subject.part)
        if change.ended:
            connection.execute(
                "DELETE FROM events WHERE kind = ? AND ifnull(node_id, 0) = ifnull(?, 0)"
                " AND part = ?",
                subject,
            )
        else:
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, ifnull(node_id, 0), part)"
                " DO UPDATE SET value = excluded.value, since_ms = excluded.since_ms",
                (*subject, event.since_ms, event.value),
            )


def read_events(connection: sqlite3.Connection) -> list[Event]:
    """Return the open events, the longest first, without those of nodes that were removed."""
    kinds = {kind.value: kind for kind in EventKind}
    rows = connection.execute(
        "SELECT kind, node_id, part, since_ms, value FROM events"
        " LEFT JOIN nodes ON nodes.id = node_id WHERE NOT ifnull(removed, 0)"
        " ORDER BY ifnull(since_ms, 0)"
    )
    # A gateway that is older than the store's last one may not know all kinds.
    return [
        Event(Subject(kinds[kind], node_id, part), since_ms, value)
        for kind, node_id, part, since_ms, value in rows
        if kind in kinds
    ]
