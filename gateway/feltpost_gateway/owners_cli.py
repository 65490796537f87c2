"""`feltpost-gateway owners` and `publication`: whose the readings are, and who may see them."""

from typing import Annotated

import typer

from feltpost_gateway.cli_common import ConfigFile, command, errors_shown, operator
from feltpost_gateway.nodes import OWNER_COLUMNS
from feltpost_gateway.publication import Publication
from feltpost_gateway.texts import text, translate

owners = typer.Typer(help=translate("Contact and licence of owners."), no_args_is_help=True)
publication = typer.Typer(help=translate("Who may see which metric."), no_args_is_help=True)

OwnerName = Annotated[
    str, typer.Argument(metavar="OWNER", help=translate("The short name that nodes have."))
]
Metric = Annotated[str, typer.Argument(help=translate("A metric, such as co2."))]


@command(owners, "list")
def list_owners(config: ConfigFile) -> None:
    """List the owners."""
    with errors_shown():
        found = operator(config).call("list-owners")
    for owner in found:
        typer.echo("  ".join(owner[column] for column in OWNER_COLUMNS))


@command(owners, "set")
def set_owner(
    config: ConfigFile,
    name: OwnerName,
    title: Annotated[str | None, typer.Option(help=translate("The full name."))] = None,
    contact: Annotated[str | None, typer.Option(help=translate("Whom to ask."))] = None,
    email: Annotated[str | None, typer.Option(help=translate("Where to ask."))] = None,
    licence: Annotated[
        str | None, typer.Option(help=translate("The URL of the licence of open data."))
    ] = None,
) -> None:
    """Add an owner, or change what is said of one."""
    given = {"title": title, "contact": contact, "email": email, "licence": licence}
    columns = {column: value for column, value in given.items() if value is not None}
    with errors_shown():
        saved = operator(config).call("save-owner", columns={"name": name, **columns})
    for column in OWNER_COLUMNS:
        typer.echo(f"{column}: {saved[column]}")


@command(owners, "remove")
def remove_owner(config: ConfigFile, name: OwnerName) -> None:
    """Forget what is said of an owner; nodes keep the name."""
    with errors_shown():
        operator(config).call("remove-owner", name=name)


@command(publication, "list")
def list_classes(config: ConfigFile) -> None:
    """List the classes of metrics; one that is not listed is internal."""
    with errors_shown():
        classes = operator(config).call("list-classes")
        nodes = operator(config).call("list-nodes")
    for metric, name in sorted(classes.items()):
        typer.echo(f"{metric}={name}")
    for node in nodes:
        if node["columns"]["classes"]:
            columns = node["columns"]
            said = text(
                "{mac} {name}: {classes}", **{c: columns[c] for c in ("mac", "name", "classes")}
            )
            typer.echo(said)


@command(publication, "set")
def set_class(config: ConfigFile, metric: Metric, name: Publication) -> None:
    """Set a metric's class for all nodes that say nothing else (nodes edit --set classes=…)."""
    with errors_shown():
        operator(config).call("set-class", metric=metric, name=name)
