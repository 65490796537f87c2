"""Faults inside the gateway's process: points at which it dies, and a disk that fails.

Its own code knows nothing of them. A crash point is put around a public function of the gateway
or of paho when it is asked for, and not before. Commands are lines of text, as `gateway` gets them:

- `crash-at POINT NTH`: die by SIGKILL when that point is passed for the NTH time from now on;
- `fail-writes ERROR`: have SQLite's writes fail from now on, with an error such as ENOSPC;
- `heal`: have them succeed again;
- `checkpoint-at BYTES`: put the log into the database when it has that many bytes.
"""

import contextlib
import errno
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

from feltpost_gateway import database, housekeeping, store
from feltpost_gateway.forwarder import Forwarder
from feltpost_gateway.ingest import Request
from feltpost_gateway.oscore_site import OscoreSite, Response
from feltpost_gateway.security import NodeContext
from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.failing_writes import FailingWrites, failing_writes

_Function = Callable[..., Any]

AFTER_COMMIT_BEFORE_ANSWER = "after-commit-before-answer"
"""What a request brought is on the disk, and nothing of its answer has been sent."""

AFTER_PUBLISH_BEFORE_PUBACK = "after-publish-before-puback"
"""A message with readings is with the kernel, and its PUBACK has not been heard."""

AFTER_PUBACK_BEFORE_CURSOR = "after-puback-before-cursor"
"""The forwarder was told of a PUBACK, and has not stored that the destination has the pack."""

DURING_PRUNE = "during-prune"
"""Delivered packs have been deleted, and that is not committed."""

DURING_VACUUM = "during-vacuum"
"""Unused pages have been given back, and that is not committed."""

DURING_MIGRATION = "during-migration"
"""All statements of a migration have run, and it is not committed.

The number is the version that the migration makes, not that of a pass.
"""

LAST_WORDS = "crash point"
"""What the process says before it dies at a point, followed by the point's name and number."""


class GatewayFaults:
    """Carries out the commands that the gateway's process is given, and keeps what they set up."""

    def __init__(self) -> None:
        self._writes: FailingWrites | None = None
        self._exit = contextlib.ExitStack()

    def obey(self, command: str) -> None:
        """Carry out one command; raises `FeltpostError`, naming it, where that can't be done."""
        match command.split():
            case ["crash-at", point, nth] if point in _SEAMS:
                owner, name, wrap = _SEAMS[point]
                setattr(owner, name, wrap(_Point(point, int(nth)), getattr(owner, name)))
            case ["fail-writes", name] if hasattr(errno, name):
                self._sqlite_writes().fail(getattr(errno, name))
            case ["heal"]:
                self._sqlite_writes().heal()
            case ["checkpoint-at", size]:
                store._CHECKPOINT_BYTES = int(size)
            case _:
                raise FeltpostError(f"the simulated gateway knows no command '{command}'")

    def _sqlite_writes(self) -> FailingWrites:
        if self._writes is None:
            self._writes = self._exit.enter_context(failing_writes())
        return self._writes


class _Point:
    """A crash point that waits for its number of passes."""

    def __init__(self, name: str, nth: int) -> None:
        self.name = name
        self.nth = nth
        self._passes = 0

    def passed(self) -> None:
        """Count a pass, and die at the last one."""
        self._passes += 1
        if self._passes == self.nth:
            self.die()

    def die(self) -> None:
        """Say where, and end at once, as a power cut would end the process."""
        sys.stderr.write(f"{LAST_WORDS} {self.name} {self.nth}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def _answered(point: _Point, real: _Function) -> _Function:
    async def answer(site: OscoreSite, context: NodeContext, request: Request) -> Response:
        response: Response = await real(site, context, request)
        if response.is_committed:
            point.passed()
        return response

    return answer


def _published(point: _Point, real: _Function) -> _Function:
    def publish(client: paho.Client, *args: Any, **options: Any) -> paho.MQTTMessageInfo:
        info: paho.MQTTMessageInfo = real(client, *args, **options)
        if not options.get("retain"):
            # The event loop is held meanwhile, so that the forwarder hears of no PUBACK. A client
            # that has lost its connection writes nothing more.
            while client.want_write() and client.is_connected():
                os.sched_yield()
            point.passed()
        return info

    return publish


def _taken(point: _Point, real: _Function) -> _Function:
    def taken(forwarder: Forwarder, token: int) -> None:
        real(forwarder, token)
        point.passed()

    return taken


def _changed(point: _Point, real: _Function) -> _Function:
    """Pass where prune or vacuum has changed something."""

    def change(*args: Any, **options: Any) -> int:
        changed: int = real(*args, **options)
        if changed:
            point.passed()
        return changed

    return change


def _migrated(point: _Point, real: _Function) -> _Function:
    last = f"PRAGMA user_version = {point.nth};"

    def migrate(connection: sqlite3.Connection, name: str) -> None:
        before = ""

        def look(statement: str) -> None:
            nonlocal before
            if before == last and statement.strip() == "COMMIT;":
                point.die()
            before = statement.strip()

        connection.set_trace_callback(look)
        real(connection, name)
        connection.set_trace_callback(None)

    return migrate


_SEAMS: dict[str, tuple[object, str, Callable[[_Point, _Function], _Function]]] = {
    AFTER_COMMIT_BEFORE_ANSWER: (OscoreSite, "answer", _answered),
    AFTER_PUBLISH_BEFORE_PUBACK: (paho.Client, "publish", _published),
    AFTER_PUBACK_BEFORE_CURSOR: (Forwarder, "taken", _taken),
    DURING_PRUNE: (housekeeping, "prune", _changed),
    DURING_VACUUM: (housekeeping, "vacuum", _changed),
    DURING_MIGRATION: (database, "migrate", _migrated),
}
