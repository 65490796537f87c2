"""The registry of the running gateway: nodes, keys, owners and publication classes.

The store has it; this keeps a copy in memory for the forwarders, and the security contexts that
follow from the keys. Every change is one commit, after which the copy is read anew.

`[[nodes]]` of the configuration file are taken in at each start. A node is kept up in one place:
in the file until an operator changes it here, then here, and its entry in the file is passed over
with a warning. A node that was taken out of the file loses its keys.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from feltpost_gateway.clock import Clock
from feltpost_gateway.config import NodeConfig
from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.formats.base import NodeDescription
from feltpost_gateway.keyring import KeyRing, Prepared
from feltpost_gateway.logs import EventLog
from feltpost_gateway.nodes import (
    ALL_METRICS,
    Node,
    OperatorError,
    Owner,
    format_mac,
)
from feltpost_gateway.publication import Publication
from feltpost_gateway.registry_rows import (
    DeclaredIn,
    NodeKey,
    RegisteredNode,
    RegistryRows,
    Snapshot,
)
from feltpost_gateway.security import NodeContext
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Transaction

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Done:
    """What a change came to, and the registry after it."""

    result: object
    snapshot: Snapshot
    prepared: Prepared


class Registry:
    """The registry in `store`; every method belongs to the event loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._log = EventLog("registry")
        self._keys = KeyRing()
        self._lock = asyncio.Lock()
        self._on_change: list[Callable[[], None]] = []
        self._snapshot = Snapshot((), (), (), {})
        self._nodes: dict[int, RegisteredNode] = {}
        self._classes: dict[int, dict[str, Publication]] = {}

    async def open(self, declared: Sequence[NodeConfig] = ()) -> None:
        """Read the registry, after taking the configuration file's nodes in.

        Raises `StoreUnavailableError` where the store can't be written to.
        """
        for event, node, reason in await self.change(
            lambda rows: _take_file(rows, declared, self._clock.now_ms())
        ):
            self._log.warning(event, node=node, reason=reason)

    @property
    def contexts(self) -> Mapping[bytes, NodeContext]:
        """The security contexts by key id, always those of the present."""
        return self._keys.contexts

    @property
    def nodes(self) -> tuple[RegisteredNode, ...]:
        """All nodes that were not removed."""
        return tuple(row for row in self._snapshot.nodes if not row.removed)

    @property
    def removed_nodes(self) -> tuple[RegisteredNode, ...]:
        """The nodes that were removed and not purged."""
        return tuple(row for row in self._snapshot.nodes if row.removed)

    @property
    def owners(self) -> tuple[Owner, ...]:
        """The owners whose contact is known."""
        return self._snapshot.owners

    @property
    def classes(self) -> Mapping[str, Publication]:
        """The classes of metrics wherever a node says nothing else."""
        return self._snapshot.classes

    @property
    def keys(self) -> tuple[NodeKey, ...]:
        """The valid keys of all nodes, the oldest first."""
        return self._snapshot.keys

    def keys_of(self, node_id: int) -> tuple[NodeKey, ...]:
        """Return a node's valid keys, the oldest first."""
        return tuple(key for key in self._snapshot.keys if key.node_id == node_id)

    def describe(self, node_id: int) -> NodeDescription | None:
        """Return what is known of a node, also of a removed one; None where nothing is."""
        row = self._nodes.get(node_id)
        return None if row is None else row.node.describe()

    def publication_class(self, metric: str, node_id: int) -> Publication:
        """Return the class of a node's readings of a metric; `co2.hall` has that of `co2`."""
        return class_of(self._classes.get(node_id), self._snapshot.classes, metric)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` run on the event loop after each change."""
        self._on_change.append(callback)

    async def change(
        self, operation: Callable[[RegistryRows], Result], *, dry_run: bool = False
    ) -> Result:
        """Change the registry in one commit and return what `operation` did once it counts.

        The operation may run twice, as with `Store.write`. Nothing of it stays in a dry run, nor
        where it raises `OperatorError`, which is raised here.
        """

        def run(transaction: Transaction) -> _Done | OperatorError:
            database = transaction.connection
            rows = RegistryRows(database)
            database.execute("SAVEPOINT change")
            try:
                result: object = operation(rows)
            except OperatorError as error:
                database.execute("ROLLBACK TO change")
                return error
            finally:
                if dry_run:
                    database.execute("ROLLBACK TO change")
                database.execute("RELEASE change")
            snapshot = rows.load()
            return _Done(result, snapshot, self._keys.prepare(transaction, snapshot))

        async with self._lock:
            done = await self._store.write(run)
            if isinstance(done, OperatorError):
                raise done
            self._take(done)
        result: Result = done.result  # type: ignore[assignment]
        return result

    async def key_used(self, context: NodeContext) -> None:
        """Take away the keys that a node had before the one that it has just used."""
        context.supersedes = False
        node_id, key_id = context.node.id, context.recipient_id
        try:
            await self.change(lambda rows: rows.revoke_keys(node_id, but=key_id))
        except StoreUnavailableError as error:
            context.supersedes = True
            self._log.limited(
                (node_id,), "old-key-still-valid", node=context.node.name, reason=error
            )
        else:
            self._log.info("key-rotated", node=context.node.name, key_id=key_id.hex())

    def _take(self, done: _Done) -> None:
        self._snapshot = done.snapshot
        self._nodes = {row.id: row for row in done.snapshot.nodes}
        self._classes = {row.id: dict(row.node.classes) for row in done.snapshot.nodes}
        self._keys.take(done.prepared)
        for callback in self._on_change:
            callback()


def class_of(
    own: Mapping[str, Publication] | None,
    general: Mapping[str, Publication],
    metric: str,
) -> Publication:
    """Return the class of a channel or metric, by the node's own classes and then by all nodes'.

    `own` is None for a node that nobody knows; what it measured is nobody's to publish.
    """
    if own is None:
        return Publication.PRIVATE
    name = metric.partition(".")[0]
    found = own.get(name) or own.get(ALL_METRICS) or general.get(name)
    return found or Publication.INTERNAL


def _take_file(
    rows: RegistryRows, declared: Sequence[NodeConfig], now_ms: int
) -> list[tuple[str, str, str]]:
    """Take the configuration file's nodes in; return warnings as event, node and reason."""
    warnings = []
    for entry in declared:
        known = rows.find(entry.eui64)
        if known is not None and known.declared_in is DeclaredIn.REGISTRY:
            reason = "the registry keeps this node; its entry in the file has no effect"
            warnings.append(("file-entry-passed-over", entry.name, reason))
            continue
        try:
            _take_entry(rows, entry, now_ms)
        except OperatorError as error:
            warnings.append(("file-entry-not-taken", entry.name, str(error)))
    in_file = {entry.eui64 for entry in declared}
    for row in rows.load().nodes:
        gone = row.declared_in is DeclaredIn.FILE and row.node.eui64 not in in_file
        if gone and not row.removed:
            rows.remove_node(row.id)
            reason = f"{format_mac(row.node.eui64)} is not in the file any more"
            warnings.append(("node-removed", row.node.name, reason))
    try:
        rows.check_names()
    except OperatorError as error:
        warnings.append(("two-nodes-of-one-name", "", str(error)))
    return warnings


def _take_entry(rows: RegistryRows, entry: NodeConfig, now_ms: int) -> None:
    node = Node(
        eui64=entry.eui64,
        name=entry.name,
        owner=entry.owner,
        site=entry.site,
        setting=entry.setting,
        room=entry.room,
        position=entry.position,
        classes=tuple(sorted(entry.classes.items())),
    )
    node_id = rows.save_node(node, DeclaredIn.FILE)
    key = entry.key.get_secret_value()
    if [(k.key_id, k.key) for k in rows.keys_of(node_id)] != [(entry.key_id, key)]:
        rows.revoke_keys(node_id)
        rows.add_key(node_id, entry.key_id, key, now_ms)
