"""Finds the real MicroPython that simulated boards run on."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feltpost_tools.errors import MissingTool

OLDEST = (1, 25, 0)
"""The oldest MicroPython release that the firmware supports."""

_PROBE = """\
import sys
print(sys.implementation[0], *sys.implementation[1][:3], 64 if sys.maxsize >> 32 else 32)
"""
_PROBE_TIMEOUT_S = 20
_HOW = (
    "./run sets one up; or name your own, of 1.25 or later, with MICROPYTHON=/path/to/micropython."
)


@dataclass(frozen=True)
class Interpreter:
    """A MicroPython that has been started once and can run the firmware."""

    command: tuple[str, ...]
    """What to start; options and the script follow."""
    version: tuple[int, int, int]
    bits: int
    """The word size, 32 or 64. The ESP32's is 32."""


def find(
    bits: int | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    caches: Sequence[Path] | None = None,
) -> Interpreter:
    """Return the MicroPython to use: 32-bit if there is one, as on the ESP32.

    `$MICROPYTHON` decides alone where it is set. Otherwise those that `./run` fetched come
    first, then an installed one. *bits* (32 or 64) asks for one word size. *environment* stands
    in for the process's own and *caches* for the directories that `default_caches` gives.

    Raises `MissingTool`, naming each candidate and why it is of no use.
    """
    environment = os.environ if environment is None else environment
    caches = default_caches(environment) if caches is None else caches
    chosen = environment.get("MICROPYTHON")
    candidates = (Path(chosen),) if chosen else tuple(_candidates(environment, caches))
    refused = []
    for path in candidates:
        found = _probe(path)
        if isinstance(found, str):
            refused.append(f"{path} {found}")
        elif bits is not None and found.bits != bits:
            refused.append(f"{path} is the {found.bits}-bit one")
        else:
            return found
    kind = "MicroPython" if bits is None else f"{bits}-bit MicroPython"
    source = "MICROPYTHON is set and " if chosen else ""
    why = f"{source}{'; '.join(refused)}." if refused else "none is installed or fetched."
    raise MissingTool(f"no usable {kind}", why, _HOW)


def default_caches(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the directories that may hold fetched interpreters: the checkout's and the user's."""
    user = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/")) / ".cache"
    checkout = Path(__file__).resolve().parents[3]
    return checkout / ".cache" / "micropython", Path(user) / "feltpost" / "micropython"


def _candidates(environment: Mapping[str, str], caches: Sequence[Path]) -> Iterator[Path]:
    """Yield the executables that exist, best first."""
    directories = [cache / word for word in ("32", "64") for cache in caches]
    directories += [Path(entry) for entry in environment.get("PATH", "").split(os.pathsep) if entry]
    for directory in directories:
        path = directory / "micropython"
        if os.access(path, os.X_OK) and path.is_file():
            yield path


def _probe(path: Path) -> Interpreter | str:
    """Start the program at *path* and return what it is, or why it is of no use."""
    try:
        answer = subprocess.run(
            [path, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT_S,
        )
    except OSError as error:
        return f"does not start ({error.strerror})"
    except subprocess.TimeoutExpired:
        return f"does not answer within {_PROBE_TIMEOUT_S} s"
    match answer.stdout.split():
        case ["micropython", *numbers] if len(numbers) == 4 and all(map(str.isdecimal, numbers)):
            major, minor, patch, bits = map(int, numbers)
        case _:
            return f"does not answer as MicroPython does (exit status {answer.returncode})"
    version = (major, minor, patch)
    if version < OLDEST:
        return f"is MicroPython {major}.{minor}.{patch}, older than {OLDEST[0]}.{OLDEST[1]}"
    return Interpreter(command=(str(path),), version=version, bits=bits)
