"""The command ``feltpost doctor``: what keeps the boards on a cable from working."""

import sys
from collections.abc import Sequence

import typer

from feltpost_tools import board_doctor
from feltpost_tools.board_doctor import Finding
from feltpost_tools.boards_cli import PortsOption, doing_text, look_at
from feltpost_tools.device import ports
from feltpost_tools.errors import DeviceError
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption

_EXIT_FAULTS = 1


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(
        help=_(
            "Say what is wrong with the boards that are plugged in, what it means and what to do. "
            "Ends with 1 where something is."
        )
    )(doctor)


def doctor(
    names: PortsOption = None,
    lang: LanguageOption = None,
) -> None:
    """Say what is wrong with the boards that are plugged in, and what to do."""
    looked_at = look_at(names or ())
    faults = False
    if not looked_at:
        faults = _show(_("No board"), [board_doctor.of_no_port()])
    for port, state in looked_at:
        if isinstance(state, DeviceError):
            title, findings = ports.described(port), [board_doctor.of_error(state)]
        else:
            title = f"{ports.described(port)}: {doing_text(state.doing)}"
            findings = board_doctor.of_state(state)
        faults = _show(title, findings) or faults
    sys.exit(_EXIT_FAULTS if faults else 0)


def _show(title: str, findings: Sequence[Finding]) -> bool:
    # Return whether there was anything to show.
    typer.echo(title)
    if not findings:
        typer.echo("  " + _("No fault was found."))
    for finding in findings:
        # Words in f-strings are found by the catalogue's extractor from Python 3.12 on only.
        for head, text in (
            (_("Seen:"), finding.seen),
            (_("Means:"), finding.means),
            (_("Do:"), finding.advice),
        ):
            typer.echo(f"  {head:10}{text}")
        typer.echo()
    return bool(findings)
