"""What operators can ask of the registry and the destinations, as it crosses the control socket.

Each command takes and returns JSON values. The service answers them over the socket; without a
service the command line carries them out itself (`operator_access`).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from feltpost_gateway import nodes
from feltpost_gateway.clock import Clock
from feltpost_gateway.delivery import drop_dead_letters, places, refusing
from feltpost_gateway.logs import EventLog
from feltpost_gateway.nodes import (
    NODE_COLUMNS,
    FieldsError,
    OperatorError,
    format_mac,
    node_from_columns,
    node_to_columns,
    owner_from_columns,
    owner_to_columns,
    parse_class,
    parse_key,
    parse_key_id,
    parse_mac,
    parse_metric,
)
from feltpost_gateway.purge import purge
from feltpost_gateway.registry import Registry
from feltpost_gateway.registry_rows import (
    DeclaredIn,
    HistoryEntry,
    HistoryKind,
    RegisteredNode,
    RegistryRows,
)
from feltpost_gateway.store import Store
from feltpost_gateway.texts import Text, text

Json = Any
Retry = Callable[[str], Awaitable[int]]
"""Has a destination get once more what it refused; raises `KeyError` where there is none."""

Command = Callable[..., Awaitable[Json]]

Expect = Literal["new", "known", "either"]

_SECRETS = ("key_id", "key")


@dataclass(frozen=True)
class RowFault:
    """What is wrong with a row: its index among the rows given, the column or "", and the fault."""

    row: int
    column: str
    text: Text


class RowsError(OperatorError):
    """Some rows of nodes can't be taken, so none was."""

    def __init__(self, faults: list[RowFault]) -> None:
        super().__init__(faults[0].text)
        self.faults = faults


class Commands:
    """Carries commands out; `call` finds them by name, those of `others` too."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        clock: Clock,
        retry: Retry,
        others: Mapping[str, Command] | None = None,
    ) -> None:
        self._registry = registry
        self._retry = retry
        self._store = store
        self._clock = clock
        self._log = EventLog("registry")
        self._commands: dict[str, Command] = {
            **(others or {}),
            "list-nodes": self.list_nodes,
            "show-node": self.show_node,
            "save-nodes": self.save_nodes,
            "remove-node": self.remove_node,
            "revoke-keys": self.revoke_keys,
            "rotate-key": self.rotate_key,
            "mail-key": self.mail_key,
            "add-history": self.add_history,
            "purge-node": self.purge_node,
            "list-owners": self.list_owners,
            "save-owner": self.save_owner,
            "remove-owner": self.remove_owner,
            "list-classes": self.list_classes,
            "set-class": self.set_class,
            "retry-refused": self.retry_refused,
            "drop-refused": self.drop_refused,
        }

    async def call(self, name: str, arguments: dict[str, Json]) -> Json:
        """Carry out the command `name`.

        Raises `OperatorError` where it can't be done, `StoreUnavailableError` where the store does
        not let it.
        """
        command = self._commands.get(name)
        if command is None:
            raise OperatorError(
                text("the running gateway has no command {name}. Restart it", name=name)
            )
        return await command(**arguments)

    async def list_nodes(self) -> Json:
        """Return the nodes."""
        return [self._summary(row) for row in self._registry.nodes]

    async def show_node(self, node: str) -> Json:
        """Return a node, also one that was removed, and what was done to it."""
        row = self._find(node, removed=True)
        history = await self._store.read(
            lambda connection: RegistryRows(connection).history_of(row.id)
        )
        return {**self._summary(row), "history": [asdict(entry) for entry in history]}

    async def save_nodes(
        self, rows: list[dict[str, str]], expect: Expect = "either", dry_run: bool = False
    ) -> Json:
        """Add or change nodes, all or none; return what is different.

        A row has the column `mac`, those that are to change, and for a node without a key `key_id`
        and `key`. `expect` says whether the nodes must be new or known.
        """
        now_ms = self._clock.now_ms()

        def save(registry: RegistryRows) -> list[Json]:
            changes = []
            faults = []
            for index, columns in enumerate(rows):
                try:
                    change = _save_node(registry, columns, expect, now_ms)
                except FieldsError as error:
                    faults += [RowFault(index, fault.column, fault.text) for fault in error.faults]
                except OperatorError as error:
                    faults.append(RowFault(index, "", error.text))
                else:
                    changes += [change] if change is not None else []
            faults += _repeated(rows)
            if faults:
                raise RowsError(sorted(faults, key=lambda fault: fault.row))
            registry.check_names()
            return changes

        changes = await self._registry.change(save, dry_run=dry_run)
        if not dry_run:
            for change in changes:
                event = "node-added" if change["new"] else "node-changed"
                fields = " ".join([*change["columns"], *(["key"] if change["key"] else [])])
                self._log.info(event, mac=change["mac"], columns=fields)
        return changes

    async def remove_node(self, node: str) -> Json:
        """Take a node off the list, and its keys away; its readings stay."""
        row = self._find(node)
        await self._keep_here(row, partial(RegistryRows.remove_node, node_id=row.id))
        self._log.info("node-removed", mac=format_mac(row.node.eui64))
        return self._summary(row)

    async def revoke_keys(self, node: str) -> Json:
        """Take a node's keys away, which shuts it out at once."""
        row = self._find(node)
        await self._keep_here(row, partial(RegistryRows.revoke_keys, node_id=row.id))
        self._log.info("keys-revoked", mac=format_mac(row.node.eui64))
        return self._summary(row)

    async def rotate_key(self, node: str, key_id: str, key: str) -> Json:
        """Give a node a new key; the one that it has stays valid until it has used the new one."""
        row = self._find(node)
        new_id, new_key, now_ms = parse_key_id(key_id), parse_key(key), self._clock.now_ms()
        await self._keep_here(row, lambda rows: rows.supersede_key(row.id, new_id, new_key, now_ms))
        self._log.info("key-added", mac=format_mac(row.node.eui64), key_id=new_id.hex())
        return self._summary(self._find(node))

    async def mail_key(self, node: str) -> Json:
        """Make a new key for a node and leave it in its mailbox; else as `rotate_key`."""
        row = self._find(node)
        if not self._registry.keys_of(row.id):
            raise OperatorError(
                text(
                    "{node} has no key under which it could fetch a new one. Give it one with:"
                    " nodes rotate --key-file",
                    node=row.node.path,
                )
            )
        key_id, key = nodes.make_key({known.key_id for known in self._registry.keys})
        now_ms = self._clock.now_ms()

        def rotate(rows: RegistryRows) -> None:
            rows.supersede_key(row.id, key_id, key, now_ms)
            rows.mail_key(row.id, key_id)

        await self._keep_here(row, rotate)
        self._log.info("key-mailed", mac=format_mac(row.node.eui64), key_id=key_id.hex())
        return self._summary(self._find(node))

    async def add_history(
        self,
        node: str,
        kind: str,
        note: str = "",
        at_ms: int | None = None,
        metric: str | None = None,
        measured: float | None = None,
        reference: float | None = None,
    ) -> Json:
        """Note what was done to a node, now unless a time is given."""
        row = self._find(node)
        if metric is not None:
            parse_metric(metric)
        entry = HistoryEntry(
            self._clock.now_ms() if at_ms is None else at_ms,
            HistoryKind(kind),
            nodes.normalise(note),
            metric,
            measured,
            reference,
        )
        await self._registry.change(lambda rows: rows.add_history(row.id, entry))
        return self._summary(row)

    async def purge_node(self, node: str) -> Json:
        """Remove a node with all that the store has of it; return what went."""
        row = self._find(node, removed=True)
        purged = await purge(self._registry, self._store, row.id)
        self._log.warning("purged", mac=format_mac(row.node.eui64), **asdict(purged))
        return {**self._summary(row), "purged": asdict(purged)}

    async def retry_refused(self, destination: str) -> Json:
        """Send a destination once more what it refused; return how many messages that are."""
        try:
            messages = await self._retry(destination)
        except KeyError:
            known = await self._store.read(places)
            raise _no_destination(destination, known) from None
        self._log.info("refused-retried", destination=destination, messages=messages)
        return messages

    async def drop_refused(self, destination: str) -> Json:
        """Give up what a destination, or one that was, refused; return how many messages."""
        known = await self._store.read(lambda reader: {*places(reader), *refusing(reader)})
        if destination not in known:
            raise _no_destination(destination, known)
        messages = await self._store.write(
            lambda transaction: drop_dead_letters(transaction.connection, destination)
        )
        self._log.warning("refused-dropped", destination=destination, messages=messages)
        return messages

    async def list_owners(self) -> Json:
        """Return the owners."""
        return [owner_to_columns(owner) for owner in self._registry.owners]

    async def save_owner(self, columns: dict[str, str]) -> Json:
        """Add or change an owner; columns that are not given stay."""
        known = {owner.name: owner_to_columns(owner) for owner in self._registry.owners}
        owner = owner_from_columns({**known.get(columns.get("name", ""), {}), **columns})
        await self._registry.change(lambda rows: rows.save_owner(owner))
        self._log.info("owner-saved", owner=owner.name)
        return owner_to_columns(owner)

    async def remove_owner(self, name: str) -> Json:
        """Forget an owner's contact and licence."""
        if not await self._registry.change(lambda rows: rows.remove_owner(name)):
            raise OperatorError(text("there is no owner {name}", name=name))
        self._log.info("owner-removed", owner=name)
        return name

    async def list_classes(self) -> Json:
        """Return the publication classes of metrics."""
        return dict(self._registry.classes)

    async def set_class(self, metric: str, name: str) -> Json:
        """Set the class of a metric wherever a node says nothing else."""
        parse_metric(metric)
        chosen = parse_class(name)
        await self._registry.change(lambda rows: rows.save_class(metric, chosen))
        self._log.info("class-set", metric=metric, publication=chosen)
        return dict(self._registry.classes)

    async def _keep_here(
        self, row: RegisteredNode, operation: Callable[[RegistryRows], object]
    ) -> None:
        def run(rows: RegistryRows) -> None:
            rows.take_over(row.id)
            operation(rows)

        await self._registry.change(run)

    def _summary(self, row: RegisteredNode) -> dict[str, Json]:
        keys = self._registry.keys_of(row.id)
        return {
            "columns": node_to_columns(row.node),
            "key_ids": [key.key_id.hex() for key in keys],
            "mailed_key_ids": [key.key_id.hex() for key in keys if key.mailed],
            "in_file": row.declared_in is DeclaredIn.FILE,
            "removed": row.removed,
        }

    def _find(self, reference: str, removed: bool = False) -> RegisteredNode:
        """Return the node by address, URN, name, or owner/site/name, else perhaps a removed one."""
        found = [row for row in self._registry.nodes if nodes.is_called(row.node, reference)]
        if not found and removed:
            found = [
                row for row in self._registry.removed_nodes if nodes.is_called(row.node, reference)
            ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise OperatorError(
                text("there is no node {name}. Give its name or its address", name=reference)
            )
        raise OperatorError(
            text(
                "there is more than one node {name}: {paths}. Write one of these instead",
                name=reference,
                paths=", ".join(row.node.path for row in found),
            )
        )


def _no_destination(name: str, known: Iterable[str]) -> OperatorError:
    names = ", ".join(sorted(known))
    if not names:
        return OperatorError(text("there is no destination {name}, nor any other", name=name))
    return OperatorError(
        text("there is no destination {name}; there are: {names}", name=name, names=names)
    )


def _save_node(
    registry: RegistryRows, columns: dict[str, str], expect: Expect, now_ms: int
) -> Json | None:
    """Store one row; return what is different, None where nothing is."""
    unknown = sorted(columns.keys() - {*NODE_COLUMNS, *_SECRETS})
    if unknown:
        raise FieldsError([nodes.FieldFault(unknown[0], text("is not a column of nodes"))])
    row = registry.find(_mac(columns))
    known = row is not None and not row.removed
    if known and expect == "new":
        raise OperatorError(text("is in the registry already. Change it with: nodes edit"))
    if not known and expect == "known":
        raise OperatorError(text("is not in the registry. Add it with: nodes add"))
    before = node_to_columns(row.node) if row is not None and known else dict.fromkeys(columns, "")
    given = {column: value for column, value in columns.items() if column not in _SECRETS}
    node = node_from_columns({**before, **given})
    after = node_to_columns(node)
    different = {
        column: [before.get(column, ""), after[column]]
        for column in NODE_COLUMNS
        if before.get(column, "") != after[column]
    }
    node_id = row.id if row is not None else None
    if different or not known:
        node_id = registry.save_node(node, DeclaredIn.REGISTRY)
    assert node_id is not None
    new_key = _save_key(registry, node_id, columns, now_ms)
    if not different and not new_key:
        return None
    registry.take_over(node_id)
    return {
        "mac": after["mac"],
        "name": node.name,
        "new": not known,
        "columns": different,
        "key": new_key,
        "was_in_file": row is not None and known and row.declared_in is DeclaredIn.FILE,
    }


def _mac(columns: dict[str, str]) -> bytes:
    try:
        return parse_mac(nodes.normalise(columns.get("mac", "")))
    except OperatorError as error:
        raise FieldsError([nodes.FieldFault("mac", error.text)]) from None


def _save_key(registry: RegistryRows, node_id: int, columns: dict[str, str], now_ms: int) -> bool:
    """Store the key in a row, if one is there and new; return whether that was so."""
    given = {column: nodes.normalise(columns.get(column, "")) for column in _SECRETS}
    if not given["key_id"] and not given["key"]:
        return False
    faults = []
    parsed: dict[str, bytes] = {}
    for column, parse in (("key_id", parse_key_id), ("key", parse_key)):
        try:
            parsed[column] = parse(given[column]) if given[column] else b""
        except OperatorError as error:
            faults.append(nodes.FieldFault(column, error.text))
    if faults:
        raise FieldsError(faults)
    keys = registry.keys_of(node_id)
    if not parsed["key"]:
        if parsed["key_id"] in [key.key_id for key in keys]:
            return False
        raise FieldsError([nodes.FieldFault("key", text("is empty; a new key id needs a key"))])
    if not parsed["key_id"]:
        raise FieldsError([nodes.FieldFault("key_id", text("is empty; a key needs a key id"))])
    if (parsed["key_id"], parsed["key"]) in [(key.key_id, key.key) for key in keys]:
        return False
    if keys:
        fault = text("would replace the node's key. Change it with: nodes rotate")
        raise FieldsError([nodes.FieldFault("key", fault)])
    registry.add_key(node_id, parsed["key_id"], parsed["key"], now_ms)
    return True


def _repeated(rows: Iterable[dict[str, str]]) -> list[RowFault]:
    seen: dict[bytes, int] = {}
    faults = []
    for index, columns in enumerate(rows):
        try:
            eui64 = _mac(columns)
        except OperatorError:
            continue
        if seen.setdefault(eui64, index) != index:
            faults.append(RowFault(index, "mac", text("is in an earlier row already")))
    return faults
