"""The files of a gateway's store, as somebody who has the disk may treat them.

The gateway must not run meanwhile.
"""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

# The magic at the beginning, without which it is nobody's store and left alone.
_MAGIC_BYTES = 16

# More unused room than a gateway leaves in its file.
_ROOM_BYTES = 3 << 20


class StoreFiles:
    """The database and the log beside it."""

    def __init__(self, path: Path):
        """path: of the database."""
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")

    def leave_room(self) -> None:
        """Leave unused pages in the database, as a backlog does that has been deleted."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as store:
            store.execute("CREATE TABLE room (content BLOB)")
            store.execute("INSERT INTO room VALUES (zeroblob(?))", (_ROOM_BYTES,))
            store.execute("DROP TABLE room")

    def flip(self, bits: int, seed: int) -> None:
        """Flip bits anywhere in the database, more of them towards its end: there the newest is."""
        chance = random.Random(seed)
        with self._path.open("r+b") as file:
            size = file.seek(0, 2)
            for _ in range(bits):
                place = max(chance.randrange(_MAGIC_BYTES, size) for _ in range(2))
                file.seek(place)
                (byte,) = file.read(1)
                file.seek(place)
                file.write(bytes((byte ^ 1 << chance.randrange(8),)))

    def truncate_log(self, seed: int) -> None:
        """Cut the log short, anywhere."""
        size = self._log.stat().st_size if self._log.exists() else 0
        if size:
            with self._log.open("r+b") as file:
                file.truncate(random.Random(seed).randrange(size))
