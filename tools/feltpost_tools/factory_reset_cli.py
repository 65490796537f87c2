"""The command ``feltpost factory-reset``: makes a node a board again."""

from typing import Annotated

import typer

from feltpost_tools import one_board
from feltpost_tools.flashing import factory_reset as reset
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(
        help=_(
            "Wipe a node: its key, the passwords of its networks, its configuration, and the "
            "readings that no gateway has yet, which are lost."
        )
    )(factory_reset)


def factory_reset(
    port: one_board.PortOption = None,
    everything: Annotated[bool, typer.Option("--all", help=_("The application, too."))] = False,
    yes: Annotated[bool, typer.Option("--yes", help=_("Do not ask."))] = False,
    lang: LanguageOption = None,
) -> None:
    """Wipe a node."""
    if not yes:
        typer.confirm(_("Readings that are not sent yet will be lost. Wipe the node?"), abort=True)
    one_board.at_prompt(port, lambda board: reset.factory_reset(board, everything))
    one_board.on_record("factory-reset", port)
    typer.echo(_("The node is wiped. At the gateway, do: feltpost-gateway nodes remove"))
