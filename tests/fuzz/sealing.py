"""OSCORE (RFC 8613) by hand for one node's requests, so that what is sealed may be anything."""

from __future__ import annotations

from dataclasses import dataclass

import cbor2
from aiocoap import Message, oscore
from aiocoap.numbers import codes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from tests.support.node import NodeKeys

_TAG_BYTES = 8
_NONCE_BYTES = 13
_KEY_ID_BYTES = 7
_AES_CCM_16_64_128 = 10


@dataclass(frozen=True)
class Request:
    """A sealed request: its OSCORE option's value, its Partial IV, and the ciphertext."""

    option: bytes
    partial_iv: bytes
    ciphertext: bytes

    def datagram(self, message_id: int, token: bytes = b"") -> bytes:
        """An ordinary message with it."""
        head = bytes((0x40 | len(token), codes.POST)) + message_id.to_bytes(2, "big") + token
        return head + bytes((0x90 | len(self.option),)) + self.option + b"\xff" + self.ciphertext


class Sealer:
    """Seals requests under `keys`, each with a number of its own."""

    def __init__(self, keys: NodeKeys) -> None:
        self._keys = keys
        self._number = 0

    def seal(self, plain: bytes) -> Request:
        """Encrypt what a request says: code, options and payload."""
        self._number += 1
        kid = self._keys.sender_id
        piv = self._number.to_bytes((self._number.bit_length() + 7) // 8, "big")
        padded = bytes((len(kid),)) + kid.rjust(_KEY_ID_BYTES, b"\0")
        number = int.from_bytes(padded, "big") << 40 | self._number
        nonce = (int.from_bytes(self._keys.common_iv, "big") ^ number).to_bytes(_NONCE_BYTES, "big")
        external = cbor2.dumps([1, [_AES_CCM_16_64_128], kid, piv, b""])
        associated = cbor2.dumps(["Encrypt0", b"", external])
        sealed = AESCCM(self._keys.sender_key, _TAG_BYTES).encrypt(nonce, plain, associated)
        return Request(bytes((8 | len(piv),)) + piv + kid, piv, sealed)

    def open(self, answer: Message, request: Request) -> Message:
        """Decrypt an answer with aiocoap; what has no OSCORE option comes back as it is."""
        if answer.opt.oscore is None:
            return answer
        bound = oscore.RequestIdentifiers(
            self._keys.sender_id,
            request.partial_iv,
            can_reuse_nonce=True,
            request_code=codes.POST,
        )
        plain, _ = self._keys.unprotect(answer, bound)
        return plain
