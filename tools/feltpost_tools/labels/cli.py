"""The command ``feltpost label``: labels for nodes as a PDF file, and as images."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from feltpost_tools.errors import FeltpostError, LabelError
from feltpost_tools.labels import label
from feltpost_tools.labels.label import Label
from feltpost_tools.labels.stock import STOCKS
from feltpost_tools.language import _, several
from feltpost_tools.language_option import LanguageOption


def register(app: typer.Typer) -> None:
    """Add the command, with its help in the language in use."""
    app.command(
        "label",
        help=_(
            "Print labels for nodes: name, short id, QR code of the node's URN, place and contact."
            " From a batch list, from what `feltpost-gateway nodes export` wrote, or with --mac and"
            " --name for one node."
        ),
    )(make)


def _stock(name: str) -> str:
    named = {known.casefold(): known for known in STOCKS}
    if name.casefold() not in named:
        raise typer.BadParameter(_("must be one of {names}").format(names=", ".join(STOCKS)))
    return named[name.casefold()]


def make(
    source: Annotated[
        Path | None, typer.Argument(metavar="LIST", help=_("CSV file with the nodes."))
    ] = None,
    mac: Annotated[str, typer.Option(help=_("MAC address of one node."))] = "",
    name: Annotated[str, typer.Option(help=_("Name of one node."))] = "",
    site: Annotated[str, typer.Option(help=_("Where the node is."))] = "",
    room: Annotated[str, typer.Option(help=_("The room, if any."))] = "",
    owner: Annotated[str, typer.Option(help=_("Whose node it is."))] = "",
    contact: Annotated[
        str, typer.Option(help=_("Whom to call; a column `contact` in the list goes before it."))
    ] = "",
    stock: Annotated[
        str,
        typer.Option(
            "--sheet",
            callback=_stock,
            metavar="|".join(STOCKS),
            help=_("The label sheet (Avery's number), or roll62 for 62 mm tape."),
        ),
    ] = "L7160",
    first: Annotated[
        int, typer.Option(min=1, help=_("Begin at this label of a sheet that is partly used."))
    ] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help=_("The PDF file to write."))] = Path(
        "labels.pdf"
    ),
    png: Annotated[
        bool, typer.Option("--png", help=_("Write each page as an image, too."))
    ] = False,
    lang: LanguageOption = None,
) -> None:
    """Write the files and say which."""
    # Takes longer to import than all the rest, which no other command should wait for.
    from feltpost_tools.labels import drawing

    try:
        if source is None:
            one = label.of_node(mac, name, site=site, room=room, owner=owner, contact=contact)
            labels: tuple[Label, ...] = (one,)
        elif mac or name or site or room or owner:
            raise LabelError(_("Give either a list or one node, not both."))
        else:
            labels = _of_list(source, contact)
        files = {out: drawing.pdf(labels, STOCKS[stock], first)}
        if png:
            for number, image in enumerate(drawing.png(files[out]), 1):
                files[out.with_name(f"{out.stem}-{number}.png")] = image
        _write(files)
    except FeltpostError as error:
        typer.echo(f"feltpost: {error}", err=True)
        sys.exit(2)
    count = len(labels)
    said = several("{count} label: {files}", "{count} labels: {files}", count)
    typer.echo(said.format(count=count, files=", ".join(map(str, files))))


def _of_list(source: Path, contact: str) -> tuple[Label, ...]:
    listed = label.read(source, contact)
    if listed.without_mac:
        lines = ", ".join(map(str, listed.without_mac))
        typer.echo(
            _("No label for nodes that have no board yet (lines {lines}).").format(lines=lines),
            err=True,
        )
    return listed.labels


def _write(files: Mapping[Path, bytes]) -> None:
    for path, content in files.items():
        try:
            path.write_bytes(content)
        except OSError as error:
            raise LabelError(
                _("{file} can't be written: {reason}").format(file=path, reason=error.strerror)
            ) from error
