"""What is on a label, and where that is read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feltpost_gateway.nodes import OperatorError, normalise, parse_mac
from feltpost_tools import language, spreadsheet
from feltpost_tools.errors import LabelError
from feltpost_tools.language import _
from feltpost_tools.short_id import short_id


@dataclass(frozen=True)
class Label:
    """A node as its label names it; `eui64` has 8 bytes. All of it may be read by everybody."""

    name: str
    eui64: bytes
    site: str = ""
    room: str = ""
    owner: str = ""
    contact: str = ""

    @property
    def urn(self) -> str:
        """The node's URN (RFC 9039), which the QR code holds."""
        return f"urn:dev:mac:{self.eui64.hex()}"

    @property
    def short_id(self) -> str:
        """See `short_id.short_id`."""
        return short_id(self.eui64)


@dataclass(frozen=True)
class Listed:
    """The labels of a list; without_mac: the lines of nodes that have no board yet."""

    labels: tuple[Label, ...]
    without_mac: tuple[int, ...]


def read(path: Path, contact: str = "") -> Listed:
    """Return a label for each node of a CSV file with the columns `mac` and `name`.

    Batch lists and what `feltpost-gateway nodes export` writes are such files. `site`, `room` and
    `owner` are taken where they are there, and `contact`, else the one given. `LabelError` names
    every line that can't be used, `SpreadsheetError` says why the file is no table.
    """
    _content, sheet = spreadsheet.load(path)
    columns = sheet.columns()
    for needed in ("mac", "name"):
        if needed not in columns:
            raise LabelError(
                _('{file}: there is no column "{name}"').format(file=path, name=needed)
            )
    labels: list[Label] = []
    without_mac: list[int] = []
    faults: list[str] = []
    for line, row in enumerate(sheet.rows, sheet.first_line):
        cells = {name: normalise(cell) for name, cell in zip(columns, row, strict=False)}
        if not any(cells.values()):
            continue
        if not cells.get("mac"):
            without_mac.append(line)
            continue
        try:
            labels.append(_label({"contact": contact} | {k: v for k, v in cells.items() if v}))
        except LabelError as error:
            faults.append(_("{file}, line {line}: {what}").format(file=path, line=line, what=error))
    if faults:
        raise LabelError("\n".join(faults))
    return Listed(tuple(labels), tuple(without_mac))


def of_node(mac: str, name: str, **others: str) -> Label:
    """Return the label of one node; `LabelError` says what is wrong with its name or address."""
    return _label({"mac": mac, "name": name, **others})


def _label(cells: dict[str, str]) -> Label:
    try:
        eui64 = parse_mac(normalise(cells["mac"]))
    except OperatorError as error:
        raise LabelError(f"mac: {language.of_gateway(error.text)}") from error
    name = cells.get("name", "")
    if not name:
        raise LabelError(_("the node has no name"))
    others = {key: cells.get(key, "") for key in ("site", "room", "owner", "contact")}
    return Label(name=name, eui64=eui64, **others)
