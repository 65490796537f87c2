"""`feltpost-gateway losses`: what is missing, why, and from when."""

import json
from typing import Annotated

import typer
from rich.table import Table

from feltpost_gateway.cli_common import ConfigFile, errors_shown, load
from feltpost_gateway.event_texts import gap_reason, local_time
from feltpost_gateway.formats.base import iso_time
from feltpost_gateway.losses import Loss, read_losses
from feltpost_gateway.status import called
from feltpost_gateway.status_cli import AsJson
from feltpost_gateway.store_view import open_view
from feltpost_gateway.tables import console
from feltpost_gateway.texts import translate


def losses(
    config: ConfigFile,
    days: Annotated[
        int, typer.Option(min=1, max=366, help=translate("How many days to show."))
    ] = 7,
    node: Annotated[
        str | None, typer.Option(help=translate("One node only: name or owner/site/name."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what is missing: how many readings of which node, why, and when they were measured."""
    with errors_shown(), open_view(load(config).store.path) as connection:
        nodes = called(connection, node)
        found = read_losses(connection, days, nodes)
    if as_json:
        told = [_to_json(loss, nodes[loss.node_id]) for loss in found]
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    out = console()
    if not found:
        out.print(translate("nothing is missing"), style="green")
        return
    table = Table(
        translate("noted"),
        translate("node"),
        translate("missing"),
        translate("reason"),
        translate("measured after"),
        translate("and before"),
        translate("journal"),
        translate("numbers"),
        box=None,
    )
    for loss in found:
        table.add_row(
            local_time(loss.noted_ms),
            nodes[loss.node_id],
            str(loss.count),
            gap_reason(loss.reason),
            local_time(loss.after_ms),
            local_time(loss.before_ms),
            str(loss.journal),
            f"{loss.first}–{loss.first + loss.count - 1}",
        )
    out.print(table)


def _to_json(loss: Loss, node: str) -> dict[str, str | int | None]:
    return {
        "node": node,
        "journal": loss.journal,
        "first": loss.first,
        "count": loss.count,
        "reason": loss.reason.name.lower(),
        "noted": iso_time(loss.noted_ms),
        "measured_after": None if loss.after_ms is None else iso_time(loss.after_ms),
        "measured_before": None if loss.before_ms is None else iso_time(loss.before_ms),
    }
