"""The bytes of ordinary requests and of their answers (RFC 7252 section 3, RFC 8613 section 6).

An ordinary request is confirmable and has an OSCORE option, a payload, and nothing else; within,
it has a path, perhaps a Content-Format, and a payload. What is written in any other way, be it
allowed or wrong, is None here and aiocoap's to judge.
"""

from typing import NamedTuple

_CONFIRMABLE = 0x40
_ACKNOWLEDGEMENT = 0x60
_VERSION_AND_TYPE = 0xF0
_HEADER_BYTES = 4
_TOKEN_MAX_BYTES = 8

_EMPTY = 0x00
_POST = 0x02

_PAYLOAD_MARKER = 0xFF
_OSCORE = 9
_URI_PATH = 11
_CONTENT_FORMAT = 12
_CONTENT_FORMAT_MAX_BYTES = 2

# A larger nibble for an option's delta or length says that more bytes of it follow.
_NIBBLE_MAX = 12

# RFC 8613 section 6.1: how long the Partial IV is, and a flag for the key id. The others are for
# a key id context, for groups, or reserved, as are the lengths 6 and 7.
_PARTIAL_IV_BYTES = 0x07
_PARTIAL_IV_MAX_BYTES = 5
_HAS_KEY_ID = 0x08


class Protected(NamedTuple):
    """The outer message of an ordinary request; `message_id` has 2 bytes, `partial_iv` 1 to 5."""

    message_id: bytes
    token: bytes
    key_id: bytes
    partial_iv: bytes
    ciphertext: bytes


class Plain(NamedTuple):
    """What an ordinary request says; `code` is CoAP's byte."""

    code: int
    path: tuple[str, ...]
    content_format: int | None
    payload: bytes


class Outer(NamedTuple):
    """The outer message of an answer; `oscore` is that option's value, None without protection."""

    code: int
    oscore: bytes | None
    payload: bytes


def read_request(message: bytes) -> Protected | None:
    """Take a CoAP message apart; None where it is not an ordinary request."""
    if len(message) < _HEADER_BYTES or message[0] & _VERSION_AND_TYPE != _CONFIRMABLE:
        return None
    token_end = _HEADER_BYTES + message[0] - _CONFIRMABLE
    value_at = token_end + 1
    if message[1] != _POST or token_end > _HEADER_BYTES + _TOKEN_MAX_BYTES:
        return None
    if len(message) <= value_at:
        return None
    option, length = divmod(message[token_end], 16)
    value_end = value_at + length
    if option != _OSCORE or not 1 < length <= _NIBBLE_MAX:
        return None
    if len(message) <= value_end + 1 or message[value_end] != _PAYLOAD_MARKER:
        return None
    partial_iv_bytes = message[value_at] ^ _HAS_KEY_ID
    key_id_at = value_at + 1 + partial_iv_bytes
    if not 1 <= partial_iv_bytes <= _PARTIAL_IV_MAX_BYTES or key_id_at > value_end:
        return None
    return Protected(
        message_id=message[2:_HEADER_BYTES],
        token=message[_HEADER_BYTES:token_end],
        key_id=message[key_id_at:value_end],
        partial_iv=message[value_at + 1 : key_id_at],
        ciphertext=message[value_end + 1 :],
    )


def read_plain(message: bytes) -> Plain | None:
    """Take apart what an ordinary request said encrypted; None where it was not an ordinary one."""
    path = []
    content_format: int | None = None
    number = 0
    at = 1
    while at < len(message) and message[at] != _PAYLOAD_MARKER:
        delta, length = divmod(message[at], 16)
        number += delta
        value = message[at + 1 : at + 1 + length]
        at += 1 + length
        if delta > _NIBBLE_MAX or length > _NIBBLE_MAX:
            return None
        if number == _URI_PATH:
            path.append(value)
        elif (
            number == _CONTENT_FORMAT
            and content_format is None
            and length <= _CONTENT_FORMAT_MAX_BYTES
        ):
            content_format = int.from_bytes(value, "big")
        else:
            return None
    payload = message[at + 1 :]
    if not path or not payload:
        return None
    try:
        segments = tuple([segment.decode() for segment in path])
    except UnicodeDecodeError:
        return None
    return Plain(message[0], segments, content_format, payload)


def write_plain(code: int, content_format: int | None, payload: bytes) -> bytes:
    """Return what of an answer is encrypted."""
    parts = [bytes((code,))]
    if content_format is not None:
        value = content_format.to_bytes((content_format.bit_length() + 7) // 8, "big")
        parts += bytes((_CONTENT_FORMAT << 4 | len(value),)), value
    if payload:
        parts += bytes((_PAYLOAD_MARKER,)), payload
    return b"".join(parts)


def write_acknowledgement(request: Protected, answer: Outer) -> bytes:
    """Return an answer as the acknowledgement of its request (RFC 7252 section 5.2.1)."""
    token = request.token
    parts = [bytes((_ACKNOWLEDGEMENT | len(token), answer.code)), request.message_id, token]
    if answer.oscore is not None:
        parts += bytes((_OSCORE << 4 | len(answer.oscore),)), answer.oscore
    if answer.payload:
        parts += bytes((_PAYLOAD_MARKER,)), answer.payload
    return b"".join(parts)


def write_empty_acknowledgement(request: Protected) -> bytes:
    """Return an acknowledgement that has no answer (RFC 7252 section 5.2.2)."""
    return bytes((_ACKNOWLEDGEMENT, _EMPTY)) + request.message_id
