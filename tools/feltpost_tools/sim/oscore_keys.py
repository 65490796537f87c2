"""Both ends of a node's OSCORE security context, by aiocoap, without any storage."""

from typing import Any

from aiocoap import oscore
from aiocoap.message import Message

# The gateway's own sender id (docs/protocol.md, "Identity and keys").
_GATEWAY_ID = b""
_WINDOW = 32


class NodeKeys(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """The node's side of a security context."""

    alg_aead = oscore.AES_CCM_16_64_128()
    hashfun = oscore.hashfunctions["sha256"]
    id_context: bytes | None = None
    recipient_id = _GATEWAY_ID
    echo_recovery = None

    def __init__(self, key_id: bytes, key: bytes, sequence_number: int = 0) -> None:
        """key: the OSCORE master secret."""
        self.sender_id = key_id
        self.derive_keys(b"", key)  # type: ignore[no-untyped-call]
        self.recipient_replay_window = oscore.ReplayWindow(_WINDOW, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.sender_sequence_number = sequence_number

    def post_seqnoincrease(self) -> None:
        """Store nothing."""

    def read(self, answer: Message, request_id: Any) -> Message:
        """Return the plain answer to the request that request_id came with.

        Raises aiocoap.oscore.ProtectionInvalid or NotAProtectedMessage where it is none.
        """
        plain: Message
        plain, _ = self.unprotect(answer, request_id)  # type: ignore[no-untyped-call]
        return plain


class _AnyNumber:
    # A replay window that takes a number as often as it comes.

    def is_initialized(self) -> bool:
        return True

    def is_valid(self, _: int) -> bool:
        return True

    def strike_out(self, _: int) -> None:
        pass


class RequestReader(oscore.CanUnprotect, oscore.SecurityContextUtils):
    """Reads what a node sends, as the gateway does, retransmissions included."""

    alg_aead = NodeKeys.alg_aead
    hashfun = NodeKeys.hashfun
    id_context = None
    sender_id = _GATEWAY_ID
    echo_recovery = None

    def __init__(self, key_id: bytes, key: bytes) -> None:
        """key: the OSCORE master secret."""
        self.recipient_id = key_id
        self.derive_keys(b"", key)  # type: ignore[no-untyped-call]
        self.recipient_replay_window = _AnyNumber()

    def read(self, request: Message) -> tuple[Message, Any]:
        """Return the plain request, and what its answer is unprotected with.

        Raises aiocoap.oscore.ProtectionInvalid or NotAProtectedMessage where it is not the node's.
        """
        plain, request_id = self.unprotect(request)  # type: ignore[no-untyped-call]
        return plain, request_id
