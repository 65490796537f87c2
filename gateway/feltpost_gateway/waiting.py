"""What nodes are told while the store can't be opened: wait, and keep your readings.

Without the store it is not known which sender sequence numbers are free, nor which requests came
before. Every authentic request therefore gets the same 5.03, byte for byte, with a Partial IV
drawn at random from a range that reserved numbers do not reach. Were one drawn twice, it would
protect the same text twice, which tells an observer nothing that he did not know.
"""

import secrets

from aiocoap import oscore

from feltpost_gateway.config import NodeConfig
from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.ingest import Answer, Request
from feltpost_gateway.security import NodeContext, Speaker

# Reserved numbers start below 2^39 (security.py) and would have to grow by 2^38 to get here.
_PARTIAL_IV_START = 3 << 38
_PARTIAL_IV_COUNT = oscore.MAX_SEQNO - _PARTIAL_IV_START

_NO_ROW = 0


class WaitingContext(NodeContext):
    """A node's security context without a store; it protects nothing but the one refusal."""

    def __init__(self, node: NodeConfig) -> None:
        speaker = Speaker(_NO_ROW, node.name, node.urn)
        super().__init__(speaker, node.key_id, node.key.get_secret_value())
        self.recipient_replay_window.initialize_empty()
        self.echo_recovery = None

    @property
    def has_sender_numbers(self) -> bool:
        """Whether a message can go out with a Partial IV of the gateway's own: always."""
        return True

    def new_sequence_number(self) -> int:
        """Return a sender sequence number from the range kept for this."""
        return _PARTIAL_IV_START + secrets.randbelow(_PARTIAL_IV_COUNT)


async def refuse(_context: NodeContext, _request: Request) -> Answer:
    """Handle any request by refusing it."""
    raise StoreUnavailableError("the store can't be opened")
