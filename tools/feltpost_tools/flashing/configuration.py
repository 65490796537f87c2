"""A node's configuration: made of kit, board and site; checked; compared; written to the board.

The passwords of Wi-Fi networks are no part of it, since people print and compare it. They go beside
it into the board's NVS and never come back.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feltpost_tools import boards, kits
from feltpost_tools.board_faults import Severity
from feltpost_tools.boards import Board
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import ConfigurationError
from feltpost_tools.flashing import firmware_config, script
from feltpost_tools.kits import Kit
from feltpost_tools.language import _

_SCRIPTS = ("slots", "settings")
_TIMEOUT_S = 30.0

_NAME = "feltpost.json"
_ABSENT = object()
# One step of a setting's path: a key, or the place of a list's entry.
_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Settings:
    """What a board is to be configured with. passwords: by SSID, those that are new or other.

    A network of the configuration that is not in passwords keeps the password that the board has.
    """

    configuration: Mapping[str, Any]
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """The content of feltpost.json."""
        return json.dumps(self.configuration, indent=1, ensure_ascii=False) + "\n"

    @property
    def networks(self) -> list[str]:
        """The SSIDs of its links."""
        return [link["ssid"] for link in self.configuration["links"] if "ssid" in link]


@dataclass(frozen=True)
class Held:
    """What a board has: its configuration, None without a usable one; whose passwords."""

    configuration: Mapping[str, Any] | None
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A setting that differs, by its path ("links[0].host"); None: it is not there."""

    path: str
    before: Any
    after: Any


def make(
    kit: Kit,
    board: Board,
    links: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any] | None = None,
    passwords: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings of a node with that kit on that board, checked.

    links, and the sections that options has (power, journal, health): as
    firmware/feltpost/config.py describes them. Raises UnsuitableBoard and ConfigurationError.
    """
    configuration = kits.expand(kit, board, links) | dict(options or {})
    check(configuration, board)
    return Settings(configuration, passwords or {})


def check(configuration: Mapping[str, Any], board: Board | None = None) -> None:
    """Raise ConfigurationError where the firmware refuses a configuration, or its pins can't work.

    board: None where it is not known which one it is.
    """
    found = firmware_config.problems(_NAME, configuration)
    if board and not found:
        faults = boards.check(board, configuration)
        found = [str(fault) for fault in faults if fault.severity is Severity.ERROR]
    if found:
        raise ConfigurationError(
            _("The configuration can't be used: {problems}.").format(problems="; ".join(found))
        )


def setting(configuration: Mapping[str, Any], path: str) -> Any:
    """Return what is at a path such as "links[0].host". Raises ConfigurationError for nothing."""
    value: Any = configuration
    for step in _steps(path):
        value = _get(value, step)
        if value is _ABSENT:
            raise ConfigurationError(_("{path}: there is no such setting.").format(path=path))
    return value


def changed(configuration: Mapping[str, Any], path: str, text: str) -> dict[str, Any]:
    """Return a copy with another value at a path; text: as JSON, or a text as it is.

    Raises ConfigurationError for a path that leads nowhere; what the value is, check() looks at.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    copy: dict[str, Any] = json.loads(json.dumps(configuration))
    *way, last = _steps(path)
    place: Any = copy
    for step in way:
        if isinstance(place, dict) and step not in place:
            place[step] = {}
        place = _get(place, step)
    known = isinstance(last, str) if isinstance(place, dict) else _get(place, last) is not _ABSENT
    if not known:
        raise ConfigurationError(_("{path}: there is no such setting.").format(path=path))
    place[last] = value
    return copy


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return every single value in which two configurations differ, by path."""
    old, new = dict(_values(before, "")), dict(_values(after, ""))
    return [
        Change(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path, _ABSENT) != new.get(path, _ABSENT)
    ]


async def read(board: Mpremote) -> Held:
    """Return what a board has. Raises a DeviceError."""
    calls = script.call("survey", []), script.call("tell_networks")
    told = await script.run(board, _SCRIPTS, *calls, timeout_s=_TIMEOUT_S, soft_reset=True)
    found = {what: values[0] for what, *values in told}
    return Held(parsed(bytes.fromhex(found["configuration"])), tuple(found["networks"]))


async def write(board: Mpremote, settings: Settings) -> None:
    """Write a configuration where it differs, at once or not at all. Raises a DeviceError."""
    await script.run(board, _SCRIPTS, call(settings), timeout_s=_TIMEOUT_S, soft_reset=True)


def call(settings: Settings) -> str:
    """Return the line of a script that writes a configuration."""
    passwords = dict(settings.passwords)
    return script.call("configure", settings.text, settings.networks, passwords)


def parsed(content: bytes) -> Mapping[str, Any] | None:
    """Return the configuration in a file's content, None where it is none."""
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    end = 0
    while end < len(path):
        found = _STEP.match(path, end)
        if not found:
            break
        steps.append(int(found[2]) if found[2] else found[1])
        end = found.end()
    if end < len(path) or not steps:
        raise ConfigurationError(_("{path!r} is no path such as links[0].host.").format(path=path))
    return steps


def _get(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else _ABSENT
    return value.get(step, _ABSENT) if isinstance(value, dict) else _ABSENT


def _values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _values(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for i, inner in enumerate(value):
            yield from _values(inner, f"{path}[{i}]")
    else:
        yield path, value
