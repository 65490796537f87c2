"""AES-CCM-16-64-128 for requests of one key, and for answers under a request's own nonce.

This is RFC 8613 sections 5.2 to 5.4 for the one form that ordinary requests have: no id context,
no group, no options that are authenticated without being encrypted. aiocoap derives the keys.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

_TAG_BYTES = 8
_NONCE_BYTES = 13
_PARTIAL_IV_BYTES = 5
_KEY_ID_BYTES = 7

# CBOR: the array ["Encrypt0", h'', external_aad]; and within the last, as bytes, the array
# [1 (the version), [10 (the algorithm)], request_kid, request_piv, h'' (class I options)].
_ENCRYPT0 = b"\x83\x68Encrypt0\x40"
_VERSION_AND_ALGORITHM = b"\x85\x01\x81\x0a"
_BYTES = 0x40
_NO_OPTIONS = b"\x40"


class Binding(NamedTuple):
    """What a request and its answer have in common: nonce and additional authenticated data."""

    nonce: bytes
    aad: bytes


class RequestCipher:
    """Decrypts what the holder of `key_id` asks and encrypts the answers; keys have 16 bytes.

    Whether a request was seen before, and whether its nonce may be used for an answer, is for the
    caller to know.
    """

    def __init__(
        self, key_id: bytes, common_iv: bytes, recipient_key: bytes, sender_key: bytes
    ) -> None:
        self._recipient = AESCCM(recipient_key, _TAG_BYTES)
        self._sender = AESCCM(sender_key, _TAG_BYTES)
        padded = bytes((len(key_id),)) + key_id.rjust(_KEY_ID_BYTES, b"\0")
        self._nonce = int.from_bytes(common_iv, "big") ^ int.from_bytes(
            padded + bytes(_PARTIAL_IV_BYTES), "big"
        )
        self._aad = _VERSION_AND_ALGORITHM + bytes((_BYTES | len(key_id),)) + key_id

    def bind(self, partial_iv: bytes) -> Binding:
        """Return what the request with that Partial IV, 1 to 5 bytes, is encrypted under."""
        nonce = self._nonce ^ int.from_bytes(partial_iv, "big")
        external = self._aad + bytes((_BYTES | len(partial_iv),)) + partial_iv + _NO_OPTIONS
        aad = _ENCRYPT0 + bytes((_BYTES | len(external),)) + external
        return Binding(nonce.to_bytes(_NONCE_BYTES, "big"), aad)

    def decrypt(self, binding: Binding, ciphertext: bytes) -> bytes | None:
        """Return what a request says, None where it is not authentic."""
        try:
            return self._recipient.decrypt(binding.nonce, ciphertext, binding.aad)
        except InvalidTag:
            return None

    def encrypt(self, binding: Binding, plaintext: bytes) -> bytes:
        """Return the ciphertext of an answer; no two may be encrypted under the same binding."""
        return self._sender.encrypt(binding.nonce, plaintext, binding.aad)
