"""The command ``feltpost demo``: the whole journey on simulated boards, for developers."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from feltpost_tools.demo import runner
from feltpost_tools.errors import FeltpostError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def _speed(text: str) -> float:
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if not speed >= 1:
        raise typer.BadParameter("must be a number from 1 on, or max")
    return speed


def _address(text: str) -> runner.Address:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise typer.BadParameter("must be HOST:PORT, such as 127.0.0.1:1883")
    return runner.Address(host.strip("[]"), int(port))


def demo(
    seconds: Annotated[
        float, typer.Option("--for", min=1, help="How long to sample, seconds on the wall.")
    ] = 60,
    nodes: Annotated[int, typer.Option(min=1, max=200, help="How many simulated boards.")] = 3,
    link: Annotated[
        runner.LinkChoice,
        typer.Option(help="How they reach the gateway; both: every third serial."),
    ] = runner.LinkChoice.BOTH,
    speed: Annotated[
        float, typer.Option(parser=_speed, metavar="X|max", help="How much faster time runs.")
    ] = 60.0,
    trace: Annotated[
        Path | None, typer.Option(help="The recording to replay; columns as indoor-climate.csv.")
    ] = None,
    broker: Annotated[
        runner.Address | None,
        typer.Option(parser=_address, metavar="HOST:PORT", help="A running broker to use."),
    ] = None,
    outage: Annotated[
        bool, typer.Option("--outage", help="Stop the broker and unplug a serial line for a while.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the final counts there.")
    ] = None,
) -> None:
    """Run broker, gateway and simulated boards, and show what arrives."""
    options = runner.Options(
        seconds=seconds,
        nodes=nodes,
        link=link,
        speed=speed,
        trace=trace,
        broker=broker,
        outage=outage,
        json_file=json_file,
    )
    try:
        code = runner.run(options)
    except FeltpostError as error:
        typer.echo(f"feltpost: {error}", err=True)
        code = 2
    sys.exit(code)
