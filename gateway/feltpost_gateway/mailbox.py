"""What waits at the gateway for a node to fetch it: at present, a new key.

Mail follows from the registry, so that it outlasts a restart, and is gone with the commit that
ends the older key. A node gets its mail under the key that it speaks with, and nobody else's.
"""

import cbor2

from feltpost_gateway.registry import Registry
from feltpost_gateway.registry_rows import NodeKey
from feltpost_gateway.security import NodeContext

# Of the mail map; further keys are for what may wait here besides (docs/protocol.md).
_NEW_KEY = 0

_KEY_ID = 0
_KEY = 1


class Mailbox:
    """The mail of all nodes in `registry`; it belongs to the event loop."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._new_keys: dict[bytes, NodeKey] = {}
        registry.on_change(self._fill)

    def waits(self, context: NodeContext) -> bool:
        """Tell whether there is mail for the node that speaks with this key."""
        return self._new_key(context) is not None

    def read(self, context: NodeContext) -> bytes:
        """Return the mail map in CBOR, empty where nothing waits; it has the key in clear."""
        new = self._new_key(context)
        return cbor2.dumps({} if new is None else {_NEW_KEY: {_KEY_ID: new.key_id, _KEY: new.key}})

    def _fill(self) -> None:
        """Note the new keys by the ids of those under which they are fetched."""
        keys = self._registry.keys
        newest = {key.node_id: key for key in keys}
        self._new_keys = {
            key.key_id: newest[key.node_id]
            for key in keys
            if newest[key.node_id].mailed and newest[key.node_id] is not key
        }

    def _new_key(self, context: NodeContext) -> NodeKey | None:
        new = self._new_keys.get(context.recipient_id)
        # A request may be under way while its key is taken away and the key id given to another.
        return new if new is not None and new.node_id == context.node_id else None
