"""The command ``./run bench``: measures, prints the table, and says which budgets are met."""

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import gateway, node, table
from feltpost_tools.errors import FeltpostError


class Part(enum.StrEnum):
    """What can be measured by itself."""

    NODE = "node"
    GATEWAY = "gateway"


def bench(
    part: Annotated[Part | None, typer.Argument(help="What to measure; all without it.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.")
    ] = None,
    micropython_lib: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="A checkout of micropython-lib, to measure its senml here and now.",
        ),
    ] = None,
    scale: Annotated[
        float,
        typer.Option(
            metavar="PART",
            min=0.001,
            max=1,
            help="Measure the gateway with only that part of all messages, such as 0.01.",
        ),
    ] = 1,
    days: Annotated[
        int,
        typer.Option(min=1, help="Watch the node's heap for so many simulated days."),
    ] = 1,
) -> None:
    """Measure the budgets. A missed one is printed as missed and is no error."""
    parts = [part] if part else list(Part)
    progress = Console(stderr=True)
    sections = []
    try:
        for chosen in parts:
            match chosen:
                case Part.NODE:
                    sections.append(node.measure(micropython_lib, days, progress))
                case Part.GATEWAY:
                    sections.append(gateway.measure(scale, progress))
    except FeltpostError as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(2)
    table.show(sections, Console())
    if json_file:
        table.write(sections, json_file)


if __name__ == "__main__":
    typer.run(bench)
