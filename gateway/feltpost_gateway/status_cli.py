"""`feltpost-gateway status` and `destinations`: how things are."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from feltpost_gateway import control
from feltpost_gateway.cli_common import ConfigFile, errors_shown, load
from feltpost_gateway.completeness import NodeDay
from feltpost_gateway.config import Config
from feltpost_gateway.errors import FeltpostError
from feltpost_gateway.event_texts import describe, gap_reason, local_time
from feltpost_gateway.formats.base import iso_time
from feltpost_gateway.operator_access import Operator
from feltpost_gateway.status import Status, read_status, to_json
from feltpost_gateway.store_view import find_gateway, open_view
from feltpost_gateway.tables import console
from feltpost_gateway.texts import text, translate

AsJson = Annotated[bool, typer.Option("--json", help=translate("As JSON."))]

_MIB = 1 << 20
_REFUSED_MAX = 1000


def status(
    config: ConfigFile,
    days: Annotated[
        int, typer.Option(min=1, max=366, help=translate("How many days to show."))
    ] = 1,
    node: Annotated[
        str | None, typer.Option(help=translate("One node only: name or owner/site/name."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is wrong and since when, and how complete each node's readings are."""
    loaded = load(config)
    path = loaded.store.path
    with errors_shown(), open_view(path) as connection:
        names = tuple(destination.name for destination in loaded.all_destinations)
        found = read_status(connection, names, days, node)
    pid = find_gateway(path)
    refused = _ask_refused(path)
    if as_json:
        typer.echo(json.dumps(to_json(found, pid, refused), ensure_ascii=False, indent=2))
    else:
        _print_status(found, pid, refused)


def _ask_refused(store: Path) -> dict[str, int] | None:
    """Ask the gateway how many requests were not a node's; None where it does not run.

    And where this user may not ask it: all else that `status` shows is in the store.
    """
    with suppress(ConnectionError, FileNotFoundError, FeltpostError):
        refused: dict[str, int] = control.ask(control.socket_path(store), "count-refused", {})
        return refused
    return None


def destinations(
    config: ConfigFile,
    refused: Annotated[
        bool, typer.Option("--refused", help=translate("List the messages that were refused."))
    ] = False,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=translate("Send a destination once more what it refused.")
        ),
    ] = None,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=translate("Give up what a destination refused; it is lost then.")
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the destinations, what waits for them, and what they refused for good."""
    loaded = load(config)
    if retry is not None or drop is not None:
        _handle_refused(Operator(loaded), retry, drop, as_json)
        return
    with errors_shown(), open_view(loaded.store.path) as connection:
        if refused:
            _show_refused(connection, as_json)
        else:
            names = tuple(destination.name for destination in loaded.all_destinations)
            _show_destinations(loaded, read_status(connection, names, 1), as_json)


def _handle_refused(operator: Operator, retry: str | None, drop: str | None, as_json: bool) -> None:
    """Have what the destination `retry` refused sent again, and forget what `drop` refused."""
    counts: dict[str, int] = {}
    with errors_shown():
        if retry is not None:
            counts["retried"] = operator.call("retry-refused", destination=retry)
        if drop is not None:
            counts["dropped"] = operator.call("drop-refused", destination=drop)
    if as_json:
        typer.echo(json.dumps(counts))
        return
    if retry is not None:
        said = text("{name}: {count} messages go out again", name=retry, count=counts["retried"])
        typer.echo(str(said))
    if drop is not None:
        said = text("{name}: {count} messages given up", name=drop, count=counts["dropped"])
        typer.echo(str(said))


def _print_status(status: Status, pid: int | None, refused: Mapping[str, int] | None) -> None:
    out = console()
    out.print(
        str(text("gateway: running, process {pid}", pid=pid))
        if pid is not None
        else translate("gateway: not running"),
        style=None if pid is not None else "red",
    )
    out.print(
        str(
            text(
                "store: {packs} packs, {size} MiB",
                packs=status.packs,
                size=f"{status.file_bytes / _MIB:.1f}",
            )
        )
    )
    if refused is not None and any(refused.values()):
        counts = ", ".join(f"{count} {reason}" for reason, count in refused.items() if count)
        out.print(
            str(text("requests since its start that were no node's: {counts}", counts=counts)),
            style="red",
        )
    out.print()
    if status.events:
        table = Table(translate("since"), translate("where"), translate("what"), box=None)
        for event in status.events:
            where = status.nodes.get(event.subject.node_id or 0, translate("gateway"))
            table.add_row(local_time(event.since_ms), where, describe(event))
        out.print(table)
    else:
        out.print(translate("nothing is wrong"), style="green")
    out.print()
    if status.backlogs:
        table = Table(
            translate("destination"), translate("packs waiting"), translate("oldest"), box=None
        )
        for backlog in status.backlogs:
            table.add_row(backlog.destination, str(backlog.packs), local_time(backlog.oldest_ms))
        out.print(table)
        out.print()
    out.print(_nodes_table(status))


def _nodes_table(status: Status) -> Table:
    """Return the nodes by day; a node from which nothing came has one row."""
    names = [backlog.destination for backlog in status.backlogs]
    table = Table(
        translate("node"),
        translate("last contact"),
        translate("day"),
        translate("expected"),
        translate("arrived"),
        translate("missing"),
        *names,
        box=None,
    )
    days: dict[int, list[NodeDay]] = {}
    for day in status.days:
        days.setdefault(day.node_id, []).append(day)
    for node_id, path in status.nodes.items():
        contact = status.contacts.get(node_id)
        head = (path, translate("never") if contact is None else local_time(contact.last_ms))
        if node_id not in days:
            table.add_row(*head)
        for day in days.get(node_id, ()):
            missing = [f"{count} {gap_reason(reason)}" for reason, count in day.missing.items()]
            table.add_row(
                *head,
                day.day,
                str(day.expected),
                str(day.arrived),
                ", ".join(missing) or "0",
                *(str(delivery.delivered) for delivery in day.deliveries),
            )
    return table


def _show_destinations(config: Config, status: Status, as_json: bool) -> None:
    found = []
    for destination, backlog in zip(config.all_destinations, status.backlogs, strict=True):
        oldest_ms = backlog.oldest_ms
        found.append(
            {
                "name": destination.name,
                "broker": destination.broker,
                "tls": destination.tls,
                "format": destination.format,
                "publication": destination.publication,
                "waiting_packs": backlog.packs,
                "oldest": None if oldest_ms is None else iso_time(oldest_ms),
                "refused_messages": status.refused.get(destination.name, 0),
            }
        )
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table(
        translate("destination"),
        translate("broker"),
        translate("format"),
        translate("class"),
        translate("packs waiting"),
        translate("oldest"),
        translate("refused"),
        box=None,
    )
    for row, backlog in zip(found, status.backlogs, strict=True):
        table.add_row(
            str(row["name"]),
            f"{row['broker']}{' TLS' if row['tls'] else ''}",
            str(row["format"]),
            str(row["publication"]),
            str(row["waiting_packs"]),
            local_time(backlog.oldest_ms),
            str(row["refused_messages"]),
        )
    console().print(table)


def _show_refused(connection: sqlite3.Connection, as_json: bool) -> None:
    rows = connection.execute(
        "SELECT noted_ms, destination, owner || '/' || site || '/' || name, journal, seqs, topic,"
        " reason FROM dead_letters JOIN packs ON packs.id = pack_id"
        " JOIN nodes ON nodes.id = node_id ORDER BY noted_ms DESC LIMIT ?",
        (_REFUSED_MAX,),
    ).fetchall()
    columns = ("noted", "destination", "node", "journal", "seqs", "topic", "reason")
    if as_json:
        found = [dict(zip(columns, (iso_time(row[0]), *row[1:]), strict=True)) for row in rows]
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table(
        translate("noted"),
        translate("destination"),
        translate("node"),
        translate("journal"),
        translate("numbers"),
        translate("topic"),
        translate("reason"),
        box=None,
    )
    for noted_ms, *cells in rows:
        table.add_row(local_time(noted_ms), *(str(cell) for cell in cells))
    console().print(table)
