"""How many readings of each node came on each day, what is missing and why, and who has them.

Packs are counted once, in the order in which they were stored, a few seconds after they came; what
has not been counted yet is added when somebody asks. So a question about a week costs the rows of
that week's days and no more than a day of packs, however many the store holds.

A day is one of the gateway's own calendar, and a reading belongs to the day on which it came. A
missing one belongs to the day on which that was noted.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from feltpost_gateway.transaction import GapReason, Transaction, load_cursor

# A step of this many packs holds the commits of requests up for some 10 ms on a small computer.
_COUNT_MAX_PACKS = 2000

# These were here before they were lost; all others never came.
_LOST_HERE = (GapReason.UNREADABLE, GapReason.EVICTED)

_DAY_OF = "date({} / 1000, 'unixepoch', 'localtime')"


@dataclass(frozen=True)
class Delivery:
    """How many of a day's readings a destination has, or had no use for, and how many it awaits."""

    destination: str
    delivered: int
    waiting: int


@dataclass(frozen=True)
class NodeDay:
    """What became of the readings of one node on one day.

    day: such as `2026-11-22`. expected: the numbers of its journals that were accounted for.
    missing: how many for each reason, also those that came and were lost here.
    """

    day: str
    node_id: int
    expected: int
    arrived: int
    missing: dict[GapReason, int]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Backlog:
    """What waits for a destination; `oldest_ms` is when the oldest of it came, None for nothing.

    `progress` grows with each pack that the destination takes, and by nothing else.
    """

    destination: str
    packs: int
    oldest_ms: int | None
    progress: int


@dataclass
class _Arrived:
    readings: int = 0
    given_up: int = 0
    first_pack: int = 1 << 62
    last_pack: int = 0

    def add(self, readings: int, given_up: int, first_pack: int, last_pack: int) -> None:
        self.readings += readings
        self.given_up += given_up
        self.first_pack = min(self.first_pack, first_pack)
        self.last_pack = max(self.last_pack, last_pack)


def count_packs(transaction: Transaction) -> bool:
    """Count some of the packs that have not been; return whether there are more of them."""
    connection = transaction.connection
    (after,) = connection.execute("SELECT max(pack_id) FROM counted").fetchone()
    (last, packs) = connection.execute(
        "SELECT max(id), count(*) FROM (SELECT id FROM packs WHERE id > ? ORDER BY id LIMIT ?)",
        (after, _COUNT_MAX_PACKS),
    ).fetchone()
    if last is None:
        return False
    connection.execute(
        f"INSERT INTO days SELECT {_DAY_OF.format('received_ms')} AS day, node_id, sum(count), 0,"
        " min(id), max(id) FROM packs WHERE id > ? AND id <= ? GROUP BY day, node_id"
        " ON CONFLICT (day, node_id) DO UPDATE SET arrived = arrived + excluded.arrived,"
        " first_pack = min(first_pack, excluded.first_pack),"
        " last_pack = max(last_pack, excluded.last_pack)",
        (after, last),
    )
    connection.execute("UPDATE counted SET pack_id = ?", (last,))
    return int(packs) == _COUNT_MAX_PACKS


def read_days(
    connection: sqlite3.Connection, since: str, destinations: Iterable[str]
) -> list[NodeDay]:
    """Return what became of the readings from the day `since` on, by day and node."""
    arrived = _read_arrived(connection, since)
    missing = _read_missing(connection, since)
    waiting = {name: _read_waiting(connection, arrived, name) for name in destinations}
    days = []
    for day, node_id in sorted({*arrived, *missing}):
        came = arrived.get((day, node_id), _Arrived())
        lost = missing.get((day, node_id), {})
        never_came = sum(count for reason, count in lost.items() if reason not in _LOST_HERE)
        deliveries = []
        for name, awaited in waiting.items():
            waits = awaited.get((day, node_id), 0)
            deliveries.append(Delivery(name, came.readings - came.given_up - waits, waits))
        days.append(
            NodeDay(
                day=day,
                node_id=node_id,
                expected=came.readings + never_came,
                arrived=came.readings,
                missing=lost,
                deliveries=tuple(deliveries),
            )
        )
    return days


def read_backlog(connection: sqlite3.Connection, destination: str) -> Backlog:
    """Return what waits for a destination; the ids of packs hardly ever leave numbers out."""
    waiting = _read_waiting_ranges(connection, destination)
    first = connection.execute(
        "SELECT id, received_ms FROM packs WHERE id > ? ORDER BY id LIMIT 1", (waiting[0][0],)
    ).fetchone()
    progress = waiting[-1][1] - sum(upto - after for after, upto in waiting)
    if first is None or first[0] > waiting[-1][1]:
        return Backlog(destination, 0, None, progress)
    packs = sum(upto - max(after, first[0] - 1) for after, upto in waiting if upto >= first[0])
    return Backlog(destination, packs, first[1], progress)


def _read_arrived(connection: sqlite3.Connection, since: str) -> dict[tuple[str, int], _Arrived]:
    arrived: dict[tuple[str, int], _Arrived] = {}
    rows = connection.execute(
        "SELECT day, node_id, arrived, given_up, first_pack, last_pack FROM days WHERE day >= ?1"
        " UNION ALL"
        f" SELECT {_DAY_OF.format('received_ms')} AS day, node_id, sum(count), 0, min(id), max(id)"
        " FROM packs WHERE id > (SELECT max(pack_id) FROM counted)"
        " GROUP BY day, node_id HAVING day >= ?1",
        (since,),
    )
    for day, node_id, *counts in rows:
        arrived.setdefault((day, node_id), _Arrived()).add(*counts)
    return arrived


def _read_missing(
    connection: sqlite3.Connection, since: str
) -> dict[tuple[str, int], dict[GapReason, int]]:
    missing: dict[tuple[str, int], dict[GapReason, int]] = {}
    rows = connection.execute(
        f"SELECT {_DAY_OF.format('noted_ms')} AS day, node_id, reason, sum(count) FROM gaps"
        " WHERE noted_ms >= 1000 * strftime('%s', ?, 'utc') GROUP BY day, node_id, reason",
        (since,),
    )
    for day, node_id, reason, count in rows:
        missing.setdefault((day, node_id), {})[GapReason(reason)] = count
    return missing


def _read_waiting(
    connection: sqlite3.Connection, arrived: dict[tuple[str, int], _Arrived], destination: str
) -> dict[tuple[str, int], int]:
    """Return how many readings wait for a destination, by day and node."""
    ranges = _read_waiting_ranges(connection, destination)
    waiting: dict[tuple[str, int], int] = {}
    partly: set[tuple[str, int]] = set()
    cut: dict[str, _Arrived] = {}
    for (day, node_id), came in arrived.items():
        first, last = came.first_pack, came.last_pack
        if any(after < first and last <= upto for after, upto in ranges):
            waiting[day, node_id] = came.readings - came.given_up
        elif any(after < last and first <= upto for after, upto in ranges):
            partly.add((day, node_id))
            cut.setdefault(day, _Arrived()).add(0, 0, first, last)
    # Only days of which a destination has a part have to be looked at pack by pack.
    for day, span in cut.items():
        for after, upto in ranges:
            rows = connection.execute(
                f"SELECT node_id, sum(count) FROM packs WHERE id > ? AND id <= ?"
                f" AND {_DAY_OF.format('received_ms')} = ? GROUP BY node_id",
                (max(after, span.first_pack - 1), min(upto, span.last_pack), day),
            )
            for node_id, count in rows:
                if (day, node_id) in partly:
                    waiting[day, node_id] = waiting.get((day, node_id), 0) + count
    return waiting


def _read_waiting_ranges(connection: sqlite3.Connection, destination: str) -> list[tuple[int, int]]:
    """Return which ids a destination lacks, as (after, up to), ascending; one range at least."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM packs").fetchone()
    after = load_cursor(connection, destination)
    ranges = []
    for ahead_after, ahead_upto in connection.execute(
        "SELECT after_id, upto_id FROM ahead WHERE destination = ? ORDER BY after_id",
        (destination,),
    ):
        if ahead_after > after:
            ranges.append((after, ahead_after))
        after = max(after, ahead_upto)
    return [*ranges, (after, max(after, last))]
