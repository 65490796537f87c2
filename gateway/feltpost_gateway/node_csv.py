"""Nodes as CSV files, as spreadsheets read and write them.

Excel writes semicolons, a byte order mark or Windows' own code page, and commas in numbers where
Windows is Danish; all of that is read. `write` gives plain CSV, or what Excel opens rightly.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feltpost_gateway.nodes import NODE_COLUMNS, OperatorError
from feltpost_gateway.texts import text

_READ_COLUMNS = (*NODE_COLUMNS, "key_id", "key")
_NUMBERS = ("latitude", "longitude", "elevation_m")
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_DELIMITERS = ";,\t"


@dataclass(frozen=True)
class Table:
    """Rows of a file by their columns; `lines` are their numbers as a spreadsheet counts them."""

    rows: list[dict[str, str]]
    lines: list[int]


def read(content: bytes) -> Table:
    """Return the rows of a CSV file; raise `OperatorError` where its head can't be understood.

    Rows without any content are passed over.
    """
    written = _decode(content)
    first, _, rest = written.partition("\n")
    skipped = 0
    if first.strip().lower().startswith("sep="):
        # Excel's own first line, which names the delimiter.
        written, skipped = rest, 1
        first = rest.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter, strict=True)
    try:
        cells = list(reader)
    except csv.Error as error:
        raise OperatorError(
            text("line {line} is not CSV ({reason})", line=reader.line_num, reason=str(error))
        ) from None
    if not cells:
        raise OperatorError(text("the file is empty; its first row must name the columns"))
    head = [cell.strip().lower() for cell in cells[0]]
    _check_head(head)
    table = Table([], [])
    for number, row in enumerate(cells[1:], 2 + skipped):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(head):
            raise OperatorError(
                text(
                    "row {row} has {count} cells, the first row {head}. Put a cell that has the"
                    " delimiter in it into quotes",
                    row=number,
                    count=len(row),
                    head=len(head),
                )
            )
        table.rows.append(dict(zip(head, row, strict=False)))
        table.lines.append(number)
    return table


def write(nodes: Iterable[Mapping[str, str]], *, excel: bool = False) -> bytes:
    """Return nodes, each by its columns, as a CSV file; `read` gives the same nodes back.

    `excel` is for a Danish Excel: semicolons, commas in numbers, a byte order mark.
    """
    file = io.StringIO(newline="")
    file.write(_BOM if excel else "")
    writer = csv.writer(file, delimiter=";" if excel else ",")
    writer.writerow(NODE_COLUMNS)
    for node in nodes:
        writer.writerow(
            node[column].replace(".", ",") if excel and column in _NUMBERS else node[column]
            for column in NODE_COLUMNS
        )
    return file.getvalue().encode()


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Windows calls ANSI; where it is set to a language of Western Europe that is this.
        return content.decode("cp1252", errors="replace")


def _check_head(head: list[str]) -> None:
    for name in head:
        if name not in _READ_COLUMNS:
            raise OperatorError(
                text(
                    'the first row has a column "{name}". There are {columns}',
                    name=name,
                    columns=", ".join(_READ_COLUMNS),
                )
            )
        if head.count(name) > 1:
            raise OperatorError(text('the first row has the column "{name}" twice', name=name))
    if "mac" not in head:
        raise OperatorError(text('the first row has no column "mac", by which nodes are known'))
