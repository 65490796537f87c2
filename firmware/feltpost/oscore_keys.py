"""The keys and nonces that an OSCORE Context needs, derived from a master secret (RFC 8613, 3.2).

Of use while the node starts, and not in memory after that.
"""

import hashlib

from micropython import const

from . import cbor, ccm

# COSE's number of AES-CCM-16-64-128 (RFC 9053 table 5).
_ALGORITHM = const(10)
_KEY_BYTES = const(16)
_MOST_ID_BYTES = const(7)

_HASH_BLOCK = const(64)


class Keys:
    """HKDF-SHA-256 of a master secret and salt. id_context: bytes or None. ValueError for a secret
    or salt that is too long.
    """

    def __init__(self, master_secret, master_salt, id_context):
        self._id_context = id_context
        self._random_key = _hmac(master_salt, master_secret)
        self._common_iv = self._derive(b"", "IV", ccm.NONCE_BYTES)

    def key(self, owner_id):
        """Return the key of what that party sends."""
        return self._derive(owner_id, "Key", _KEY_BYTES)

    def iv(self, owner_id):
        """Return the part of the nonce that is the same in all of that party's messages."""
        # RFC 8613 section 5.2.
        iv = bytearray(self._common_iv)
        iv[0] ^= len(owner_id)
        start = 1 + _MOST_ID_BYTES - len(owner_id)
        for i, byte in enumerate(owner_id):
            iv[start + i] ^= byte
        return iv

    def _derive(self, owner_id, kind, length):
        # RFC 8613 section 3.2.1. One round of HKDF-Expand gives all the bytes that are needed.
        info = cbor.Encoder(bytearray(96))
        info.array(5)
        info.bytes(owner_id)
        if self._id_context is None:
            info.null()
        else:
            info.bytes(self._id_context)
        info.int(_ALGORITHM)
        info.text(kind)
        info.int(length)
        return _hmac(self._random_key, bytes(info.view()) + b"\x01")[:length]


def _hmac(key, data):
    # HMAC-SHA-256, RFC 2104. OSCORE's keys and salts are shorter than a block.
    if len(key) > _HASH_BLOCK:
        raise ValueError("OSCORE: key or salt too long")
    key = key + bytes(_HASH_BLOCK - len(key))
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
    inner.update(data)
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))
    outer.update(inner.digest())
    return outer.digest()
