"""CSV files that people keep in a spreadsheet: read, changed in some cells, written back alike.

What a spreadsheet chose, the delimiter, the encoding, the line ends and Excel's ``sep=`` line, is
kept, as are columns that nobody here knows, empty rows and the order of everything.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from feltpost_tools.errors import SpreadsheetError
from feltpost_tools.language import _

_DELIMITERS = ";,\t"
# However its line ends: what is no such line here would be one when it is read again.
_SEPARATOR_LINE = re.compile(r"(sep=[^\r\n])(?:\r\n?|\n)", re.IGNORECASE)
_SIGNATURES = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Windows' code page of Western Europe has no letter for some bytes; Latin-1 has one for each.
_UNSIGNED = ("utf-8", "cp1252", "latin-1")
# A list of nodes is copied, mailed and printed. Nothing in it may open a node or a network.
_SECRETS = frozenset({"key", "master_secret", "nøgle", "password", "adgangskode", "psk", "secret"})


@dataclass(frozen=True)
class Dialect:
    """How a spreadsheet wrote its file. `separator_line` is Excel's first line ``sep=;``, or ""."""

    delimiter: str = ","
    encoding: str = "utf-8"
    signature: bytes = b""
    line_end: str = "\r\n"
    separator_line: str = ""


@dataclass(frozen=True)
class Sheet:
    """A file's cells. The first row names the columns; a row may have fewer cells than it."""

    dialect: Dialect
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def first_line(self) -> int:
        """The number of the first row below the head, where the file's first line is 1."""
        return 3 if self.dialect.separator_line else 2

    def columns(self) -> list[str]:
        """Return the names of the columns as they are looked up: lower case, without blanks."""
        return [name.strip().lower() for name in self.head]

    def with_columns(self, names: Iterable[str]) -> Sheet:
        """Return the sheet with those columns, the missing ones added at the right."""
        known = self.columns()
        added = [name for name in names if name not in known]
        empty = ("",) * len(added)
        # Rows that are short are left so; a table without short rows stays one.
        rows = (row + empty if len(row) == len(known) else row for row in self.rows)
        return replace(self, head=(*self.head, *added), rows=tuple(rows))

    def with_cells(self, index: int, cells: dict[str, str]) -> Sheet:
        """Return the sheet with those cells, by column, in the row with that index."""
        known = self.columns()
        row = list(self.rows[index])
        row += [""] * (len(known) - len(row))
        for name, value in cells.items():
            row[known.index(name)] = value
        return replace(self, rows=(*self.rows[:index], tuple(row), *self.rows[index + 1 :]))


def load(path: Path) -> tuple[bytes, Sheet]:
    """Return a file's content and its cells; `SpreadsheetError` names the file and what is wrong.

    See `read`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpreadsheetError(
            _("{file} can't be read: {reason}").format(file=path, reason=error.strerror)
        ) from error
    try:
        return content, read(content)
    except SpreadsheetError as error:
        raise SpreadsheetError(f"{path}: {error}") from None


def read(content: bytes) -> Sheet:
    """Return the cells of a CSV file; `SpreadsheetError` says what can't be understood in it.

    A column that by its name holds a secret is refused.
    """
    signature, encoding, text = _decode(content)
    separator_line, text = _take_separator_line(text)
    first = text.partition("\n")[0]
    delimiter = separator_line[-1:] or max(_DELIMITERS, key=first.count)
    if delimiter == '"':
        raise SpreadsheetError(
            _("line 1 says that cells are parted by quotes. Put the delimiter there, as in sep=;")
        )
    line_end = "\r\n" if first.endswith("\r") else "\n"
    if text.isascii() and not signature and (delimiter, line_end) == (";", "\r\n"):
        # Excel for Windows in a country with decimal commas, which takes letters beyond ASCII
        # for the code page's when it opens the file again.
        encoding = "cp1252"
    rows = _parse(text, delimiter)
    head = rows[0] if rows else ()
    _check_head(head)
    for number, row in enumerate(rows[1:], 3 if separator_line else 2):
        if len(row) > len(head):
            raise SpreadsheetError(
                _(
                    "line {line} has {count} cells and the first one {head}. Put a cell that has"
                    " the delimiter in it into quotes"
                ).format(line=number, count=len(row), head=len(head))
            )
    return Sheet(
        Dialect(delimiter, encoding, signature, line_end, separator_line), head, tuple(rows[1:])
    )


def write(sheet: Sheet) -> bytes:
    """Return the file; `read` gives the same sheet back.

    A letter that the file's encoding lacks becomes a question mark, which cells that came from
    the file never need.
    """
    dialect = sheet.dialect
    lines = [_line(row, dialect.delimiter) for row in (sheet.head, *sheet.rows)]
    if dialect.separator_line:
        lines.insert(0, dialect.separator_line)
    text = "".join(line + dialect.line_end for line in lines)
    return dialect.signature + text.encode(dialect.encoding, "replace")


def _decode(content: bytes) -> tuple[bytes, str, str]:
    for signature, encoding in _SIGNATURES:
        if content.startswith(signature):
            try:
                return signature, encoding, content[len(signature) :].decode(encoding)
            except UnicodeDecodeError:
                raise SpreadsheetError(
                    _("the file is damaged: it begins as {encoding} and goes on otherwise").format(
                        encoding=encoding.upper()
                    )
                ) from None
    for encoding in _UNSIGNED[:-1]:
        try:
            return b"", encoding, content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return b"", _UNSIGNED[-1], content.decode(_UNSIGNED[-1])


def _line(row: Sequence[str], delimiter: str) -> str:
    # Python 3.11's writer puts a cell with a line break into quotes only where the break is in its
    # own line end, so that is both of them here and taken off again.
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n")


def _take_separator_line(text: str) -> tuple[str, str]:
    found = _SEPARATOR_LINE.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def _parse(text: str, delimiter: str) -> list[tuple[str, ...]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [tuple(row) for row in reader]
    except csv.Error as error:
        raise SpreadsheetError(
            _("line {line} is not CSV ({reason})").format(line=reader.line_num, reason=error)
        ) from None


def _check_head(head: Sequence[str]) -> None:
    names = [name.strip().lower() for name in head]
    if not any(names):
        raise SpreadsheetError(_("the file is empty; its first line must name the columns"))
    for name in names:
        if name in _SECRETS:
            raise SpreadsheetError(
                _(
                    'the column "{name}" is for a secret, which does not belong in a list of'
                    " nodes. Remove it; keys are made while flashing"
                ).format(name=name)
            )
        if name and names.count(name) > 1:
            raise SpreadsheetError(_('the column "{name}" is there twice').format(name=name))
