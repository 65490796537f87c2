"""One line for each event: a name and `key=value` pairs, for journald and for people.

Events that anybody on the network can cause are rate-limited by key, so that a broken or hostile
node can't fill the disk that holds the readings. In journald each line has its priority.
"""

import logging
import os
import sys
import time
from collections import OrderedDict
from typing import TextIO

from feltpost_gateway.reports import one_line

_LIMIT_INTERVAL_S = 60.0
_LIMIT_KEYS = 1024
_VALUE_MAX_CHARS = 256
_TRACEBACK_MAX_CHARS = 2048

# sd-daemon(3): what a line begins with says how bad it is.
_PRIORITIES = {logging.ERROR: "<3>", logging.WARNING: "<4>", logging.INFO: "<6>"}
_PRIORITY_DEBUG = "<7>"

LOGGER_NAME = "feltpost"


def printable(text: str, max_chars: int = _VALUE_MAX_CHARS) -> str:
    """Return `text` on one line, without control characters, cut off at `max_chars`."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:max_chars])
    return clean + "…" if len(text) > max_chars else clean


def _field(value: object) -> str:
    text = printable(str(value))
    return f'"{text}"' if not text or any(c in text for c in ' ="') else text


class RateLimit:
    """Lets something through once a minute for each key, of the keys that were in use lately."""

    def __init__(self) -> None:
        self._keys: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def take(self, key: tuple[object, ...]) -> int | None:
        """Return how often `key` was held back since it last got through; None to hold it back."""
        now_s = time.monotonic()
        last_s, held_back = self._keys.get(key, (-_LIMIT_INTERVAL_S, 0))
        if now_s - last_s < _LIMIT_INTERVAL_S:
            self._keys[key] = (last_s, held_back + 1)
            return None
        self._keys[key] = (now_s, 0)
        self._keys.move_to_end(key)
        if len(self._keys) > _LIMIT_KEYS:
            self._keys.popitem(last=False)
        return held_back


class EventLog:
    """Writes events to the logger of one part of the gateway."""

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"{LOGGER_NAME}.{part}")
        self._limit = RateLimit()

    def debug(self, event: str, **fields: object) -> None:
        """Log what helps a developer."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what is as it should be."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what went wrong and heals by itself."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what needs a person."""
        self._write(logging.ERROR, event, fields)

    def limited(self, key: tuple[object, ...], event: str, **fields: object) -> None:
        """Log a warning, at most once a minute for each `key`.

        The next line that gets out says in `repeated` how many were held back before it.
        """
        held_back = self._limit.take((event, *key))
        if held_back is None:
            return
        if held_back:
            fields["repeated"] = held_back
        self._write(logging.WARNING, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            pairs = "".join(f" {name}={_field(value)}" for name, value in fields.items())
            self._logger.log(level, "%s%s", event, pairs)


class _LineFormatter(logging.Formatter):
    """One line a record, an exception's traceback included."""

    def __init__(self, for_journal: bool) -> None:
        super().__init__()
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname
        if self._for_journal:
            rank = max((rank for rank in _PRIORITIES if rank <= record.levelno), default=None)
            level = _PRIORITY_DEBUG if rank is None else _PRIORITIES[rank]
        text = f"{record.name} {record.getMessage()}"
        if record.exc_info:
            traceback = one_line(self.formatException(record.exc_info), _TRACEBACK_MAX_CHARS)
            text += f' traceback="{traceback}"'
        separator = "" if self._for_journal else " "
        return level + separator + printable(text, len(text))


class _ForeignLimit(logging.Filter):
    """Holds back what libraries repeat; our own events are limited where they are caused."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = RateLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] == LOGGER_NAME:
            return True
        return self._limit.take((record.name, record.msg)) is not None


def is_journal(stream: TextIO) -> bool:
    """Tell whether a stream leads to journald (systemd.exec(5), JOURNAL_STREAM)."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def configure(level: int = logging.INFO) -> None:
    """Send this package's events from `level` on to standard error.

    aiocoap and paho log what any passer-by can cause; of theirs, errors only are let through.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(is_journal(sys.stderr)))
    handler.addFilter(_ForeignLimit())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.ERROR)
    logging.getLogger(LOGGER_NAME).setLevel(level)
