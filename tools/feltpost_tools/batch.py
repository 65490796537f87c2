"""The list of nodes behind ``feltpost flash --batch``: which board is which node, and what came of
it.

A row with a MAC address belongs to that board only. A row without one is taken by the first board
that has no row, in the order of the list, and is that board's from then on. What was found out is
written into the list at once, so that a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import RLock

from feltpost_gateway.nodes import (
    NODE_COLUMNS,
    FieldsError,
    OperatorError,
    format_mac,
    node_from_columns,
    normalise,
    parse_mac,
)
from feltpost_tools import boards, kits, language, spreadsheet, whole_file
from feltpost_tools.audit import login_name
from feltpost_tools.errors import BatchChanged, BatchError
from feltpost_tools.language import _
from feltpost_tools.spreadsheet import Sheet

DONE = "ok"
"""What the column `result` has where the board works."""

_RESULT_COLUMNS = ("mac", "firmware", "time", "who", "result")
_READ_COLUMNS = frozenset({*NODE_COLUMNS, "board"})
# Stands for the address that a row gets later, where the rest of the row is checked before.
_ANY_MAC = "02:00:00:00:00:00"


@dataclass(frozen=True)
class Row:
    """A node of the list. line: in the file, from 1. columns: what is known of the node (those of
    `NODE_COLUMNS` and "board"), empty ones left out. mac: as `format_mac` writes it, None before a
    board took the row."""

    line: int
    columns: Mapping[str, str]
    mac: str | None
    done: bool


@dataclass(frozen=True)
class Outcome:
    """What came of a board. result: `DONE`, or in a few words why it failed. firmware: its version
    now, empty where unknown."""

    result: str
    firmware: str = ""


@dataclass(frozen=True)
class Fault:
    """What is wrong in one column of a line; the line is 0 where it concerns the whole file."""

    line: int
    column: str
    what: str


class Batch:
    """A list of nodes in a CSV file. Its methods may be called from several threads."""

    def __init__(self, path: Path, content: bytes, sheet: Sheet, defaults: Mapping[str, str]):
        self._path = path
        self._written = content
        self._sheet = sheet.with_columns(_RESULT_COLUMNS)
        self._defaults = defaults
        self._beside: Path | None = None
        self._lock = RLock()

    @classmethod
    def load(cls, path: Path, defaults: Mapping[str, str] | None = None) -> Batch:
        """Read and check the list; `defaults` stand for cells that are empty or not there.

        `BatchError` names everything that is wrong in it, each with line and column;
        `SpreadsheetError` says why the file is no table.
        """
        # What a link leads to is replaced, not the link.
        path = path.resolve()
        content, sheet = spreadsheet.load(path)
        batch = cls(path, content, sheet, defaults or {})
        batch._check()
        return batch

    @property
    def rows(self) -> list[Row]:
        """All nodes of the list as they are now."""
        return [self._row(index) for index in self._indices()]

    def row_for(self, mac: str, *, again: bool = False) -> Row | None:
        """Return the row of the board with that MAC address, None where there is none for it.

        A row that has no board yet becomes this board's, and the list says so before this returns.
        A row that is done counts only with `again`; see `done` for telling that from no row.
        `BatchChanged` or `BatchError` when the list can't be written; no row is taken then.
        """
        mac = _format(mac)
        with self._lock:
            index = self._index_of(mac)
            if index is not None:
                row = self._row(index)
                return row if again or not row.done else None
            free = (i for i in self._indices() if not (self._row(i).mac or self._row(i).done))
            index = next(free, None)
            if index is None:
                return None
            self._claim(index, mac)
            return self._row(index)

    def done(self, mac: str) -> bool:
        """Tell whether the board with that MAC address has a row that is done."""
        index = self._index_of(_format(mac))
        return index is not None and self._row(index).done

    def release(self, row: Row) -> None:
        """Make the row free for another board, after one that nothing was put on."""
        self._claim(self._index(row), "")

    def record(self, row: Row, outcome: Outcome) -> None:
        """Write what came of the row's board, with the time and who did it.

        `BatchChanged` when somebody else wrote to the list meanwhile: it is left as it is, and
        this run's results are in the file that the error names, now and for every later record.
        `BatchError` when nothing can be written.
        """
        cells = {
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "who": login_name(),
            "result": outcome.result,
        }
        # The version before a failure is still what is known.
        if outcome.firmware:
            cells["firmware"] = outcome.firmware
        with self._lock:
            # Kept also when it can't be written, for the next time that something is.
            self._sheet = self._sheet.with_cells(self._index(row), cells)
            self._write(self._sheet)

    def _claim(self, index: int, mac: str) -> None:
        with self._lock:
            before = self._sheet
            self._sheet = before.with_cells(index, {"mac": mac})
            try:
                self._write(self._sheet, beside=before)
            except BatchError:
                self._sheet = before
                raise

    def _write(self, sheet: Sheet, beside: Sheet | None = None) -> None:
        # beside: what is saved beside a list that somebody else changed, None for the same.
        content = spreadsheet.write(sheet)
        try:
            with whole_file.locked(self._path.parent):
                if self._beside is None and _content(self._path) == self._written:
                    whole_file.replace(self._path, content)
                    self._written = content
                    return
                self._beside = self._beside or _free_name(self._path)
                whole_file.replace(self._beside, spreadsheet.write(beside or sheet))
        except OSError as error:
            raise BatchError(
                _("{file} can't be written: {reason}").format(
                    file=self._beside or self._path, reason=error.strerror
                )
            ) from error
        raise BatchChanged(
            _(
                "{file} was changed by somebody else since this run read it, so it is left as it"
                " is. What this run did is in {beside}: take it over by hand, then start again."
            ).format(file=self._path, beside=self._beside),
            self._beside,
        )

    def _indices(self) -> Iterator[int]:
        for index, row in enumerate(self._sheet.rows):
            if any(cell.strip() for cell in row):
                yield index

    def _index(self, row: Row) -> int:
        return row.line - self._sheet.first_line

    def _index_of(self, mac: str) -> int | None:
        return next((i for i in self._indices() if self._row(i).mac == mac), None)

    def _row(self, index: int) -> Row:
        cells = self._cells(index)
        mac = cells.get("mac", "")
        return Row(
            line=index + self._sheet.first_line,
            columns={name: cells[name] for name in cells if name in _READ_COLUMNS},
            mac=_format(mac) if mac else None,
            done=cells.get("result", "").lower() == DONE,
        )

    def _cells(self, index: int) -> dict[str, str]:
        # What the row says, with the defaults for what it leaves out.
        named = zip(self._sheet.columns(), self._sheet.rows[index], strict=False)
        cells = {name: normalise(cell) for name, cell in named}
        return {**self._defaults, **{name: cell for name, cell in cells.items() if cell}}

    def _check(self) -> None:
        faults = [fault for index in self._indices() for fault in self._faults(index)]
        faults += self._repeated("mac", ("mac",))
        faults += self._repeated("name", ("owner", "site", "name"))
        if not any(True for _index in self._indices()):
            faults.append(Fault(0, "", _("there is no node in the list")))
        if faults:
            faults.sort(key=lambda fault: fault.line)
            raise BatchError("\n".join(_describe(self._path, fault) for fault in faults))

    def _faults(self, index: int) -> Iterator[Fault]:
        cells = self._cells(index)
        line = index + self._sheet.first_line
        try:
            node_from_columns({"mac": _ANY_MAC, **cells})
        except FieldsError as error:
            for fault in error.faults:
                yield Fault(line, fault.column, language.of_gateway(fault.text))
        for column, known in (("kit", kits.names()), ("board", boards.names())):
            value = cells.get(column)
            if value is not None and value not in known:
                what = _("there is no {value}; known are {known}")
                yield Fault(line, column, what.format(value=value, known=", ".join(known)))

    def _repeated(self, column: str, key: tuple[str, ...]) -> Iterator[Fault]:
        first: dict[tuple[str, ...], int] = {}
        for index in self._indices():
            cells = self._cells(index)
            values = tuple(cells.get(name, "") for name in key)
            if column == "mac":
                # However they are written; one that is no address is another fault.
                with suppress(OperatorError):
                    values = (_format(cells["mac"]),) if "mac" in cells else ("",)
            line = index + self._sheet.first_line
            earlier = first.setdefault(values, line)
            if all(values) and earlier != line:
                what = _("is {value} as in line {line}; each node must have its own")
                yield Fault(line, column, what.format(value="/".join(values), line=earlier))


def _format(mac: str) -> str:
    return format_mac(parse_mac(normalise(mac)))


def _describe(path: Path, fault: Fault) -> str:
    if not fault.line:
        return f"{path}: {fault.what}"
    return _('{file}, line {line}, column "{column}": {what}').format(
        file=path, line=fault.line, column=fault.column, what=fault.what
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _free_name(path: Path) -> Path:
    number = 1
    while (beside := path.with_name(f"{path.stem}-feltpost-{number}{path.suffix}")).exists():
        number += 1
    return beside
