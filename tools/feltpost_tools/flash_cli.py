"""The command ``feltpost flash``: makes nodes of the boards that are plugged in."""

import asyncio
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from feltpost_tools import terminal
from feltpost_tools.audit import Action, AuditLog
from feltpost_tools.device.ports import Port
from feltpost_tools.errors import FeltpostError, PortsUnclear
from feltpost_tools.flashing import choices, compile, site
from feltpost_tools.flashing.job import Report
from feltpost_tools.flashing.nodes import Listed, Nodes, One, SameAsBefore
from feltpost_tools.flashing.order import Order
from feltpost_tools.flashing.report import summary, table
from feltpost_tools.flashing.side_by_side import Bench
from feltpost_tools.flashing.site import Site
from feltpost_tools.flashing.view import view
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(
        help=_(
            "Make nodes of the boards that are plugged in: MicroPython where it is missing, the "
            "application, the configuration, a key, a self-test, and enrolment at the gateway. "
            "Without --name or --batch each board stays the node that it is, and gets the new "
            "application. What was interrupted is finished by running it again."
        )
    )(flash)


def flash(
    port: Annotated[
        list[str] | None,
        typer.Option(help=_("Only this port, or USB serial number; repeatable.")),
    ] = None,
    name: Annotated[str, typer.Option(help=_("The node's name."))] = "",
    owner: Annotated[str, typer.Option(help=_("Whose node it is."))] = "",
    site_name: Annotated[str, typer.Option("--site", help=_("Where the node is."))] = "",
    room: Annotated[str, typer.Option(help=_("The room, if any."))] = "",
    kit: Annotated[str, typer.Option(help=_("What is wired to it: a kit's name."))] = "",
    board: Annotated[
        str, typer.Option(help=_("Which board it is, where its chip does not tell."))
    ] = "",
    batch: Annotated[
        Path | None,
        typer.Option(
            metavar="NODES.CSV",
            help=_("The list of nodes; boards are taken as they are plugged in."),
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help=_("With --batch: those that are done, too."))
    ] = False,
    site_file: Annotated[
        Path | None,
        typer.Option(
            metavar="SITE.TOML",
            help=_("What the nodes of a place have in common."),
        ),
    ] = None,
    gateway: Annotated[
        str,
        typer.Option(metavar="HOST[:PORT]", help=_("Enrol at this gateway, with a code.")),
    ] = "",
    here: Annotated[
        Path | None,
        typer.Option(
            metavar="GATEWAY.TOML",
            help=_("Enrol at the gateway that runs on this computer with that configuration."),
        ),
    ] = None,
    enrol_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=_("Enrol by a file, with --gateway-key.")),
    ] = None,
    gateway_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=_("What feltpost-gateway enrol-key wrote.")),
    ] = None,
    no_enrol: Annotated[bool, typer.Option("--no-enrol", help=_("Enrol nowhere."))] = False,
    micropython: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=_("MicroPython for boards that have none.")),
    ] = None,
    new_identity: Annotated[
        bool, typer.Option("--new-identity", help=_("Give each board a new key."))
    ] = False,
    erase_journal: Annotated[
        bool,
        typer.Option("--erase-journal", help=_("Throw away the readings that no gateway has.")),
    ] = False,
    erase_files: Annotated[
        bool,
        typer.Option("--erase-files", help=_("Files of others on a board may be lost.")),
    ] = False,
    reset: Annotated[
        bool,
        typer.Option("--reset", help=_("Reset a board that says nothing; it may be asleep.")),
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help=_("Change the description that the gateway has of a node.")),
    ] = False,
    lang: LanguageOption = None,
) -> None:
    """Make nodes of the boards that are plugged in."""
    given = {"name": name, "owner": owner, "site": site_name, "room": room}
    given |= {"kit": kit, "board": board}
    common = {column: value for column, value in given.items() if value}
    try:
        place = site.read(site_file) if site_file else Site()
        nodes = choices.nodes(common, place, batch, again)
        enroller = choices.enroller(gateway, here, enrol_file, gateway_key, no_enrol)
        chosen = choices.chosen_ports(port, batch is not None)
        if isinstance(nodes, One) and len(chosen) > 1:
            raise PortsUnclear(
                _(
                    "One node can't be {count} boards. Say which with --port, or use --batch."
                ).format(count=len(chosen))
            )
        with tempfile.TemporaryDirectory(prefix="feltpost-") as folder:
            order = Order(
                application=compile.build(Path(folder)),
                site=choices.with_passwords(place, isinstance(nodes, SameAsBefore)),
                enroller=enroller,
                micropython=micropython,
                new_identity=new_identity,
                erase_journal=erase_journal,
                lose_files=erase_files,
                reset=reset,
                update=update,
            )
            reports = _run(order, nodes, chosen)
    except FeltpostError as error:
        typer.echo(f"feltpost: {error}", err=True)
        sys.exit(2)
    sys.exit(0 if reports and all(report.result.ok for report in reports) else 1)


def _run(order: Order, nodes: Nodes, chosen: list[Port]) -> list[Report]:
    console = terminal.console()
    log = AuditLog()

    def done(report: Report) -> None:
        problem = log.record(_action(report))
        for line in filter(None, (summary(report), *report.notes, problem)):
            console.print(line, markup=False, soft_wrap=True, highlight=False)

    with view(console) as shown:
        bench = Bench(order, nodes, shown, done)
        # Ctrl-C: what is reported is then all that came of it.
        with suppress(KeyboardInterrupt):
            if isinstance(nodes, Listed) and not chosen:
                console.print(_("Plug in the boards. Ctrl-C ends."))
                asyncio.run(bench.flash_as_they_come(nodes))
            else:
                asyncio.run(bench.flash(chosen))
    if bench.reports:
        console.print(table(bench.reports))
    return bench.reports


def _action(report: Report) -> Action:
    failed = report.result.failed
    versions = {"feltpost": report.firmware, "micropython": report.micropython}
    return Action(
        action="flash",
        result="failed" if failed else "ok",
        port=report.result.port,
        mac=report.mac,
        node=report.node,
        site=report.site,
        versions={name: version for name, version in versions.items() if version},
        error=f"{failed.step}: {failed.why}" if failed else "",
    )
