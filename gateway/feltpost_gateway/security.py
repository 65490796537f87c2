"""OSCORE security contexts (RFC 8613) whose state lives in the store.

One context for each key, with sender id empty (the gateway) and the node's key id as recipient
id. Its replay window is stored with the readings, and its sender sequence numbers come from
blocks that the store has reserved beforehand, so that no nonce is used twice, whatever is cut
when.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import cached_property

from aiocoap import oscore

from feltpost_gateway.request_cipher import RequestCipher
from feltpost_gateway.transaction import SecurityRow, Transaction

_BLOCK_NUMBERS = 64
_REFILL_BELOW = 32
_WINDOW_SIZE = 32
_ECHO_BYTES = 8

# A store that was lost can't say which sender sequence numbers were used. Each key therefore
# starts at a random number; below 2^39, so that as many are left before the 40 bits are full.
_START_BITS = 39


@dataclass(frozen=True)
class Speaker:
    """The node that speaks with a key: its row in the store, its name and its URN."""

    id: int
    name: str
    urn: str


def fingerprint(key: bytes) -> bytes:
    """Return what tells a key from others without giving it away, 8 bytes."""
    return hashlib.sha256(b"feltpost key fingerprint" + key).digest()[:8]


class NodeContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """The gateway's side of one node's security context."""

    alg_aead = oscore.AES_CCM_16_64_128()
    hashfun = oscore.hashfunctions["sha256"]
    id_context: bytes | None = None
    sender_id = b""

    def __init__(self, node: Speaker, key_id: bytes, key: bytes) -> None:
        self.node = node
        self.recipient_id = key_id
        self.derive_keys(b"", key)  # type: ignore[no-untyped-call]
        self.fingerprint = fingerprint(key)
        self.recipient_replay_window = oscore.ReplayWindow(_WINDOW_SIZE, lambda: None)
        self.echo_recovery: bytes | None = secrets.token_bytes(_ECHO_BYTES)
        self.sender_sequence_number = 0
        self._sender_limit = 0
        self.supersedes = False
        """Whether the node has older keys that end when it uses this one."""

    @property
    def node_id(self) -> int:
        """The node's row in the store."""
        return self.node.id

    @cached_property
    def cipher(self) -> RequestCipher:
        """What decrypts ordinary requests without aiocoap."""
        return RequestCipher(self.recipient_id, self.common_iv, self.recipient_key, self.sender_key)

    def is_new(self, number: int) -> bool:
        """Tell whether the replay window says that no request with that number was taken.

        False as well where there is no window yet: that takes an Echo, which is aiocoap's affair.
        """
        window = self.recipient_replay_window
        return bool(window.is_initialized() and window.is_valid(number))

    def is_of(self, node_id: int, key: bytes) -> bool:
        """Tell whether this is the context of that node's key."""
        return self.node.id == node_id and hmac.compare_digest(self.fingerprint, fingerprint(key))

    def load(self, transaction: Transaction) -> SecurityRow:
        """Reserve the first block of sender sequence numbers and return the stored state.

        Runs on the store's thread, before the context is used; `start` takes the result.
        """
        row = transaction.load_security(self.recipient_id, self.fingerprint)
        if row is None:
            row = SecurityRow(
                self.recipient_id, self.fingerprint, None, secrets.randbits(_START_BITS)
            )
        transaction.save_security(
            SecurityRow(
                row.key_id, row.fingerprint, row.window, row.sender_reserved + _BLOCK_NUMBERS
            )
        )
        return row

    def start(self, row: SecurityRow) -> None:
        """Take up the state that `load` returned, once that is committed."""
        self.sender_sequence_number = row.sender_reserved
        self._sender_limit = row.sender_reserved + _BLOCK_NUMBERS
        if row.window is not None:
            index, bits = row.window
            self.recipient_replay_window.initialize_from_persisted(
                {"index": index, "bitfield": bits}
            )
            self.echo_recovery = None

    def snapshot(self) -> SecurityRow:
        """Return what the store must hold before a nonce of the present moment is used.

        Where the block of sender sequence numbers runs low, it reserves the next one as well.
        """
        limit = self._sender_limit
        if limit - self.sender_sequence_number < _REFILL_BELOW:
            limit = min(self.sender_sequence_number + _BLOCK_NUMBERS, oscore.MAX_SEQNO)
        window = None
        if self.recipient_replay_window.is_initialized():
            state = self.recipient_replay_window.persist()
            window = (state["index"], state["bitfield"])
        return SecurityRow(self.recipient_id, self.fingerprint, window, limit)

    def committed(self, row: SecurityRow) -> None:
        """Note that a `snapshot` is on the disk."""
        self._sender_limit = max(self._sender_limit, row.sender_reserved)
        if row.window is not None:
            self.echo_recovery = None

    @property
    def has_sender_numbers(self) -> bool:
        """Whether a message can go out with a Partial IV of the gateway's own."""
        return self.sender_sequence_number < self._sender_limit

    def new_sequence_number(self) -> int:
        """Return a sender sequence number never returned before, for aiocoap.

        Raises aiocoap's `ContextUnavailable` where none is reserved.
        """
        if not self.has_sender_numbers:
            raise oscore.ContextUnavailable("no reserved sender sequence number is left")
        number = self.sender_sequence_number
        self.sender_sequence_number += 1
        return number

    def post_seqnoincrease(self) -> None:
        """Do nothing: the number was reserved in the store beforehand."""
