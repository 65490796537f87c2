"""What the groups of commands have in common: the configuration, help texts, and errors."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from feltpost_gateway import config as configuration
from feltpost_gateway.commands import RowsError
from feltpost_gateway.errors import ConfigError, FeltpostError
from feltpost_gateway.nodes import FieldsError
from feltpost_gateway.operator_access import Operator
from feltpost_gateway.texts import text, translate

EXIT_FAILED = 1
EXIT_CONFIG = 2

# Where the package has it.
CONFIG_FILE = Path("/etc/feltpost/gateway.toml")

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        metavar="FILE",
        default_factory=lambda: CONFIG_FILE,
        show_default=str(CONFIG_FILE),
        help=translate("The configuration, in TOML."),
    ),
]


def command(
    group: typer.Typer, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command of `group`; its docstring is the help, in the user's language."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        group.command(name, help=translate(inspect.getdoc(function) or ""))(function)
        return function

    return register


def load(path: Path) -> configuration.Config:
    """Return the configuration in a file; end the command where it can't be used."""
    try:
        return configuration.load(path)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_CONFIG) from None


def operator(path: Path) -> Operator:
    """Return access to the gateway that a configuration file is for."""
    return Operator(load(path))


@contextmanager
def errors_shown(lines: list[int] | None = None) -> Iterator[None]:
    """End the command with a message where it fails; `lines` are the numbers of a file's rows."""
    try:
        yield
    except RowsError as error:
        for fault in error.faults:
            _complain(fault.column, str(fault.text), lines[fault.row] if lines else None)
    except FieldsError as error:
        for field in error.faults:
            _complain(field.column, str(field.text), None)
    except FeltpostError as error:
        typer.echo(str(error), err=True)
    except OSError as error:
        typer.echo(
            str(text("{file}: {reason}", file=str(error.filename), reason=str(error.strerror))),
            err=True,
        )
    else:
        return
    raise typer.Exit(EXIT_FAILED)


def _complain(column: str, fault: str, line: int | None) -> None:
    where = [] if line is None else [str(text("row {row}", row=line))]
    if column:
        where.append(str(text("column {column}", column=column)))
    typer.echo(": ".join([*([", ".join(where)] if where else []), fault]), err=True)
