"""`feltpost-gateway setup`: from an installed package to the first reading."""

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from feltpost_gateway import first_run
from feltpost_gateway.cli_common import EXIT_CONFIG, EXIT_FAILED, ConfigFile, errors_shown
from feltpost_gateway.config import Config
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.doctor import Level
from feltpost_gateway.doctor_brokers import check_broker
from feltpost_gateway.doctor_cli import show
from feltpost_gateway.errors import ConfigError
from feltpost_gateway.first_run import Answers
from feltpost_gateway.tables import console
from feltpost_gateway.tail_cli import tail
from feltpost_gateway.texts import text, translate


def setup(
    config: ConfigFile,
    owner: Annotated[
        str | None, typer.Option(help=translate("Whose readings these are, in short: aarhus."))
    ] = None,
    site: Annotated[
        str | None, typer.Option(help=translate("Where the gateway is, in short: skole-x."))
    ] = None,
    host: Annotated[
        str | None, typer.Option("--broker", help=translate("The MQTT broker's name."))
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=translate("Its port, if not the usual."))
    ] = None,
    tls: Annotated[
        bool | None, typer.Option("--tls/--no-tls", help=translate("Whether it speaks TLS."))
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help=translate("The authority of its certificate, if not a public one.")),
    ] = None,
    username: Annotated[
        str | None, typer.Option(help=translate("The gateway's user there, empty for none."))
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help=translate("A file with the password, instead of being asked for it.")),
    ] = None,
    serial: Annotated[
        list[str] | None,
        typer.Option(help=translate("A serial port with a node, such as /dev/feltpost/….")),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help=translate("Replace the configuration without asking."))
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help=translate("Wait for the first reading."))
    ] = True,
) -> None:
    """Ask for what a gateway needs, try it, write it down, start the service, show a reading."""
    if os.geteuid() != 0:
        typer.echo(translate("Run it with sudo: it writes to /etc and starts a service"), err=True)
        raise typer.Exit(EXIT_FAILED)
    if config.exists() and not yes:
        question = text("{file} is there. Replace it?", file=str(config))
        typer.confirm(str(question), default=True, abort=True)
    with errors_shown():
        short_owner = _asked(owner, translate("Whose readings these are, in short (aarhus)"))
        short_site = _asked(site, translate("Where the gateway is, in short (skole-x)"))
        broker = _asked(host, translate("The MQTT broker's name"))
        if tls is None:
            tls = typer.confirm(translate("Does it speak TLS?"), default=True)
        user = _asked(username, translate("The gateway's user there, empty for none"), default="")
        answers = Answers(
            owner=short_owner,
            site=short_site,
            host=broker,
            port=port,
            tls=tls,
            ca_file=None if ca_file is None else ca_file.absolute(),
            username=user or None,
            password=_password(password_file) if user else None,
            serial=tuple(serial or ()),
        )
    _try(answers)
    with errors_shown():
        before = first_run.save(answers, config)
        typer.echo(text("{file} is written", file=str(config)))
        if before is not None:
            typer.echo(text("what was there is {file} now", file=str(before)))
        first_run.start()
    typer.echo(translate("The gateway runs, and does so after each restart of this computer."))
    typer.echo(
        text(
            "Now let a node in: make a code with sudo feltpost-gateway enrol-code, and flash the"
            " node with feltpost flash --owner {owner} --site {site}",
            owner=answers.owner,
            site=answers.site,
        )
    )
    if wait:
        typer.echo(translate("Waiting for the first reading; end this with Ctrl-C."))
        tail(config, count=1)


def _try(answers: Answers) -> None:
    """Show what is wrong with the answers, and end the command where the broker can't be used."""
    try:
        loaded = first_run.check(answers)
    except ConfigError as error:
        # The file that it names was for the check only.
        for line in str(error).splitlines():
            typer.echo(line.partition(": ")[2], err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    findings = list(check_broker(_with_password(loaded, answers.password)))
    for finding in findings:
        show(console(), finding)
    if any(finding.level is Level.FAILED for finding in findings):
        typer.echo(translate("Nothing was changed"), err=True)
        raise typer.Exit(EXIT_FAILED)


def _with_password(loaded: Config, password: str | None) -> DestinationConfig:
    """Return the broker with the password itself, which is not yet where it will be."""
    assert loaded.broker is not None
    secret = None if password is None else SecretStr(password)
    return loaded.broker.model_copy(update={"password": secret, "password_file": None})


def _asked(given: str | None, question: str, default: str | None = None) -> str:
    if given is not None:
        return given
    answer: str = typer.prompt(question, default=default, show_default=False)
    return answer


def _password(file: Path | None) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    asked: str = typer.prompt(translate("Its password"), hide_input=True)
    return asked
