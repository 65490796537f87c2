"""`feltpost-gateway doctor`: what keeps the gateway from working, and what to do about it."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text as Styled

from feltpost_gateway.cli_common import EXIT_FAILED, ConfigFile, load
from feltpost_gateway.doctor import Finding, Level, check_here
from feltpost_gateway.doctor_brokers import check_broker
from feltpost_gateway.tables import console
from feltpost_gateway.texts import translate

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "red"}


def doctor(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help=translate("As JSON."))] = False,
) -> None:
    """Look for what keeps the gateway from working; run it as the gateway's user.

    Ends with 1 where something failed, with 0 where nothing or only a warning was found.
    """
    loaded = load(config)
    findings = [
        *check_here(loaded),
        *(found for d in loaded.all_destinations for found in check_broker(d)),
    ]
    if as_json:
        found = [
            {
                "check": finding.check,
                "subject": finding.subject,
                "level": finding.level,
                "what": str(finding.what),
                "advice": None if finding.advice is None else str(finding.advice),
            }
            for finding in findings
        ]
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        out = console()
        for finding in findings:
            show(out, finding)
    if any(finding.level is Level.FAILED for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def show(out: Console, finding: Finding) -> None:
    """Print a finding, and what to do about it."""
    line = Styled(f"{translate(finding.level):9}", style=_STYLES[finding.level])
    line.append(f"{finding.check} ", style="bold")
    line.append(f"{finding.subject} " if finding.subject else "", style="default")
    line.append(str(finding.what), style="default")
    out.print(line)
    if finding.advice is not None:
        out.print(f"{'':9}→ {finding.advice}")
