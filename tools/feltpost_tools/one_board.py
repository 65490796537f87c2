"""What the commands for one board have in common: which board, and how it goes on afterwards."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from feltpost_tools.audit import Action, AuditLog
from feltpost_tools.device import ports
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import FeltpostError
from feltpost_tools.language import _

Result = TypeVar("Result")

PortOption = Annotated[
    str | None,
    typer.Option("--port", metavar="PORT", help=_("The board's port, or USB serial number.")),
]


def at_prompt(port: str | None, work: Callable[[Mpremote], Awaitable[Result]]) -> Result:
    """Do something with the one board that is meant, and start its application again.

    What is wrong is said, and ends the program with 2.
    """

    async def run(board: Mpremote) -> Result:
        try:
            return await work(board)
        finally:
            await board.hard_reset()

    try:
        return asyncio.run(run(Mpremote(_path(port))))
    except FeltpostError as error:
        typer.echo(f"feltpost: {error}", err=True)
        sys.exit(2)


def on_record(action: str, port: str | None, error: str = "") -> None:
    """Put on record what was done to the board that is meant."""
    result = "failed" if error else "ok"
    problem = AuditLog().record(Action(action, result, port=_path(port), error=error))
    if problem:
        typer.echo(f"feltpost: {problem}", err=True)


def _path(port: str | None) -> str:
    return ports.only([port] if port else ()).path
