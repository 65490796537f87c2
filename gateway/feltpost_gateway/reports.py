"""What a node says of itself after a boot: decoded, checked, and as one line for the log.

The payload is a CBOR map (docs/protocol.md, "Reports").
"""

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import cbor2

from feltpost_gateway.cborshape import check_shape
from feltpost_gateway.errors import PackError

_FIRMWARE = 0
_MICROPYTHON = 1
_BOARD = 2
_RESET_CAUSE = 3
_PROBLEMS = 4
_TRACEBACK = 5
_SAFE_MODE = 6
_UPTIME = 7

_FRAME = re.compile(r'File "([^"]*)", line (\d+)(?:, in )?')
_TRACEBACK_HEAD = "Traceback (most recent call last):"

# The last call and the exception tell most, so a long traceback loses its beginning.
_LINE_MAX_CHARS = 240


class ResetCause(IntEnum):
    """Why the node booted."""

    POWER_ON = 1
    HARD_RESET = 2
    WATCHDOG = 3
    DEEP_SLEEP = 4
    SOFT_RESET = 5
    BROWN_OUT = 6


_CAUSES = frozenset(ResetCause)


@dataclass(frozen=True)
class NodeReport:
    """A report's contents, None for what it leaves out; `uptime_s` is that of its sending."""

    firmware: str
    micropython: str | None
    board: str | None
    reset_cause: ResetCause | None
    problems: tuple[str, ...]
    traceback: str | None
    safe_mode: bool
    uptime_s: int | None


def decode(payload: bytes) -> NodeReport:
    """Return the report in `payload`; raise `PackError`, naming the key, where it breaks a rule.

    Unknown keys are passed over, for nodes that are newer than this gateway.
    """
    check_shape(payload)
    try:
        report = cbor2.loads(payload)
    except (cbor2.CBORError, ValueError) as error:
        raise PackError(f"the CBOR can't be decoded: {error}") from error
    if not isinstance(report, dict) or _FIRMWARE not in report:
        raise PackError("a report is a map with the key 0 (firmware version)")
    cause = report.get(_RESET_CAUSE)
    if cause is not None and (type(cause) is not int or cause not in _CAUSES):
        raise PackError("a report's reset cause (key 3) is a number from 1 to 6")
    problems = report.get(_PROBLEMS, [])
    if not isinstance(problems, list) or not all(isinstance(text, str) for text in problems):
        raise PackError("a report's problems (key 4) are an array of texts")
    if report.get(_SAFE_MODE, True) is not True:
        raise PackError("a report's safe mode (key 6) is true or left out")
    uptime_s = report.get(_UPTIME)
    if uptime_s is not None and (type(uptime_s) is not int or uptime_s < 0):
        raise PackError("a report's uptime (key 7) is a number of seconds from 0 on")
    return NodeReport(
        firmware=_text(report, _FIRMWARE, "firmware version") or "",
        micropython=_text(report, _MICROPYTHON, "MicroPython version"),
        board=_text(report, _BOARD, "board"),
        reset_cause=None if cause is None else ResetCause(cause),
        problems=tuple(problems),
        traceback=_text(report, _TRACEBACK, "traceback"),
        safe_mode=_SAFE_MODE in report,
        uptime_s=uptime_s,
    )


def is_repeated(report: NodeReport, before: bytes) -> bool:
    """Tell whether a stored report says the same, apart from the time that has passed."""
    try:
        return replace(decode(before), uptime_s=report.uptime_s) == report
    except PackError:
        return False


def log_fields(report: NodeReport) -> dict[str, object]:
    """Return what of a report goes into the log, each field on one line."""
    fields: dict[str, object | None] = {
        "firmware": report.firmware,
        "micropython": report.micropython,
        "board": report.board,
        "reset": report.reset_cause and report.reset_cause.name.lower(),
        "safe_mode": "yes" if report.safe_mode else None,
        "problems": "; ".join(report.problems) or None,
        "traceback": report.traceback and one_line(report.traceback),
    }
    return {name: value for name, value in fields.items() if value is not None}


def one_line(traceback: str, max_chars: int = _LINE_MAX_CHARS) -> str:
    """Return a traceback on one line, its frames as `file:line function`, cut at the front."""
    lines = [_FRAME.sub(r"\1:\2 ", line.strip()) for line in traceback.splitlines()]
    text = " | ".join(line for line in lines if line and line != _TRACEBACK_HEAD)
    return text if len(text) <= max_chars else "…" + text[-max_chars:]


def _text(report: dict[Any, Any], key: int, name: str) -> str | None:
    value = report.get(key)
    if value is not None and not isinstance(value, str):
        raise PackError(f"a report's {name} (key {key}) is a text")
    return value
