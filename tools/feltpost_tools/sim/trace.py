"""Recordings that simulated sensors replay: a CSV file, looked up by time.

The first line names the columns: `time` (ISO 8601; UTC where no offset is given) and any of
`temperature_cel`, `relative_humidity_percent`, `illuminance_lx`, `co2_ppm`, `water_level_m`.
Other columns are left alone. Times ascend; every value is a finite number.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from feltpost_tools.errors import TraceError

QUANTITY_OF_COLUMN: Mapping[str, str] = {
    "temperature_cel": "temperature",
    "relative_humidity_percent": "relativeHumidity",
    "illuminance_lx": "illuminance",
    "co2_ppm": "co2",
    "water_level_m": "waterLevel",
}

_TIME_COLUMN = "time"


@dataclass(frozen=True, slots=True)
class Trace:
    """A recording. Between two rows the earlier one's values hold.

    The last row holds as long as the row before it did; there the recording ends, and begins again.
    """

    times: Sequence[float]
    """Unix time of each row, in seconds, ascending; two rows at least."""
    values: Mapping[str, Sequence[float]]
    """For each quantity its value in each row, in the unit that the column names."""

    @classmethod
    def load(cls, path: Path | str) -> Trace:
        """Read a recording from `path`; TraceError names the file, line and column at fault."""
        path = Path(path)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                return _parse(path, csv.reader(file))
        except OSError as error:
            raise TraceError(f"{path}: cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise TraceError(f"{path}: is not a CSV file in UTF-8: {error}") from error

    @property
    def start(self) -> float:
        """Unix time of the first row, in seconds."""
        return self.times[0]

    @property
    def end(self) -> float:
        """Unix time at which the last row ceases to hold, in seconds."""
        return 2 * self.times[-1] - self.times[-2]

    @property
    def duration_s(self) -> float:
        """How long the recording is before it begins again."""
        return self.end - self.start

    @property
    def quantities(self) -> frozenset[str]:
        """The quantities recorded, by their names in QUANTITY_OF_COLUMN."""
        return frozenset(self.values)

    def value(self, quantity: str, unix_time_s: float) -> float:
        """Return the value of `quantity` that holds at `unix_time_s`, at any time whatsoever.

        KeyError when the quantity was not recorded.
        """
        recorded = self.values[quantity]
        if not self.start <= unix_time_s < self.end:
            unix_time_s = self.start + (unix_time_s - self.start) % self.duration_s
        # The modulo of a time just before the start may round up to the very end, and the row
        # that this gives is still the last one.
        return recorded[bisect_right(self.times, unix_time_s) - 1]


def _parse(path: Path, rows: Iterator[list[str]]) -> Trace:
    header = next(rows, None)
    if not header:
        raise TraceError(f"{path}: is empty; its first line must name the columns")
    header = [name.strip() for name in header]
    known = f"{_TIME_COLUMN!r} and at least one of {', '.join(QUANTITY_OF_COLUMN)}"
    if _TIME_COLUMN not in header:
        raise TraceError(f"{path}, line 1: has no column {_TIME_COLUMN!r}; it needs {known}")
    columns = [name for name in header if name in QUANTITY_OF_COLUMN]
    if not columns:
        raise TraceError(f"{path}, line 1: has no column of values; it needs {known}")
    for name in (_TIME_COLUMN, *columns):
        if header.count(name) > 1:
            raise TraceError(f"{path}, line 1: has the column {name!r} more than once")

    times: list[float] = []
    values: dict[str, list[float]] = {QUANTITY_OF_COLUMN[name]: [] for name in columns}
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise TraceError(
                f"{path}, line {line}: has {len(row)} fields where line 1 names {len(header)}"
            )
        cells = dict(zip(header, row, strict=True))
        time = _time(path, line, cells[_TIME_COLUMN])
        if times and time <= times[-1]:
            raise TraceError(
                f"{path}, line {line}, column {_TIME_COLUMN}: "
                f"{cells[_TIME_COLUMN]} is not later than the row before"
            )
        times.append(time)
        for name in columns:
            values[QUANTITY_OF_COLUMN[name]].append(_number(path, line, name, cells[name]))
    if len(times) < 2:
        raise TraceError(f"{path}: has {len(times)} rows of values; a recording needs two or more")
    return Trace(times, values)


def _time(path: Path, line: int, text: str) -> float:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise TraceError(
            f"{path}, line {line}, column {_TIME_COLUMN}: {text!r} is not a time "
            "such as 2015-02-02T14:19:00Z"
        ) from error
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return time.timestamp()


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise TraceError(f"{path}, line {line}, column {column}: {text!r} is not a number")
    return number
