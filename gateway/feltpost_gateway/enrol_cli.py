"""`feltpost-gateway enrol-…`: letting technicians make nodes known to this gateway."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from feltpost_gateway import enrol_files, tables
from feltpost_gateway.cli_common import EXIT_FAILED, ConfigFile, errors_shown, load
from feltpost_gateway.enrol_files import OtherGatewayError, Recipient, Sealed
from feltpost_gateway.enrolment import Outcome, Status, decode_outcome, encode
from feltpost_gateway.event_texts import local_time
from feltpost_gateway.logs import printable
from feltpost_gateway.nodes import OperatorError, normalise
from feltpost_gateway.operator_access import Operator, as_owner_of
from feltpost_gateway.texts import text, translate

_DAY_MINUTES = 24 * 60
_MAX_NODES = 1000

Json = Any


@dataclass(frozen=True)
class _Row:
    """A line of an enrolment file: its number, and what is in it or why that can't be read."""

    line: int
    sealed: Sealed | None
    fault: str = ""


def enrol_code(
    config: ConfigFile,
    nodes: Annotated[
        int, typer.Option(min=1, max=_MAX_NODES, help=translate("How many nodes it may enrol."))
    ] = 1,
    minutes: Annotated[
        int, typer.Option(min=1, max=_DAY_MINUTES, help=translate("How long it is valid."))
    ] = 60,
    replace: Annotated[
        bool,
        typer.Option("--replace", help=translate("Let it give known nodes other keys as well.")),
    ] = False,
    show: Annotated[
        bool, typer.Option("--list", help=translate("List the valid codes; make none."))
    ] = False,
    withdraw: Annotated[
        int | None, typer.Option(metavar="NUMBER", help=translate("End a code at once."))
    ] = None,
) -> None:
    """Print a one-time code by which nodes are enrolled over the network."""
    loaded = load(config)
    access = Operator(loaded)
    with errors_shown():
        if show:
            _show_codes(access.call("list-codes"))
        elif withdraw is not None:
            access.call("withdraw-code", number=withdraw)
            typer.echo(text("the enrolment code {number} is withdrawn", number=withdraw))
        elif loaded.udp is None:
            raise OperatorError(
                text(
                    "this gateway has no UDP port for nodes, so nobody could use a code. Give its"
                    " configuration a [udp]"
                )
            )
        else:
            made = access.call("make-code", nodes=nodes, minutes=minutes, replaces=replace)
            _show_new_code(made, nodes, minutes)


def enrol_key(
    config: ConfigFile,
    file: Annotated[
        Path | None, typer.Argument(help=translate("Where to; NAME.feltpost-key by default."))
    ] = None,
    name: Annotated[
        str | None, typer.Option(help=translate("What people call this gateway: the host's name."))
    ] = None,
) -> None:
    """Write this gateway's public key, for which enrolment files are encrypted."""
    path = enrol_files.key_path(load(config).store.path)
    called = normalise(name or socket.gethostname())
    target = file or Path(f"{called.replace('/', '-')}{enrol_files.KEY_SUFFIX}")
    with errors_shown():
        with as_owner_of(path.parent):
            enrol_files.make_own_key(path)
            recipient = Recipient(called, enrol_files.read_own_key(path))
        target.write_bytes(recipient.write())
    typer.echo(
        text(
            "{file} is the key of {name}. It is not secret. Use it with: feltpost flash"
            " --enrol-file FILE --gateway-key {file}",
            file=str(target),
            name=called,
        )
    )


def enrol_import(
    config: ConfigFile,
    file: Annotated[Path, typer.Argument(help=translate("An enrolment file."))],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help=translate("Show what would change, and change nothing.")),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help=translate("Don't ask first."))] = False,
) -> None:
    """Enrol the nodes of a file that was encrypted for this gateway; look at each before you do."""
    loaded = load(config)
    access = Operator(loaded)
    path = enrol_files.key_path(loaded.store.path)
    with errors_shown():
        rows = _read(file, path)
        outcomes = _enrol(access, rows, file, dry_run=True)
    _show(rows, outcomes)
    changes = sum(_changes(outcome) for outcome in outcomes.values())
    if dry_run:
        typer.echo(text("nodes that would change: {count}. Nothing was changed", count=changes))
    elif changes:
        typer.echo(
            translate("Anybody who has the gateway's public key can have written this file.")
        )
        if not yes:
            typer.confirm(translate("Are these the nodes that you expect? Enrol them?"), abort=True)
        with errors_shown():
            outcomes = _enrol(access, rows, file, dry_run=False)
        done = sum(_changes(outcome) for outcome in outcomes.values())
        typer.echo(text("nodes enrolled or changed: {count}", count=done))
    if len(outcomes) < len(rows) or any(o.status.refused for o in outcomes.values()):
        raise typer.Exit(EXIT_FAILED)


def _show_new_code(made: Json, nodes: int, minutes: int) -> None:
    typer.echo(made["code"])
    typer.echo(
        text(
            "Code number {number}. Nodes: {nodes}. Valid for {minutes} minutes, or until the"
            " gateway restarts. Whoever has it can enrol nodes: tell it to the technician only",
            number=made["number"],
            nodes=nodes,
            minutes=minutes,
        )
    )


def _show_codes(codes: list[Json]) -> None:
    if not codes:
        typer.echo(translate("No enrolment code is valid"))
        return
    table = Table(
        translate("number"),
        translate("nodes"),
        translate("enrolled"),
        translate("minutes left"),
        translate("other keys"),
        box=None,
    )
    for code in codes:
        table.add_row(
            str(code["number"]),
            str(code["nodes"]),
            str(code["enrolled"]),
            str(-(-code["seconds_left"] // 60)),
            translate("yes") if code["replaces"] else translate("no"),
        )
    tables.console().print(table)


def _read(file: Path, key_file: Path) -> list[_Row]:
    """Return a file's lines; raises `OtherGatewayError` where one is for another gateway."""
    content = file.read_bytes()
    if len(content) > enrol_files.MAX_FILE_BYTES:
        raise OperatorError(text("{file} is too large for an enrolment file", file=str(file)))
    with as_owner_of(key_file.parent):
        own = enrol_files.read_own_key(key_file)
    rows = []
    for number, line in enumerate(content.decode("ascii", errors="replace").splitlines(), 1):
        try:
            rows.append(_Row(number, enrol_files.open_line(line, own)))
        except OtherGatewayError:
            raise
        except OperatorError as error:
            rows.append(_Row(number, None, str(error)))
    if not rows:
        raise OperatorError(text("{file} is empty", file=str(file)))
    return rows


def _enrol(access: Operator, rows: list[_Row], file: Path, *, dry_run: bool) -> dict[int, Outcome]:
    """Return the outcomes by the numbers of the lines that could be read."""
    readable = {row.line: row.sealed for row in rows if row.sealed is not None}
    answers = access.call(
        "enrol",
        enrolments=[encode(sealed.enrolment).hex() for sealed in readable.values()],
        by=f"file {file.name}",
        dry_run=dry_run,
    )
    outcomes = (decode_outcome(bytes.fromhex(answer)) for answer in answers)
    return dict(zip(readable, outcomes, strict=True))


def _changes(outcome: Outcome) -> bool:
    return not outcome.status.refused and outcome.status is not Status.ALREADY


def _show(rows: list[_Row], outcomes: dict[int, Outcome]) -> None:
    table = Table(
        translate("line"),
        "mac",
        translate("node"),
        translate("written"),
        translate("what is done"),
        translate("remark"),
        box=None,
    )
    for row in rows:
        if row.sealed is None:
            table.add_row(str(row.line), "", "", "", translate("nothing"), printable(row.fault))
            continue
        columns, outcome = row.sealed.enrolment.columns, outcomes[row.line]
        node = "/".join(columns.get(name, "") for name in ("owner", "site", "name"))
        # What a stranger wrote must not move the cursor of the terminal that shows it.
        table.add_row(
            str(row.line),
            printable(columns.get("mac", "")),
            printable(node),
            local_time(row.sealed.written_ms),
            _done(outcome.status),
            printable(_remark(outcome)),
        )
    tables.console().print(table)


def _done(status: Status) -> str:
    match status:
        case Status.ENROLLED:
            return translate("it is enrolled")
        case Status.UPDATED:
            return translate("its description is changed")
        case Status.REPLACED:
            return translate("it gets another key")
        case _:
            return translate("nothing")


def _remark(outcome: Outcome) -> str:
    if outcome.status.refused:
        return "; ".join(f"{fault.column} {fault.text}".strip() for fault in outcome.faults)
    parts = []
    if outcome.status is Status.ALREADY:
        parts.append(str(text("is enrolled already, as {node}", node=outcome.node)))
    if outcome.different:
        columns = ", ".join(outcome.different)
        if outcome.status is Status.UPDATED:
            parts.append(str(text("new: {columns}", columns=columns)))
        else:
            parts.append(str(text("not as here, and passed over: {columns}", columns=columns)))
    return "; ".join(parts)
