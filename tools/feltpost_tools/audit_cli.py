"""The command ``feltpost log``: shows the audit log, and whether it is whole."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from feltpost_gateway.nodes import OperatorError, parse_mac
from feltpost_tools import terminal
from feltpost_tools.audit import AuditLog, Entry
from feltpost_tools.errors import FeltpostError
from feltpost_tools.language import _, several
from feltpost_tools.language_option import LanguageOption
from feltpost_tools.short_id import short_id


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(help=_("Show what was done to which board, by whom and with what result."))(log)


def _since(text: str) -> datetime:
    try:
        # Without an offset, the clock on the wall is meant.
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise typer.BadParameter(
            _("must be a date or a time, such as 2026-11-22 or 2026-11-22T14:30")
        ) from None


def log(
    node: Annotated[
        str | None,
        typer.Option(metavar="X", help=_("Only this node: its name, MAC address or short id.")),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=_since, metavar="DATE", help=_("Only what was done from then on.")),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help=_("One line of JSON for each action."))
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help=_("Check that no line was changed or taken out."))
    ] = False,
    lang: LanguageOption = None,
) -> None:
    """Show what was done to which board, by whom and with what result."""
    try:
        code = _verify(AuditLog()) if verify else _show(AuditLog(), node, since, as_json)
    except FeltpostError as error:
        typer.echo(f"feltpost: {error}", err=True)
        code = 2
    sys.exit(code)


def _verify(audit: AuditLog) -> int:
    verdict = audit.verify()
    for line in verdict.wrong:
        if line.entry is None:
            fault = _("line {line} is damaged")
        else:
            fault = _("line {line} does not follow the line before it: one was changed or removed")
        typer.echo(f"{audit.path}: {fault.format(line=line.number)}", err=True)
    if verdict.wrong:
        return 1
    typer.echo(
        several("{count} line, unbroken", "{count} lines, unbroken", verdict.lines).format(
            count=verdict.lines
        )
    )
    typer.echo(_("Digest of the last line: {digest}").format(digest=verdict.digest))
    return 0


def _show(audit: AuditLog, node: str | None, since: datetime | None, as_json: bool) -> int:
    entries = []
    for line in audit.lines():
        if line.entry is None:
            typer.echo(
                _("{file}: line {line} is damaged and left out").format(
                    file=audit.path, line=line.number
                ),
                err=True,
            )
        elif (since is None or line.entry.time >= since) and _concerns(line.entry, node):
            entries.append(line.entry)
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(_flat(entry), ensure_ascii=False))
    elif entries:
        terminal.console().print(_table(entries))
    else:
        typer.echo(_("Nothing is on record."))
    return 0


def _concerns(entry: Entry, node: str | None) -> bool:
    if node is None:
        return True
    action = entry.action
    names = [action.node, f"{action.site}/{action.node}", action.mac]
    with suppress(OperatorError):
        names.append(short_id(parse_mac(action.mac)))
    wanted = node.strip().casefold()
    return any(wanted == name.casefold() for name in names if name)


def _flat(entry: Entry) -> dict[str, object]:
    return {
        "time": entry.time.isoformat(),
        "who": entry.who,
        "host": entry.host,
        **asdict(entry.action),
    }


def _table(entries: list[Entry]) -> Table:
    heads = (
        _("Time"),
        _("Who"),
        _("Action"),
        _("Board"),
        _("Node"),
        _("Result"),
        _("Versions"),
    )
    table = Table(box=None, pad_edge=False)
    for head in heads:
        # In a narrow window an address goes on in the next line, since half of it is of no use.
        table.add_column(head, overflow="fold")
    for entry in entries:
        action = entry.action
        row = (
            entry.time.astimezone().strftime("%Y-%m-%d %H:%M"),
            f"{entry.who}@{entry.host}",
            action.action,
            action.mac or action.port,
            "/".join(filter(None, (action.site, action.node))),
            ": ".join(filter(None, (action.result, action.error))),
            " ".join(f"{what} {version}" for what, version in action.versions.items()),
        )
        # Plain texts: what a board reported may look like rich's markup.
        table.add_row(*(Text(cell) for cell in row))
    return table
