"""The audit log: what was done to which board, by whom, when, and with what result.

One line of JSON for each action, only ever added to. Each line has the SHA-256 of the line before
it, so that a line that was changed, taken out or put in shows. That is no proof against somebody
who may write to the file and makes the whole rest of it anew, and lines missing at the end show
only to somebody who knows how many there were (or the last one's digest, which `feltpost log
--verify` prints).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feltpost_tools.errors import AuditError
from feltpost_tools.language import _

START = "0" * 64
"""What the first line has for the digest of the line before it."""

_BLOCK_BYTES = 4096


@dataclass(frozen=True)
class Action:
    """What was done. There is no field for a secret, and none may be in `error`.

    versions: by what is installed ("feltpost", "micropython"), its version.
    """

    action: str
    result: str
    port: str = ""
    mac: str = ""
    node: str = ""
    site: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Entry:
    """An action as it stands in the log: with its time (UTC), the login name and the computer."""

    time: datetime
    who: str
    host: str
    action: Action


@dataclass(frozen=True)
class Line:
    """A line of the file, from 1 on. entry: None where it can't be read. follows: whether its
    digest is the one of the line before it."""

    number: int
    entry: Entry | None
    follows: bool


@dataclass(frozen=True)
class Verdict:
    """What `AuditLog.verify` found: how many lines, the last one's digest, and which are wrong."""

    lines: int
    digest: str
    wrong: tuple[Line, ...]


class AuditLog:
    """The log in one file; any number of processes may add to it side by side."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_folder() / "audit.jsonl"

    def record(self, action: Action) -> str | None:
        """Add a line and return once it is on the disk.

        Never raises for a log that can't be written, since a board half flashed would be worse:
        returns what went wrong then, to be shown to the technician.
        """
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "who": login_name(),
            "host": platform.node(),
            **{name: value for name, value in asdict(action).items() if value},
        }
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, fcntl.LOCK_EX) as file:
                _append(file, entry)
        except OSError as error:
            return _("{file}: this action could not be put on record ({reason}).").format(
                file=self.path, reason=error.strerror
            )
        return None

    def lines(self) -> Iterator[Line]:
        """Give the lines in their order, none where there is no log yet.

        `AuditError` when the file can't be read.
        """
        return _lines(self._raw())

    def verify(self) -> Verdict:
        """Go through the whole chain; `AuditError` when the file can't be read."""
        raw = self._raw()
        wrong = tuple(line for line in _lines(raw) if line.entry is None or not line.follows)
        return Verdict(len(raw), _digest(raw[-1]) if raw else START, wrong)

    def _raw(self) -> list[bytes]:
        try:
            with _locked(self.path, os.O_RDONLY, fcntl.LOCK_SH) as file:
                content = b"".join(iter(lambda: os.read(file, _BLOCK_BYTES * 64), b""))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AuditError(
                _("{file}: the log can't be read ({reason}).").format(
                    file=self.path, reason=error.strerror
                )
            ) from error
        return content.removesuffix(b"\n").split(b"\n") if content else []


def state_folder() -> Path:
    """Return the user's folder for what Feltpost remembers (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_STATE_HOME", "")
    # A relative path is to be taken for none, the specification says.
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "feltpost"


def login_name() -> str:
    """Return who runs this process; with sudo, who that is and as whom."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    behind = os.environ.get("SUDO_USER") if user == 0 else None
    return f"{behind} ({name})" if behind else name


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, lock)
        yield file
    finally:
        os.close(file)


def _append(file: int, entry: dict[str, Any]) -> None:
    size = os.fstat(file).st_size
    last, ended = _last_line(file, size)
    entry["previous"] = START if last is None else _digest(last)
    # Names may come from the system with bytes that are no UTF-8; those stay escaped, as JSON does.
    line = json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    if not ended:
        # A power cut tore the line before: it stays as it is, on a line of its own.
        line = b"\n" + line
    try:
        while line:
            line = line[os.write(file, line) :]
        os.fsync(file)
    except OSError:
        # The disk is full: no half a line may stay for the next one to be glued to.
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def _last_line(file: int, size: int) -> tuple[bytes | None, bool]:
    # The last line without its end, None in an empty file, and whether it has an end.
    tail = b""
    start = size
    while start and b"\n" not in tail[:-1]:
        step = min(start, _BLOCK_BYTES)
        start -= step
        tail = os.pread(file, step, start) + tail
    if not tail:
        return None, True
    return tail.removesuffix(b"\n").rpartition(b"\n")[2], tail.endswith(b"\n")


def _lines(raw: Sequence[bytes]) -> Iterator[Line]:
    previous = START
    for number, content in enumerate(raw, 1):
        record = _record(content)
        entry = None if record is None else _entry(record)
        yield Line(number, entry, record is not None and record.get("previous") == previous)
        previous = _digest(content)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _record(raw: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(raw)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _entry(record: dict[str, Any]) -> Entry | None:
    try:
        time = datetime.fromisoformat(record["time"])
        who, host = record["who"], record["host"]
        names = Action.__dataclass_fields__
        action = Action(**{name: record[name] for name in names if name in record})
    except (KeyError, TypeError, ValueError):
        return None
    texts = (who, host, *(v for k, v in asdict(action).items() if k != "versions"))
    if time.tzinfo is None or not all(isinstance(text, str) for text in texts):
        return None
    return Entry(time, who, host, action) if isinstance(action.versions, dict) else None
