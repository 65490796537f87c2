"""The commands ``feltpost config get|set|diff``: a node's configuration, on the node."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from feltpost_tools import boards, kits, one_board
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import ConfigurationError, FeltpostError
from feltpost_tools.flashing import configuration, site
from feltpost_tools.flashing.configuration import Held, Settings
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption


def register(app: typer.Typer) -> None:
    """Add the commands, with their help in the language in use."""
    group = typer.Typer(no_args_is_help=True)
    group.command(help=_("Show a node's configuration, or one setting of it."))(get)
    group.command(
        "set", help=_("Change a setting: its path, such as links[0].host, and its value.")
    )(change)
    group.command(
        help=_("Compare a node's configuration with what a kit, a board and a site would make.")
    )(diff)
    app.add_typer(group, name="config", help=_("Show, change or compare a node's configuration."))


def get(
    path: Annotated[
        str, typer.Argument(help=_("Which setting, such as sensors[0].interval_s."))
    ] = "",
    port: one_board.PortOption = None,
    lang: LanguageOption = None,
) -> None:
    """Show a node's configuration, or one setting of it."""
    held = one_board.at_prompt(port, configuration.read)
    try:
        shown: Any = _usable(held)
        if path:
            shown = configuration.setting(shown, path)
    except FeltpostError as error:
        _fail(error)
    typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))
    if not path and held.networks:
        known = ", ".join(held.networks)
        typer.echo(_("The node has passwords for: {networks}").format(networks=known), err=True)


def change(
    path: Annotated[str, typer.Argument(help=_("Which setting."))],
    value: Annotated[str, typer.Argument(help=_("Its value, as JSON or a plain text."))],
    port: one_board.PortOption = None,
    lang: LanguageOption = None,
) -> None:
    """Change a setting."""

    async def work(board: Mpremote) -> None:
        held = _usable(await configuration.read(board))
        wanted = configuration.changed(held, path, value)
        configuration.check(wanted)
        await configuration.write(board, Settings(wanted))

    one_board.at_prompt(port, work)
    one_board.on_record(f"config set {path}", port)


def diff(
    kit: Annotated[str, typer.Option(help=_("What is wired to it: a kit's name."))],
    board: Annotated[str, typer.Option(help=_("Which board it is."))],
    site_file: Annotated[
        Path, typer.Option(metavar="SITE.TOML", help=_("What the nodes of a place have in common."))
    ],
    port: one_board.PortOption = None,
    lang: LanguageOption = None,
) -> None:
    """Compare a node's configuration with what a kit, a board and a site would make."""
    try:
        place = site.read(site_file)
        wanted = configuration.make(
            kits.load(kit), boards.load(board), place.links, place.options
        ).configuration
    except FeltpostError as error:
        _fail(error)
    held = one_board.at_prompt(port, configuration.read)
    changes = configuration.diff(held.configuration or {}, wanted)
    for found in changes:
        typer.echo(f"{found.path}: {_value(found.before)} -> {_value(found.after)}")
    sys.exit(1 if changes else 0)


def _usable(held: Held) -> dict[str, Any]:
    if held.configuration is None:
        raise ConfigurationError(_("The board has no usable configuration. Flash it."))
    return dict(held.configuration)


def _value(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _fail(error: FeltpostError) -> None:
    typer.echo(f"feltpost: {error}", err=True)
    sys.exit(2)
