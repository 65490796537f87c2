"""Stores of every earlier version with data in them, and what they are once brought up to date."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

from feltpost_gateway.migrations import SCHEMA_VERSION
from feltpost_gateway.transaction import pack_checksum

# What the tables of each version hold, written as that version's gateway wrote it.
DATA = {
    1: """
        INSERT INTO nodes VALUES (1, zeroblob(8), 'node', 'owner', 'site');
        INSERT INTO journals VALUES (1, 1, 44), (1, 2, 7);
        INSERT INTO packs (id, node_id, journal, first, count, skip, received_ms, body)
        SELECT value, 1, 1, 4 * value, 4, 0, 1000 + value, randomblob(300)
        FROM generate_series;
        INSERT INTO gaps VALUES (1, 1, 40, 4, 0, 5000);
        INSERT INTO oscore VALUES (x'01', zeroblob(8), 9, 3, 128);
        INSERT INTO cursors VALUES ('mqtt', 4);
    """,
}
DATA[2] = (
    DATA[1]
    .replace("(1, 1, 44), (1, 2, 7)", "(1, 1, 44, 12), (1, 2, 7, 7)")
    .replace(
        """received_ms, body)
        SELECT value, 1, 1, 4 * value, 4, 0, 1000 + value, randomblob(300)
        FROM generate_series;""",
        """received_ms, body, checksum)
        SELECT value, 1, 1, 4 * value, 4, 0, 1000 + value, randomblob(300), 0
        FROM generate_series;
        UPDATE packs
        SET checksum = pack_checksum(node_id, journal, first, count, skip, received_ms, body);""",
    )
)
DATA[3] = (
    DATA[2]
    + """
        INSERT INTO ahead VALUES ('mqtt', 6, 8);
        INSERT INTO begun VALUES ('mqtt', 'undelivered', NULL);
        INSERT INTO dead_letters VALUES (7, 'mqtt', '28-31', 'a/b', 'too large', 6000);
    """
)
DATA[4] = (
    DATA[3].replace("INTO nodes VALUES", "INTO nodes (id, eui64, name, owner, site) VALUES")
    + """
        UPDATE nodes SET room = '3.B', classes = 'co2=open', declared_in = 'registry';
        INSERT INTO node_keys VALUES (x'01', 1, zeroblob(16), 1000, 1), (x'02', 1, NULL, 1000, 2);
        INSERT INTO owners VALUES ('owner', 'The Owner', 'Someone', 'a@b.dk', 'https://licence');
        INSERT INTO metric_classes VALUES ('co2', 'private');
        INSERT INTO node_history VALUES (1, 1, 1000, 'serviced', NULL, NULL, NULL, 'new battery');
    """
)
DATA[5] = (
    DATA[4]
    + """
        INSERT INTO events
        VALUES ('silent', 1, '', 1000, '600'), ('store-full', NULL, '', 2000, '');
        INSERT INTO contacts VALUES (1, 1000, 600000);
        UPDATE counted SET pack_id = 9;
        INSERT INTO days VALUES ('1970-01-01', 1, 28, 0, 3, 9);
    """
)
DATA[6] = (
    DATA[5]
    + """
        INSERT INTO mail VALUES (1, x'01');
    """
)


def make_old(path: Path, version: int) -> list[tuple[Any, ...]]:
    """Make a store of an earlier version with data in it; return its packs."""
    schema = resources.files("feltpost_gateway") / "schema"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.create_function("pack_checksum", 7, pack_checksum, deterministic=True)
        for number in range(1, version + 1):
            connection.executescript((schema / f"{number:04}.sql").read_text())
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("CREATE TEMP TABLE generate_series (value INTEGER)")
        connection.executemany(
            "INSERT INTO generate_series VALUES (?)", [(n,) for n in range(3, 10)]
        )
        connection.executescript(DATA[version])
        return connection.execute("SELECT * FROM packs").fetchall()


def check_new(path: Path, packs: list[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = reader.execute("SELECT * FROM packs").fetchall()
        assert [row[:8] for row in rows] == [row[:8] for row in packs]
        assert all(row[8] == pack_checksum(*row[1:8]) for row in rows)
        assert reader.execute("SELECT * FROM journals").fetchall() == [(1, 1, 44, 12), (1, 2, 7, 7)]
        assert reader.execute("SELECT * FROM gaps").fetchall() == [(1, 1, 40, 4, 0, 5000)]
        assert reader.execute("SELECT window_index, sender_reserved FROM oscore").fetchall() == [
            (9, 128)
        ]
        assert reader.execute("SELECT * FROM cursors").fetchall() == [("mqtt", 4)]
        assert reader.execute("SELECT max(seq) FROM sqlite_sequence").fetchone() == (9,)
