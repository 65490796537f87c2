"""The command ``feltpost boards``: what is plugged in, what it is doing, which versions it has."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from feltpost_tools import terminal
from feltpost_tools.device import ports
from feltpost_tools.device.ports import Port
from feltpost_tools.device.state import BoardState, Doing, find_out
from feltpost_tools.errors import DeviceError, FeltpostError
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption

Found = tuple[Port, BoardState | DeviceError]

PortsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--port", metavar="PORT", help=_("Only this port, or USB serial number; repeatable.")
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(
        help=_(
            "List the boards that are plugged in. An application that runs is stopped for a "
            "moment and then restarted; it loses no reading."
        )
    )(boards)


def boards(
    names: PortsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("As JSON."))] = False,
    lang: LanguageOption = None,
) -> None:
    """List the boards that are plugged in."""
    found = look_at(names or ())
    if not found:
        typer.echo(ports.no_board(), err=True)
        sys.exit(1)
    if as_json:
        typer.echo(json.dumps([_flat(*each) for each in found], ensure_ascii=False, indent=1))
    else:
        terminal.console().print(_table(found))
        for _port, state in found:
            if isinstance(state, DeviceError):
                typer.echo(f"feltpost: {state}", err=True)


def look_at(names: Sequence[str]) -> list[Found]:
    """Find out the state of the boards that are meant, all at once.

    names: as for ports.named, none for all that are plugged in. A wrong one ends the program with
    2; a port that can't be used is among the results, with why.
    """

    async def look(port: Port) -> Found:
        try:
            return port, await find_out(port.path)
        except DeviceError as error:
            return port, error

    async def look_at_all() -> list[Found]:
        chosen = ports.named(names) if names else ports.plugged_in()
        return list(await asyncio.gather(*map(look, chosen)))

    try:
        return asyncio.run(look_at_all())
    except FeltpostError as error:
        typer.echo(f"feltpost: {error}", err=True)
        sys.exit(2)


def doing_text(doing: Doing) -> str:
    """Return what a board is doing, for a table."""
    return {
        Doing.APPLICATION: _("runs"),
        Doing.PROMPT: _("at the prompt"),
        Doing.BOOT_LOOP: _("starts over and over"),
        Doing.LOADER: _("waits to be flashed"),
        Doing.SILENT: _("says nothing"),
        Doing.UNREADABLE: _("says what can't be read"),
        Doing.OTHER: _("does something else"),
    }[doing]


def _table(found: Sequence[Found]) -> Table:
    heads = (
        _("Port"),
        _("USB serial"),
        _("Chip"),
        _("MAC"),
        _("State"),
        "MicroPython",
        "Feltpost",
        _("Key id"),
    )
    table = Table(*heads, box=None, pad_edge=False)
    for port, state in found:
        if isinstance(state, DeviceError):
            cells = [port.path, port.serial, "", "", _("can't be used"), "", "", ""]
        else:
            cells = [
                port.path,
                port.serial,
                state.chip or "",
                state.mac.hex(":") if state.mac else "",
                doing_text(state.doing),
                _dotted(state.micropython),
                state.feltpost or "",
                state.key_id.hex(),
            ]
        # Plain texts: what a board said may look like rich's markup.
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table


def _flat(port: Port, state: BoardState | DeviceError) -> dict[str, object]:
    if isinstance(state, DeviceError):
        return {"port": port.path, "serial": port.serial, "error": str(state)}
    return {
        "port": port.path,
        "serial": port.serial,
        "chip": state.chip,
        "mac": state.mac.hex(":") if state.mac else None,
        "state": state.doing,
        "safe_mode": state.safe_mode,
        "micropython": _dotted(state.micropython) or None,
        "feltpost": state.feltpost,
        "key_id": state.key_id.hex() or None,
    }


def _dotted(version: tuple[int, ...] | None) -> str:
    return ".".join(map(str, version or ()))
