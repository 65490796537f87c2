"""The command `feltpost-gateway`."""

import asyncio
import logging
from functools import partial
from typing import Annotated

import typer

from feltpost_gateway import (
    backup_cli,
    doctor_cli,
    enrol_cli,
    export_cli,
    logs,
    losses_cli,
    nodes_cli,
    owners_cli,
    setup_cli,
    status_cli,
    tail_cli,
)
from feltpost_gateway import config as configuration
from feltpost_gateway.cli_common import EXIT_FAILED, ConfigFile, command, load
from feltpost_gateway.clock import SystemClock
from feltpost_gateway.config_warnings import find_warnings
from feltpost_gateway.errors import PermanentError
from feltpost_gateway.service import serve
from feltpost_gateway.texts import text, translate

app = typer.Typer(
    help=translate("Takes readings from Feltpost nodes and forwards them to MQTT brokers."),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

app.add_typer(nodes_cli.app, name="nodes")
app.add_typer(owners_cli.owners, name="owners")
app.add_typer(owners_cli.publication, name="publication")
command(app)(enrol_cli.enrol_code)
command(app)(enrol_cli.enrol_key)
command(app)(enrol_cli.enrol_import)
command(app)(export_cli.export)
command(app)(export_cli.purge)
command(app)(status_cli.status)
command(app)(losses_cli.losses)
command(app)(status_cli.destinations)
command(app)(tail_cli.tail)
command(app)(doctor_cli.doctor)
command(app)(setup_cli.setup)
command(app)(backup_cli.backup)
command(app)(backup_cli.restore)


@command(app)
def run(
    config: ConfigFile,
    verbose: Annotated[bool, typer.Option(help="Log console text and other details.")] = False,
) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    loaded = load(config)
    logs.configure(logging.DEBUG if verbose else logging.INFO)
    try:
        asyncio.run(serve(loaded, SystemClock(), partial(configuration.load, config)))
    except PermanentError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None


@command(app)
def check_config(config: ConfigFile) -> None:
    """Check the configuration and say what is wrong with it."""
    loaded = load(config)
    warnings = list(find_warnings(loaded))
    for warning in warnings:
        line = text(
            "{file}: {key}: {warning}", file=str(config), key=warning.key, warning=str(warning.what)
        )
        typer.echo(str(line), err=True)
    good = text(
        "{file}: good ({nodes} nodes, {serial} serial ports, {destinations} destinations,"
        " {warnings} warnings)",
        file=str(config),
        nodes=len(loaded.nodes),
        serial=len(loaded.serial),
        destinations=len(loaded.all_destinations),
        warnings=len(warnings),
    )
    typer.echo(str(good))
