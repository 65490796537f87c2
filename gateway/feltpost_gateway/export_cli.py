"""`feltpost-gateway export` and `purge`: readings taken out, and readings done away with."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from feltpost_gateway import catalogue, export_files
from feltpost_gateway.cli_common import ConfigFile, errors_shown, load, operator
from feltpost_gateway.clock import SystemClock
from feltpost_gateway.export import Export, Wanted
from feltpost_gateway.export_files import FileFormat
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.publication import Publication
from feltpost_gateway.store_view import open_view
from feltpost_gateway.texts import text, translate

_DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]
_MODE_OPEN = 0o644
_MODE_GUARDED = 0o600


def export(
    config: ConfigFile,
    file: Annotated[
        Path, typer.Argument(help=translate("Where to: a name ending in .csv, .json or .parquet."))
    ],
    node: Annotated[str | None, typer.Option(help=translate("Of this node only."))] = None,
    site: Annotated[str | None, typer.Option(help=translate("Of this site only."))] = None,
    owner: Annotated[str | None, typer.Option(help=translate("Of this owner only."))] = None,
    begin: Annotated[
        datetime | None,
        typer.Option("--from", formats=_DATES, help=translate("Measured from then on, UTC.")),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=_DATES, help=translate("Measured before then, UTC.")),
    ] = None,
    include: Annotated[
        Publication,
        typer.Option(help=translate("Also what is not open: internal, or internal and private.")),
    ] = Publication.OPEN,
    url: Annotated[
        str, typer.Option(help=translate("Where the file will be found, for the catalogue entry."))
    ] = "",
) -> None:
    """Write readings to a file, with a data dictionary and a DCAT-AP-DK entry beside it."""
    wanted = Wanted(node, site, owner, _milliseconds(begin), _milliseconds(until), include)
    store = load(config).store.path
    mode = _MODE_OPEN if include is Publication.OPEN else _MODE_GUARDED
    summary = catalogue.Summary()
    dictionary = file.with_name(f"{file.name}-metadata.json")
    entry = file.with_name(f"{file.name}.dcat.jsonld")
    base_url = f"{url.rstrip('/')}/" if url else ""
    with errors_shown(), open_view(store) as connection:
        file_format = _format_of(file)
        source = Export(connection, wanted)
        source.owner()
        export_files.write(summary.watch(source.rows()), file, file_format, mode)
        export_files.write_text(catalogue.dictionary(summary, file), dictionary, mode)
        said = catalogue.entry(
            source,
            wanted,
            summary,
            file,
            dictionary,
            file_format,
            now_ms=SystemClock().now_ms(),
            base_url=base_url,
        )
        export_files.write_text(said, entry, mode)
    typer.echo(text("{file}: {count} readings", file=str(file), count=summary.readings))
    if source.unreadable:
        fault = text(
            "{count} readings are damaged in the store and left out", count=source.unreadable
        )
        typer.echo(fault, err=True)


def purge(
    config: ConfigFile,
    node: Annotated[str, typer.Option(help=translate("Its name, owner/site/name, or address."))],
    yes: Annotated[bool, typer.Option("--yes", help=translate("Don't ask."))] = False,
) -> None:
    """Remove a node with its key and all of its readings in this gateway, for ever."""
    access = operator(config)
    with errors_shown():
        found = access.call("show-node", node=node)
    columns = found["columns"]
    called = f"{columns['owner']}/{columns['site']}/{columns['name']} ({columns['mac']})"
    if not yes:
        question = text("Remove {node} and all of its readings for ever?", node=called)
        typer.confirm(str(question), abort=True)
    with errors_shown():
        done = access.call("purge-node", node=columns["mac"])
    typer.echo(
        text(
            "{node} is gone: {readings} readings, {gaps} gaps, {reports} reports, {history} notes,"
            " {keys} keys. What destinations have of it stays there",
            node=called,
            **done["purged"],
        )
    )
    if found["in_file"]:
        typer.echo(
            translate("It is in the configuration file. Take it out there before the next start")
        )
    store = load(config).store.path
    for damaged in sorted(store.parent.glob(f"{store.name}.damaged-*")):
        typer.echo(text("{file} may still have readings of it", file=str(damaged)))


def _format_of(file: Path) -> FileFormat:
    try:
        return FileFormat(file.suffix.removeprefix(".").lower())
    except ValueError:
        raise OperatorError(
            text("{file} does not end in .csv, .json or .parquet", file=str(file))
        ) from None


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.replace(tzinfo=UTC).timestamp() * 1000)
