"""The command `feltpost-gateway`."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from feltpost_gateway import config as configuration
from feltpost_gateway import logs
from feltpost_gateway.clock import SystemClock
from feltpost_gateway.errors import ConfigError, PermanentError
from feltpost_gateway.service import serve

_EXIT_FAILED = 1
_EXIT_CONFIG = 2

app = typer.Typer(
    help="Takes readings from Feltpost nodes and forwards them to an MQTT broker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

ConfigFile = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="The configuration, in TOML.")
]


def _load(path: Path) -> configuration.Config:
    try:
        return configuration.load(path)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_EXIT_CONFIG) from None


@app.command()
def run(
    config: ConfigFile,
    verbose: Annotated[bool, typer.Option(help="Log console text and other details.")] = False,
) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    loaded = _load(config)
    logs.configure(logging.DEBUG if verbose else logging.INFO)
    try:
        asyncio.run(serve(loaded, SystemClock()))
    except PermanentError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_EXIT_FAILED) from None


@app.command()
def check_config(config: ConfigFile) -> None:
    """Check the configuration and say what is wrong with it."""
    loaded = _load(config)
    typer.echo(
        f"{config}: good ({len(loaded.nodes)} nodes, {len(loaded.serial)} serial ports,"
        f" udp {'on' if loaded.udp else 'off'}, broker {'on' if loaded.broker else 'off'})"
    )
