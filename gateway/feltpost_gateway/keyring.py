"""The OSCORE security contexts of the keys that are valid at this moment.

They follow the registry: a revoked key's context is gone as soon as the revocation is on the
disk, and a new key's is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from feltpost_gateway.registry_rows import Snapshot
from feltpost_gateway.security import NodeContext, Speaker
from feltpost_gateway.transaction import SecurityRow, Transaction


@dataclass(frozen=True)
class Prepared:
    """Contexts as they are to be once the transaction that they were prepared in is committed.

    The row is that of a context to be taken up, None for one that is in use already.
    """

    contexts: tuple[tuple[NodeContext, Speaker, bool, SecurityRow | None], ...]


class KeyRing:
    """The contexts by key id; it belongs to the event loop."""

    def __init__(self) -> None:
        self._contexts: dict[bytes, NodeContext] = {}

    @property
    def contexts(self) -> Mapping[bytes, NodeContext]:
        """The contexts by key id, always those of the present."""
        return self._contexts

    def prepare(self, transaction: Transaction, snapshot: Snapshot) -> Prepared:
        """Reserve what new contexts need; runs on the store's thread and changes nothing here."""
        speakers = {row.id: Speaker(row.id, row.node.name, row.node.urn) for row in snapshot.nodes}
        newest = {key.node_id: key.key_id for key in snapshot.keys}
        older = {key.node_id for key in snapshot.keys if newest[key.node_id] != key.key_id}
        prepared = []
        for key in snapshot.keys:
            speaker = speakers[key.node_id]
            supersedes = key.node_id in older and newest[key.node_id] == key.key_id
            context = self._contexts.get(key.key_id)
            row = None
            if context is None or not context.is_of(key.node_id, key.key):
                context = NodeContext(speaker, key.key_id, key.key)
                row = context.load(transaction)
            prepared.append((context, speaker, supersedes, row))
        return Prepared(tuple(prepared))

    def take(self, prepared: Prepared) -> None:
        """Let these contexts, and no others, be valid from now on."""
        # In place, since the site holds this dictionary.
        self._contexts.clear()
        for context, speaker, supersedes, row in prepared.contexts:
            if row is not None:
                context.start(row)
            context.node = speaker
            context.supersedes = supersedes
            self._contexts[context.recipient_id] = context
