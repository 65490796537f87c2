"""Enrolment codes as they are written, and the OSCORE secrets that follow from them.

A code has 80 random bits; HKDF-SHA-256 (RFC 5869) makes of them the key id that requests carry
and the master secret. Gateway and tools share this.
"""

import re
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from feltpost_gateway.nodes import KEY_BYTES, OperatorError
from feltpost_gateway.texts import text

KEY_ID_BYTES = 7
ID_CONTEXT_BYTES = 8
"""How long the ID Context is that a flashing program draws for itself (RFC 8613 section 3.1)."""

# Crockford's base 32: no I, L, O and U, and who writes I, L or O means 1, 1 and 0.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans("ILO", "110")
_CHARS = 16
_GROUP_CHARS = 4
_BITS_A_CHAR = 5

_LABEL = b"feltpost enrolment"


@dataclass(frozen=True)
class CodeSecrets:
    """What follows from a code: the key id of its requests, and the OSCORE master secret."""

    key_id: bytes
    secret: bytes = field(repr=False)


def make_code() -> str:
    """Return a new code, in groups as it is read out."""
    chars = "".join(secrets.choice(_ALPHABET) for _ in range(_CHARS))
    return "-".join(chars[at : at + _GROUP_CHARS] for at in range(0, _CHARS, _GROUP_CHARS))


def derive(code: str) -> CodeSecrets:
    """Return what follows from a code, however it was written down.

    Raises `OperatorError` where it has not the form of a code; the message does not show it.
    """
    chars = re.sub(r"[\s-]", "", code.upper()).translate(_MISREAD)
    if len(chars) != _CHARS or any(char not in _ALPHABET for char in chars):
        raise OperatorError(
            text(
                "that is not an enrolment code: {count} letters and digits in groups of four, as"
                " feltpost-gateway enrol-code prints it",
                count=_CHARS,
            )
        )
    number = 0
    for char in chars:
        number = number << _BITS_A_CHAR | _ALPHABET.index(char)
    material = number.to_bytes(_CHARS * _BITS_A_CHAR // 8, "big")
    derived = HKDF(SHA256(), KEY_ID_BYTES + KEY_BYTES, salt=None, info=_LABEL).derive(material)
    return CodeSecrets(derived[:KEY_ID_BYTES], derived[KEY_ID_BYTES:])
