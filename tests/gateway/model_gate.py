"""Holds a store's commits back, so that a gateway can crash before one that is under way."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import nullcontext
from typing import Any


class Gate:
    """The writer's connection, no commit of which gets through while `lock` is held."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.lock = threading.Lock()
        self.reached = threading.Event()
        """Set by the first commit that comes to the gate."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            self.reached.set()
        with self.lock if statement == "COMMIT" else nullcontext():
            return self._connection.execute(statement, *arguments)
