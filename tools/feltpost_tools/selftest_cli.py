"""The command ``feltpost selftest``: lets a node test its sensors, links and flash."""

import sys

import typer
from rich.table import Table
from rich.text import Text

from feltpost_tools import one_board, terminal
from feltpost_tools.flashing import selftest as tests
from feltpost_tools.flashing.selftest import Check
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(
        help=_(
            "Let a node test its sensors, links, flash and memory. Ends with 1 where something "
            "is wrong. The node goes on afterwards and has lost no reading."
        )
    )(selftest)


def selftest(port: one_board.PortOption = None, lang: LanguageOption = None) -> None:
    """Let a node test its sensors, links, flash and memory."""
    made = one_board.at_prompt(port, tests.checks)
    terminal.console().print(_table(made))
    sys.exit(0 if all(check.ok for check in made) else 1)


def _table(made: list[Check]) -> Table:
    table = Table(_("Check"), _("Result"), _("Read"), _("What to do"), box=None, pad_edge=False)
    for check in made:
        read = ", ".join(f"{name} {value}" for name, value in check.measured.items())
        cells = (f"{check.name} {check.of}".strip(), check.why or _("in order"), read, check.advice)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table
