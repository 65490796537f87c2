"""`feltpost-gateway tail`: readings as they come."""

import json
import sqlite3
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from feltpost_gateway.cli_common import ConfigFile, errors_shown, load
from feltpost_gateway.errors import ClockNotSetError, PackError
from feltpost_gateway.event_texts import local_time
from feltpost_gateway.formats.base import Reading, iso_time
from feltpost_gateway.store_view import open_view
from feltpost_gateway.stored_readings import readings_of
from feltpost_gateway.texts import text, translate
from feltpost_gateway.transaction import StoredPack, read_packs

_STEP_PACKS = 200
_LOOK_S = 0.25


def tail(
    config: ConfigFile,
    node: Annotated[
        str | None, typer.Option(help=translate("One node only: name or owner/site/name."))
    ] = None,
    last: Annotated[
        int,
        typer.Option("--last", "-n", min=0, help=translate("Begin with so many stored packs.")),
    ] = 0,
    count: Annotated[
        int | None, typer.Option(min=1, help=translate("End after so many readings."))
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help=translate("As JSON, one a line."))
    ] = False,
) -> None:
    """Show readings as they come, until interrupted."""
    loaded = load(config)
    shown = 0
    with errors_shown(), open_view(loaded.store.path) as connection:
        (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM packs").fetchone()
        for pack in _follow(connection, max(0, newest - last)):
            names = pack.node
            if node not in (None, names.name, f"{names.owner}/{names.site}/{names.name}"):
                continue
            try:
                readings = readings_of(pack)
            except (PackError, ClockNotSetError) as error:
                unreadable = text(
                    "{node}: a pack can't be read: {reason}", node=names.name, reason=str(error)
                )
                typer.echo(str(unreadable), err=True)
                continue
            for reading in readings:
                typer.echo((_json if as_json else _line)(pack, reading))
                shown += 1
                if shown == count:
                    return


def _follow(connection: sqlite3.Connection, after: int) -> Iterator[StoredPack]:
    """Give the packs after `after`, and those that come later, without end."""
    while True:
        packs = read_packs(connection, after, _STEP_PACKS)
        yield from packs
        if packs:
            after = packs[-1].id
        else:
            # SQLite tells nobody in another process that something came.
            time.sleep(_LOOK_S)


def _line(pack: StoredPack, reading: Reading) -> str:
    record = reading.record
    marks = f"  q={record.marks}" if record.marks else ""
    return (
        f"{local_time(record.time_ms)}  {pack.node.owner}/{pack.node.site}/{pack.node.name}"
        f"  {record.name}  {record.value} {record.unit}{marks}"
    )


def _json(pack: StoredPack, reading: Reading) -> str:
    record = reading.record
    value = record.value if isinstance(record.value, bool | int) else float(record.value)
    return json.dumps(
        {
            "time": iso_time(record.time_ms),
            "owner": pack.node.owner,
            "site": pack.node.site,
            "node": pack.node.name,
            "name": record.name,
            "value": value,
            "unit": record.unit,
            "marks": record.marks,
            "journal": pack.journal,
            "seq": reading.seq,
        },
        ensure_ascii=False,
    )
