"""Files that are encrypted under a passphrase, written and read from beginning to end.

The key is made of the passphrase by scrypt (RFC 7914). The content is cut into chunks, each sealed
with AES-256-GCM under a nonce that counts them and says which is the last (STREAM, Hoang et al.,
CRYPTO 2015), so that no chunk can be changed, moved, or left out at the end without its being
noticed.
"""

import hashlib
import secrets
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.texts import text

MAGIC = b"feltpost sealed 1\n"

_SALT_BYTES = 16
_CHUNK_BYTES = 1 << 16
_TAG_BYTES = 16
_COUNTER_BYTES = 11

# 64 MiB and about a second on a Raspberry Pi.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 16, 8, 1
_SCRYPT_MAX_BYTES = 128 << 20


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    key = hashlib.scrypt(
        passphrase.encode(),
        salt=salt,
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MAX_BYTES,
        dklen=32,
    )
    return AESGCM(key)


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes((is_last,))


class SealedWriter:
    """Encrypts what is written to `file`; what is in it counts once `finish` has been called."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        salt = secrets.token_bytes(_SALT_BYTES)
        self._file = file
        self._cipher = _cipher(passphrase, salt)
        self._number = 0
        self._waiting = bytearray()
        file.write(MAGIC + salt)

    def write(self, data: bytes) -> int:
        """Add to the content."""
        self._waiting += data
        # The last chunk is sealed as such, so that one always stays behind.
        while len(self._waiting) > _CHUNK_BYTES:
            self._seal(bytes(self._waiting[:_CHUNK_BYTES]), is_last=False)
            del self._waiting[:_CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Seal what is left."""
        self._seal(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last), chunk, None))
        self._number += 1


class SealedReader:
    """Decrypts `file`, whose `MAGIC` has been read already."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._file = file
        self._cipher = _cipher(passphrase, file.read(_SALT_BYTES))
        self._number = 0
        self._next = file.read(_CHUNK_BYTES + _TAG_BYTES)
        self._opened = bytearray()
        self._is_at_end = False

    def read(self, size: int) -> bytes:
        """Return the next bytes of the content, `size` unless it ends before.

        Raises `OperatorError` where the passphrase is not the writer's, or the file not the one
        that was written.
        """
        while len(self._opened) < size and not self._is_at_end:
            self._open()
        data = bytes(self._opened[:size])
        del self._opened[:size]
        return data

    def _open(self) -> None:
        chunk, self._next = self._next, self._file.read(_CHUNK_BYTES + _TAG_BYTES)
        self._is_at_end = not self._next
        try:
            self._opened += self._cipher.decrypt(_nonce(self._number, self._is_at_end), chunk, None)
        except InvalidTag:
            raise OperatorError(
                text("the passphrase is not the one of this backup, or the backup is damaged")
            ) from None
        self._number += 1
