"""Enrolment files: enrolments for one gateway, which nobody else can read.

A file has one enrolment a line, each a JWE (RFC 7516) of its own for the gateway's X25519 key
(ECDH-ES, RFC 8037; A256GCM), so that a program that has only the public key can add lines. Anyone
who has the public key can write such a file: that it can be opened says nothing of who wrote it.
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
from jwcrypto.common import JWException, base64url_decode  # type: ignore[import-untyped]
from jwcrypto.jwe import JWE  # type: ignore[import-untyped]
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]

from feltpost_gateway.enrolment import Enrolment, decode, encode
from feltpost_gateway.logs import printable
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.texts import text

KEY_SUFFIX = ".feltpost-key"

MAX_FILE_BYTES = 4 << 20
"""Some 3,000 nodes."""

_ALGORITHMS = {"alg": "ECDH-ES", "enc": "A256GCM"}
_CURVE = {"kty": "OKP", "crv": "X25519"}
_HEADER = {*_ALGORITHMS, "epk", "kid", "gateway"}
_PUBLIC = ("kty", "crv", "x")
_MODE = 0o600
# By these Python says that JSON and CBOR are not what was expected; the last, nested without end.
_NOT_UNDERSTOOD = (ValueError, TypeError, KeyError, RecursionError)
# The last moment that calendars have.
_MAX_MS = 253_402_300_799_999


class OtherGatewayError(OperatorError):
    """An enrolment file was written for another gateway."""


@dataclass(frozen=True)
class Recipient:
    """The gateway that a file is for: the name that it goes by, and its public key."""

    name: str
    key: JWK

    @property
    def thumbprint(self) -> str:
        """What tells its key from others (RFC 7638)."""
        return str(self.key.thumbprint())

    def write(self) -> bytes:
        """Return the content of the gateway's key file, in which there is nothing secret."""
        content = {"gateway": self.name, "key": self.key.export_public(as_dict=True)}
        return f"{json.dumps(content, ensure_ascii=False, indent=2)}\n".encode()


@dataclass(frozen=True)
class Sealed:
    """A line of a file, opened: the enrolment, and when it was written, by its writer's clock."""

    enrolment: Enrolment
    written_ms: int


def key_path(store: Path) -> Path:
    """Return where the gateway with that store keeps its enrolment key."""
    return store.with_name(f"{store.name}.enrol-key")


def read_own_key(path: Path) -> JWK:
    """Return the gateway's key; raises `OperatorError` where it has none or can't use it."""
    try:
        return _own_key(path.read_bytes())
    except FileNotFoundError:
        raise OperatorError(
            text(
                "this gateway has no enrolment key, so there is no file for it yet. Make one with:"
                " feltpost-gateway enrol-key"
            )
        ) from None
    except (JWException, *_NOT_UNDERSTOOD):
        raise OperatorError(text("{file} is not an enrolment key", file=str(path))) from None


def make_own_key(path: Path) -> None:
    """Make the gateway's key, for its user only, where there is none yet."""
    if path.exists():
        return
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(JWK.generate(**_CURVE).export_private())
            out.flush()
            os.fsync(out.fileno())
        # Unlike renaming, this leaves a key that another process has just made where it is.
        path.hardlink_to(partial)
    except FileExistsError:
        pass
    finally:
        partial.unlink()


def read_recipient(path: Path) -> Recipient:
    """Return the gateway whose key file that is; raises `OperatorError`, or `OSError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        name, key = content["gateway"], {part: content["key"][part] for part in _PUBLIC}
        if not isinstance(name, str) or key | _CURVE != key:
            raise ValueError
        return Recipient(name, JWK(**key))
    except (JWException, *_NOT_UNDERSTOOD):
        raise OperatorError(
            text(
                "{file} is not a gateway's key file, as feltpost-gateway enrol-key writes it",
                file=str(path),
            )
        ) from None


def seal(recipient: Recipient, enrolment: Enrolment, written_ms: int) -> str:
    """Return a line for a file, without its end."""
    header = {**_ALGORITHMS, "kid": recipient.thumbprint, "gateway": recipient.name}
    content = cbor2.dumps([written_ms, encode(enrolment)])
    token = JWE(content, json.dumps(header), algs=list(_ALGORITHMS.values()))
    token.add_recipient(recipient.key)
    return str(token.serialize(compact=True))


def open_line(line: str, own: JWK) -> Sealed:
    """Return what `seal` put into a line.

    Raises `OtherGatewayError`, and `OperatorError` where the line is damaged.
    """
    try:
        header = json.loads(base64url_decode(line.partition(".")[0]))
        for_other = header["kid"] != own.thumbprint()
        name = printable(str(header["gateway"]))
    except _NOT_UNDERSTOOD:
        raise _damaged() from None
    if for_other:
        raise OtherGatewayError(
            text("the file is for the gateway {name}, whose key is not this one's", name=name)
        )
    if header.keys() != _HEADER or header | _ALGORITHMS != header:
        raise _damaged()
    return _decode(_decrypt(line, own))


def _decrypt(line: str, own: JWK) -> bytes:
    token = JWE(algs=list(_ALGORITHMS.values()))
    try:
        token.deserialize(line, own)
    except (JWException, *_NOT_UNDERSTOOD):
        raise _damaged() from None
    return bytes(token.payload)


def _decode(content: bytes) -> Sealed:
    try:
        written_ms, enrolment = cbor2.loads(content)
    except (cbor2.CBORError, ArithmeticError, *_NOT_UNDERSTOOD):
        raise _damaged() from None
    if not isinstance(enrolment, bytes) or type(written_ms) is not int:
        raise _damaged()
    if not 0 <= written_ms <= _MAX_MS:
        raise _damaged()
    return Sealed(decode(enrolment), written_ms)


def _own_key(content: bytes) -> JWK:
    members: dict[str, Any] = json.loads(content)
    if members | _CURVE != members or "d" not in members:
        raise ValueError
    return JWK(**members)


def _damaged() -> OperatorError:
    return OperatorError(text("is damaged, or was not written by feltpost flash"))
