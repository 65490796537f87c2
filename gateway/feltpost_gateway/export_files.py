"""Exported readings as CSV, JSON or Parquet, one row or object a reading, written as they come."""

import csv
import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from feltpost_gateway.export import ExportRow
from feltpost_gateway.formats.json_text import encode, number
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.texts import text

COLUMNS = tuple(field.name for field in fields(ExportRow))

_cells = attrgetter(*COLUMNS)

_PARQUET_ROWS = 10_000


class FileFormat(StrEnum):
    """How an export is written, by the end of its file's name."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@dataclass(frozen=True)
class FormatFacts:
    """A format's media type, and its name in the EU's list of file types."""

    media_type: str
    file_type: str


FACTS = {
    FileFormat.CSV: FormatFacts("text/csv", "CSV"),
    FileFormat.JSON: FormatFacts("application/json", "JSON"),
    FileFormat.PARQUET: FormatFacts("application/vnd.apache.parquet", "PARQUET"),
}


def write(rows: Iterable[ExportRow], path: Path, file_format: FileFormat, mode: int) -> None:
    """Write `rows` to `path`, which is there when all of it is, with the permissions `mode`.

    Raises `OperatorError` where the format takes a library that is not installed, `OSError` where
    the disk fails.
    """
    writer = _WRITERS[file_format]
    with _complete_only(path, mode) as file:
        writer(rows, file)


@contextmanager
def _complete_only(path: Path, mode: int) -> Iterator[IO[bytes]]:
    partial = path.with_name(f"{path.name}.part")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode)
        with partial.open("r+b") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(content: str, path: Path, mode: int) -> None:
    """Write a text file, which is there when all of it is, with the permissions `mode`."""
    with _complete_only(path, mode) as file:
        file.write(content.encode())


def _write_csv(rows: Iterable[ExportRow], file: IO[bytes]) -> None:
    writer = csv.writer(_Encoded(file), lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_csv_cell(value) for value in _cells(row)])


class _Encoded:
    """Takes text for a binary file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, written: str) -> None:
        self._file.write(written.encode())


def _csv_cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value)


def _write_json(rows: Iterable[ExportRow], file: IO[bytes]) -> None:
    """Write an array with one object on each line; what is not known is left out of it."""
    before = b"[\n"
    for row in rows:
        known = {
            name: value
            for name, value in zip(COLUMNS, _cells(row), strict=True)
            if value is not None
        }
        file.write(before + encode(known).encode())
        before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _write_parquet(rows: Iterable[ExportRow], file: IO[bytes]) -> None:
    """Write row groups of some thousand readings; values are binary64, truth values 0 and 1."""
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise OperatorError(
            text(
                "Parquet takes the Python library pyarrow, which is not installed and not in"
                " Debian 13. Install it, or export CSV or JSON"
            )
        ) from None
    types = {
        "time": arrow.timestamp("ms", "UTC"),
        "latitude": arrow.float64(),
        "longitude": arrow.float64(),
        "value": arrow.float64(),
        "marks": arrow.int8(),
        "journal": arrow.int64(),
        "seq": arrow.int64(),
    }
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in COLUMNS])
    remaining = iter(rows)
    with parquet.ParquetWriter(file, schema) as writer:
        while batch := list(islice(remaining, _PARQUET_ROWS)):
            columns: dict[str, list[Any]] = {
                name: [getattr(row, name) for row in batch] for name in COLUMNS
            }
            columns["time"] = [datetime.fromisoformat(time) for time in columns["time"]]
            columns["value"] = [float(value) for value in columns["value"]]
            writer.write_batch(arrow.record_batch(columns, schema=schema))


_WRITERS: dict[FileFormat, Callable[[Iterable[ExportRow], IO[bytes]], None]] = {
    FileFormat.CSV: _write_csv,
    FileFormat.JSON: _write_json,
    FileFormat.PARQUET: _write_parquet,
}
