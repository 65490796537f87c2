"""Finds the definitions of boards and kits, and reads their TOML with complaints that say where."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from feltpost_tools.errors import DefinitionError, MissingTool

_Value = TypeVar("_Value")
_REQUIRED: Any = object()
_KINDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def folder() -> Path:
    """Return the folder that holds boards and kits, of a checkout or a wheel."""
    package = Path(__file__).parent
    for candidate in (package / "_hardware", package.parents[1] / "hardware"):
        if (candidate / "boards").is_dir():
            return candidate
    raise MissingTool(
        what="the definitions of boards and kits",
        why="they should be in the package or beside it in a checkout",
        how="install feltpost again, or run from a checkout",
    )


def read(path: Path) -> Table:
    """Return what is in the TOML file at `path`; DefinitionError when it can't be read."""
    try:
        return Table(path, "", tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise DefinitionError(f"{path}: is not TOML: {error}") from error


class Table:
    """One table of a definition. Its keys are taken one by one; what is left at the end is wrong.

    Every method raises DefinitionError when the value is missing without a default, or is not what
    the method's name says.
    """

    def __init__(self, path: Path, name: str, values: dict[str, Any]):
        self._path = path
        self._name = name
        self._left = dict(values)

    def error(self, key: str, problem: str) -> DefinitionError:
        """Return the error that says what is wrong with `key`, a key of this table."""
        return DefinitionError(f"{self._path}: {self._full(key)}: {problem}")

    def text(self, key: str, default: str = _REQUIRED) -> str:
        """Take a text."""
        return self._take(key, str, default)

    def flag(self, key: str, default: bool = _REQUIRED) -> bool:
        """Take true or false."""
        return self._take(key, bool, default)

    def number(self, key: str, least: int, most: int) -> int:
        """Take a whole number from `least` to `most`."""
        value: int = self._take(key, int, _REQUIRED)
        if not least <= value <= most:
            raise self.error(key, f"is {value}, must be {least} to {most}")
        return value

    def text_or_values(self, key: str) -> str | dict[str, Any]:
        """Take a text, or a table as it is, for others to check."""
        if isinstance(self._left.get(key), dict):
            values: dict[str, Any] = self._take(key, dict, _REQUIRED)
            return values
        return self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a list of texts."""
        values = self._take(key, list, _REQUIRED)
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "must be a list of texts")
        return tuple(values)

    def numbers(self, key: str) -> tuple[int, ...]:
        """Take a list of whole numbers."""
        values = self._take(key, list, _REQUIRED)
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise self.error(key, "must be a list of whole numbers")
        return tuple(values)

    def table(self, key: str) -> Table:
        """Take a table."""
        return Table(self._path, self._full(key), self._take(key, dict, _REQUIRED))

    def optional_table(self, key: str) -> Table | None:
        """Take a table, or None when there is none."""
        return self.table(key) if key in self else None

    def tables(self, key: str) -> list[Table]:
        """Take a list of tables."""
        values = self._take(key, list, _REQUIRED)
        if not all(isinstance(value, dict) for value in values):
            raise self.error(key, "must be a list of tables")
        return [
            Table(self._path, f"{self._full(key)}[{i}]", value) for i, value in enumerate(values)
        ]

    def __contains__(self, key: str) -> bool:
        """Return whether `key` is there and has not been taken yet."""
        return key in self._left

    def left(self) -> list[str]:
        """Return the keys that have not been taken yet, in the file's order."""
        return list(self._left)

    def done(self) -> None:
        """Complain about a key that nobody took."""
        for key in self._left:
            raise self.error(key, "no such setting")

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _take(self, key: str, kind: type[_Value], default: _Value) -> _Value:
        if key not in self._left:
            if default is _REQUIRED:
                raise self.error(key, "is missing")
            return default
        value = self._left.pop(key)
        # TOML's true would pass for a number, as bool is an int.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"must be {_KINDS[kind]}")
        return value
