"""What the store keeps of destinations: where each is, and what it refused for good.

The functions that write run inside a transaction of the writer (`Transaction.connection`).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from feltpost_gateway.destination_config import Begin, DestinationConfig
from feltpost_gateway.progress import Position
from feltpost_gateway.transaction import load_cursor


@dataclass(frozen=True)
class DeadLetter:
    """What a destination refused for good: numbers of a pack, as ranges (`format_ranges`)."""

    destination: str
    pack_id: int
    seqs: str
    topic: str
    reason: str
    noted_ms: int


def format_ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as ranges, such as `40-43,47`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{a}-{b}" if a < b else str(a) for a, b in ranges)


def newest_pack(connection: sqlite3.Connection) -> int:
    """Return the id of the last pack that was stored, deleted or not, 0 for none."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'packs'").fetchone()
    return int(row[0]) if row else 0


def settle_destinations(
    connection: sqlite3.Connection, destinations: Sequence[DestinationConfig]
) -> None:
    """Give each destination a place to begin, and take their places from all others.

    One that was here before goes on where it was, unless it asks for more (`from`).
    """
    # Where all of the others are counts, so that what waited for one that is replaced goes to the
    # new one, and what any other has had does not.
    furthest = _furthest(connection)
    for destination in destinations:
        _settle(connection, destination, furthest)
    names = [destination.name for destination in destinations]
    places = ", ".join("?" * len(names))
    connection.execute(
        "INSERT INTO begun SELECT destination, '', pack_id FROM cursors"
        f" WHERE destination NOT IN ({places})"
        " ON CONFLICT (destination) DO UPDATE SET left_id = excluded.left_id",
        names,
    )
    connection.execute(f"DELETE FROM cursors WHERE destination NOT IN ({places})", names)


def _settle(connection: sqlite3.Connection, destination: DestinationConfig, furthest: int) -> None:
    name, asked = destination.name, str(destination.begin)
    known = connection.execute("SELECT 1 FROM cursors WHERE destination = ?", (name,)).fetchone()
    begun = connection.execute(
        "SELECT asked, left_id FROM begun WHERE destination = ?", (name,)
    ).fetchone()
    if begun is not None and begun[1] is not None:
        _save_cursor(connection, name, int(begun[1]))
    elif not known and begun is None:
        _save_cursor(connection, name, _first_place(connection, destination.begin, furthest))
    if begun is not None and begun[0] not in ("", asked) and _asks_for_more(destination.begin):
        start = _first_place(connection, destination.begin, furthest)
        connection.execute("DELETE FROM ahead WHERE destination = ?", (name,))
        _save_cursor(connection, name, min(start, load_cursor(connection, name)))
    connection.execute("INSERT OR REPLACE INTO begun VALUES (?, ?, NULL)", (name, asked))


def _asks_for_more(begin: Begin) -> bool:
    return begin == "all" or isinstance(begin, int)


def _first_place(connection: sqlite3.Connection, begin: Begin, furthest: int) -> int:
    if begin == "now":
        return newest_pack(connection)
    if begin == "all":
        return 0
    if begin == "undelivered":
        return furthest
    row = connection.execute(
        "SELECT min(id) - 1 FROM packs WHERE received_ms >= ?", (begin,)
    ).fetchone()
    return newest_pack(connection) if row[0] is None else int(row[0])


def _furthest(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "SELECT max(id) FROM (SELECT pack_id AS id FROM cursors UNION ALL"
        " SELECT upto_id FROM ahead UNION ALL SELECT left_id FROM begun)"
    ).fetchone()
    return row[0] or 0


def _save_cursor(connection: sqlite3.Connection, destination: str, pack_id: int) -> None:
    connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (destination, pack_id))


def load_position(connection: sqlite3.Connection, destination: str) -> Position:
    """Return where a destination is."""
    ahead = connection.execute(
        "SELECT after_id, upto_id FROM ahead WHERE destination = ? ORDER BY after_id",
        (destination,),
    ).fetchall()
    return Position(load_cursor(connection, destination), tuple(ahead))


def save_position(connection: sqlite3.Connection, destination: str, position: Position) -> None:
    """Note where a destination is."""
    _save_cursor(connection, destination, position.cursor)
    connection.execute("DELETE FROM ahead WHERE destination = ?", (destination,))
    connection.executemany(
        "INSERT INTO ahead VALUES (?, ?, ?)",
        [(destination, after_id, upto_id) for after_id, upto_id in position.ahead],
    )


def note_refused(connection: sqlite3.Connection, letter: DeadLetter) -> bool:
    """Note what a destination refused; return False where its pack is gone, as after a purge."""
    cursor = connection.execute(
        "INSERT OR REPLACE INTO dead_letters SELECT id, ?, ?, ?, ?, ? FROM packs WHERE id = ?",
        (
            letter.destination,
            letter.seqs,
            letter.topic,
            letter.reason,
            letter.noted_ms,
            letter.pack_id,
        ),
    )
    return cursor.rowcount > 0


def places(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the destinations that have a place in the store."""
    return [name for (name,) in connection.execute("SELECT destination FROM cursors ORDER BY 1")]


def refusing(connection: sqlite3.Connection) -> list[str]:
    """Return the names of those that refused something, of which some may not be there any more."""
    rows = connection.execute("SELECT DISTINCT destination FROM dead_letters ORDER BY 1")
    return [name for (name,) in rows]


def read_dead_letters(
    connection: sqlite3.Connection, destination: str, limit: int
) -> list[DeadLetter]:
    """Return what a destination refused, the oldest first."""
    rows = connection.execute(
        "SELECT destination, pack_id, seqs, topic, reason, noted_ms FROM dead_letters"
        " WHERE destination = ? ORDER BY pack_id, seqs LIMIT ?",
        (destination, limit),
    )
    return [DeadLetter(*row) for row in rows]


def retry_dead_letters(connection: sqlite3.Connection, destination: str) -> int:
    """Have a destination get what it refused once more; return how many messages that were."""
    rows = connection.execute(
        "DELETE FROM dead_letters WHERE destination = ? RETURNING pack_id", (destination,)
    ).fetchall()
    position = load_position(connection, destination).without(row[0] for row in rows)
    save_position(connection, destination, position)
    return len(rows)


def drop_dead_letters(connection: sqlite3.Connection, destination: str) -> int:
    """Forget what a destination refused, so that its packs may go; return how many it was."""
    return connection.execute(
        "DELETE FROM dead_letters WHERE destination = ?", (destination,)
    ).rowcount
