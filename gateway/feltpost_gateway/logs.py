"""One line for each event: a name and `key=value` pairs, for journald and for people.

Events that anybody on the network can cause are rate-limited by key, so that a broken or hostile
node can't fill the disk that holds the readings.
"""

import logging
import sys
import time
from collections import OrderedDict

_LIMIT_INTERVAL_S = 60.0
_LIMIT_KEYS = 1024
_VALUE_MAX_CHARS = 256

LOGGER_NAME = "feltpost"


def printable(text: str, max_chars: int = _VALUE_MAX_CHARS) -> str:
    """Return `text` on one line, without control characters, cut off at `max_chars`."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:max_chars])
    return clean + "…" if len(text) > max_chars else clean


def _field(value: object) -> str:
    text = printable(str(value))
    return f'"{text}"' if not text or any(c in text for c in ' ="') else text


class EventLog:
    """Writes events to the logger of one part of the gateway."""

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"{LOGGER_NAME}.{part}")
        self._limited: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

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
        now_s = time.monotonic()
        last_s, held_back = self._limited.get((event, *key), (-_LIMIT_INTERVAL_S, 0))
        if now_s - last_s < _LIMIT_INTERVAL_S:
            self._limited[(event, *key)] = (last_s, held_back + 1)
            return
        self._limited[(event, *key)] = (now_s, 0)
        self._limited.move_to_end((event, *key))
        if len(self._limited) > _LIMIT_KEYS:
            self._limited.popitem(last=False)
        if held_back:
            fields["repeated"] = held_back
        self._write(logging.WARNING, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            pairs = "".join(f" {name}={_field(value)}" for name, value in fields.items())
            self._logger.log(level, "%s%s", event, pairs)


def configure(level: int = logging.INFO) -> None:
    """Send this package's events from `level` on to standard error.

    aiocoap and paho log what any passer-by can cause; of theirs, errors only are let through.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.ERROR)
    logging.getLogger(LOGGER_NAME).setLevel(level)
