"""`feltpost-gateway nodes`: the registry's nodes and their keys."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from feltpost_gateway import node_csv, tables
from feltpost_gateway.cli_common import ConfigFile, command, errors_shown, operator
from feltpost_gateway.formats.base import iso_time
from feltpost_gateway.nodes import NODE_COLUMNS, OperatorError, make_key
from feltpost_gateway.registry_rows import HistoryKind
from feltpost_gateway.texts import text, translate

app = typer.Typer(help=translate("The nodes and their keys."), no_args_is_help=True)

Json = Any
NodeName = Annotated[
    str, typer.Argument(metavar="NODE", help=translate("Its name, owner/site/name, or address."))
]
_KEY_FILE = typer.Option(
    "--key-file",
    metavar="FILE",
    help=translate(
        "Where the new key is, as JSON with key_id and key. A file that is not there is made, with"
        " a new key, for the node."
    ),
)
Changed = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="COLUMN=TEXT",
        help=translate("A column of the node, as in CSV files; to be repeated."),
    ),
]


@command(app, "list")
def list_nodes(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help=translate("As JSON."))] = False,
) -> None:
    """List the nodes."""
    with errors_shown():
        found = operator(config).call("list-nodes")
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    columns = ("mac", "name", "owner", "site", "room", "kit")
    table = Table(*columns, translate("keys"), translate("kept in"), box=None)
    for node in found:
        keys = " ".join(f"0x{key}" for key in node["key_ids"]) or translate("none, shut out")
        table.add_row(*(node["columns"][name] for name in columns), keys, _kept_in(node))
    tables.console().print(table)


@command(app)
def show(config: ConfigFile, node: NodeName) -> None:
    """Show a node, and what was done to it."""
    with errors_shown():
        found = operator(config).call("show-node", node=node)
    for column, value in found["columns"].items():
        typer.echo(f"{column}: {value}")
    typer.echo(f"{translate('keys')}: {' '.join(f'0x{key}' for key in found['key_ids'])}")
    for key_id in found["mailed_key_ids"]:
        typer.echo(text("the node has yet to fetch and use the key 0x{key_id}", key_id=key_id))
    typer.echo(f"{translate('kept in')}: {_kept_in(found)}")
    for entry in found["history"]:
        typer.echo(_history_line(entry))


@command(app)
def add(
    config: ConfigFile, values: Changed = None, key_file: Annotated[Path | None, _KEY_FILE] = None
) -> None:
    """Add a node; it needs at least mac, name, owner and site."""
    _save(config, values, "new", key_file)


@command(app)
def edit(config: ConfigFile, node: NodeName, values: Changed = None) -> None:
    """Change columns of a node."""
    with errors_shown():
        mac = operator(config).call("show-node", node=node)["columns"]["mac"]
    _save(config, [*(values or []), f"mac={mac}"], "known", None)


@command(app)
def remove(config: ConfigFile, node: NodeName) -> None:
    """Take a node off the list and shut it out; its readings stay."""
    with errors_shown():
        done = operator(config).call("remove-node", node=node)
    typer.echo(
        text("{node} is removed and shut out. Its readings stay; see purge", node=_name(done))
    )
    _tell_of_file(done)


@command(app)
def revoke(config: ConfigFile, node: NodeName) -> None:
    """Shut a node out at once, by taking its keys away."""
    with errors_shown():
        done = operator(config).call("revoke-keys", node=node)
    typer.echo(
        text("{node} is shut out. To let it in again: nodes rotate --key-file", node=_name(done))
    )
    _tell_of_file(done)


@command(app)
def rotate(
    config: ConfigFile, node: NodeName, key_file: Annotated[Path | None, _KEY_FILE] = None
) -> None:
    """Give a node a new key; its old one stays valid until it has used the new one.

    Without a file of its own the node fetches the key itself, under the one that it has.
    """
    access = operator(config)
    with errors_shown():
        if key_file is None:
            done = access.call("mail-key", node=node)
            said = text(
                "{node} will fetch the key 0x{key_id}. Older keys end when it is first used",
                node=_name(done),
                key_id=done["mailed_key_ids"][0],
            )
        else:
            material = _key_material(key_file, access.call("list-nodes"))
            done = access.call("rotate-key", node=node, **material)
            said = text(
                "{node} has the key 0x{key_id} of {file}. Older keys end when it is first used",
                node=_name(done),
                key_id=material["key_id"],
                file=str(key_file),
            )
    typer.echo(said)
    _tell_of_file(done)


@command(app)
def note(
    config: ConfigFile,
    node: NodeName,
    what: Annotated[HistoryKind, typer.Argument(help=translate("What was done."))],
    said: Annotated[str, typer.Option("--note", help=translate("A remark."))] = "",
    day: Annotated[
        datetime | None,
        typer.Option("--at", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help=translate("When, UTC.")),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help=translate("What was calibrated, such as co2."))
    ] = None,
    measured: Annotated[
        float | None, typer.Option(help=translate("What the node measured then."))
    ] = None,
    reference: Annotated[
        float | None, typer.Option(help=translate("What was true, by a reference."))
    ] = None,
) -> None:
    """Note that a node was installed, serviced or calibrated."""
    at_ms = None if day is None else int(day.replace(tzinfo=UTC).timestamp() * 1000)
    with errors_shown():
        operator(config).call(
            "add-history",
            node=node,
            kind=what,
            note=said,
            at_ms=at_ms,
            metric=metric,
            measured=measured,
            reference=reference,
        )


@command(app, "import")
def import_nodes(
    config: ConfigFile,
    file: Annotated[Path, typer.Argument(help=translate("A CSV file, also Excel's."))],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help=translate("Show what would change, and change nothing.")),
    ] = False,
) -> None:
    """Add and change nodes by a CSV file, all of it or nothing; others stay as they are."""
    with errors_shown():
        table = node_csv.read(file.read_bytes())
    with errors_shown(table.lines):
        changes = operator(config).call("save-nodes", rows=table.rows, dry_run=dry_run)
    _show_changes(changes)
    new = sum(change["new"] for change in changes)
    counts = {
        "rows": len(table.rows),
        "new": new,
        "changed": len(changes) - new,
        "same": len(table.rows) - len(changes),
    }
    if dry_run:
        said = text(
            "{rows} rows: {new} would be new, {changed} changed, {same} the same. Nothing was"
            " changed",
            **counts,
        )
    else:
        said = text("{rows} rows: {new} new, {changed} changed, {same} the same", **counts)
    typer.echo(said)


@command(app, "export")
def export_nodes(
    config: ConfigFile,
    file: Annotated[
        Path | None, typer.Argument(help=translate("Where to, or standard output."))
    ] = None,
    excel: Annotated[
        bool, typer.Option("--excel", help=translate("As a Danish Excel opens it rightly."))
    ] = False,
) -> None:
    """Write the nodes, without their keys, to a CSV file that can be imported."""
    with errors_shown():
        found = operator(config).call("list-nodes")
        content = node_csv.write((node["columns"] for node in found), excel=excel)
        if file is not None:
            file.write_bytes(content)
    if file is None:
        typer.echo(content, nl=False)


def _save(config: Path, values: list[str] | None, expect: str, key_file: Path | None) -> None:
    with errors_shown():
        access = operator(config)
        columns = parse_settings(values or [])
        if key_file is not None:
            columns |= _key_material(key_file, access.call("list-nodes"))
        changes = access.call("save-nodes", rows=[columns], expect=expect)
    _show_changes(changes)
    if not changes:
        typer.echo(translate("Nothing is different"))
    elif expect == "new" and key_file is None:
        typer.echo(
            translate("It has no key yet and can't send. Give it one with: nodes rotate --key-file")
        )


def parse_settings(values: list[str]) -> dict[str, str]:
    """Return the columns that `COLUMN=TEXT` arguments set."""
    columns = {}
    for value in values:
        column, equals, content = value.partition("=")
        if not equals:
            raise OperatorError(
                text('"{value}" is not a column and its text, such as room=3.B', value=value)
            )
        columns[column.strip()] = content
    return columns


def _key_material(file: Path, nodes: list[Json]) -> dict[str, str]:
    """Return the key in a file, which is made with a new one where it is not there."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {name: str(content[name]).lower().removeprefix("0x") for name in ("key_id", "key")}
    except FileNotFoundError:
        return _make_key(file, {key for node in nodes for key in node["key_ids"]})
    except (ValueError, KeyError, TypeError):
        raise OperatorError(
            text("{file} is not JSON with key_id and key, both in hexadecimal", file=str(file))
        ) from None


def _make_key(file: Path, taken: set[str]) -> dict[str, str]:
    key_id, key = make_key({bytes.fromhex(known) for known in taken})
    material = {"key_id": key_id.hex(), "key": key.hex()}
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(material, out)
    return material


def _show_changes(changes: list[Json]) -> None:
    for change in changes:
        mark = "+" if change["new"] else "~"
        typer.echo(f"{mark} {change['mac']} {change['name']}")
        for column in NODE_COLUMNS:
            if column in change["columns"] and column != "mac":
                before, after = change["columns"][column]
                typer.echo(
                    f"    {column}: {after}" if not before else f"    {column}: {before} → {after}"
                )
        if change["key"]:
            typer.echo(f"    {translate('a key')}")
        if change["was_in_file"]:
            typer.echo(
                "    "
                + translate("kept in the registry from now on, not in the configuration file")
            )


def _tell_of_file(node: Json) -> None:
    if node["in_file"]:
        typer.echo(
            translate(
                "Its entry in the configuration file has no effect from now on. Take it out there"
            )
        )


def _name(node: Json) -> str:
    columns = node["columns"]
    return f"{columns['owner']}/{columns['site']}/{columns['name']}"


def _kept_in(node: Json) -> str:
    if node["removed"]:
        return translate("nothing, it is removed")
    return translate("the configuration file") if node["in_file"] else translate("the registry")


def _history_line(entry: Json) -> str:
    parts = [iso_time(entry["at_ms"]), translate(entry["kind"])]
    if entry["metric"]:
        parts.append(
            str(
                text(
                    "{metric} {measured} where {reference} was true",
                    metric=entry["metric"],
                    measured="?" if entry["measured"] is None else entry["measured"],
                    reference="?" if entry["reference"] is None else entry["reference"],
                )
            )
        )
    return " ".join([*parts, entry["note"]]).rstrip()
