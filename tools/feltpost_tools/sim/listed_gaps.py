"""The gaps that a gateway lists, read from its store, since no command tells them one by one."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ListedGap:
    """A row of the table gaps (gateway/feltpost_gateway/schema)."""

    eui64: bytes
    journal: int
    first: int
    count: int
    reason: int


def listed_gaps(store: Path) -> list[ListedGap]:
    """Return all gaps; store: the file, in use by a gateway or not, which is only read.

    Raises sqlite3.Error where it can't be read.
    """
    with contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT eui64, journal, first, count, reason FROM gaps JOIN nodes ON id = node_id"
        )
        return [ListedGap(*row) for row in rows]


def eui64(mac: bytes) -> bytes:
    """Return the EUI-64 of a 48-bit MAC address (RFC 9039 section 3.1)."""
    return mac[:3] + b"\xff\xfe" + mac[3:]
