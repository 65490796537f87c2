"""The short way's reading and writing of messages, beside aiocoap's and the vectors of RFC 8613."""

from __future__ import annotations

import pytest
from aiocoap import Message, oscore
from aiocoap.numbers import codes
from aiocoap.numbers.types import ACK, CON
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.conftest import KEYS
from tests.support.node import NodeKeys, pack

from feltpost_gateway.coap_frame import (
    Outer,
    Plain,
    Protected,
    read_plain,
    read_request,
    write_acknowledgement,
    write_empty_acknowledgement,
    write_plain,
)
from feltpost_gateway.request_cipher import RequestCipher
from feltpost_gateway.security import NodeContext, Speaker

KEY_ID = b"\x01"
TOKEN = b"\x17\x2a"


def node_keys(sequence_number: int = 0) -> NodeKeys:
    return NodeKeys(KEY_ID, KEYS[KEY_ID], sequence_number)


def gateway_context() -> NodeContext:
    return NodeContext(Speaker(1, "hall", "urn:dev:mac:0200000000000001"), KEY_ID, KEYS[KEY_ID])


def datagram(sequence_number: int = 0, token: bytes = TOKEN) -> bytes:
    """An ordinary request as aiocoap makes it."""
    plain = Message(code=codes.PUT, payload=pack(2), content_format=112)
    plain.opt.uri_path = ("j", "7", "12")
    message, _ = node_keys(sequence_number).protect(plain)
    message.mtype, message.mid, message.token = CON, 0x1234, token
    encoded: bytes = message.encode()
    return encoded


@pytest.mark.parametrize("sequence_number", [0, 255, 256, 1 << 24, (1 << 40) - 2])
@pytest.mark.parametrize("token", [b"", TOKEN, bytes(8)])
def test_an_ordinary_request_is_read_and_decrypted(sequence_number: int, token: bytes) -> None:
    request = read_request(datagram(sequence_number, token))
    assert request is not None
    assert (request.message_id, request.token) == (b"\x12\x34", token)
    assert request.key_id == KEY_ID
    assert int.from_bytes(request.partial_iv, "big") == sequence_number
    cipher = gateway_context().cipher
    plain = cipher.decrypt(cipher.bind(request.partial_iv), request.ciphertext)
    assert plain is not None
    assert read_plain(plain) == Plain(codes.PUT, ("j", "7", "12"), 112, pack(2))


def same_as_aiocoap(message: bytes, request: Protected) -> None:
    """Whatever is taken for an ordinary request can be read by aiocoap, and says the same."""
    known = Message.decode(message)
    assert (known.mtype, known.code) == (CON, codes.POST)
    assert [option.number for option in known.opt.option_list()] == [9]
    _, protected, unprotected, ciphertext = oscore.CanUnprotect._extract_encrypted0(known)
    assert not protected
    assert request == Protected(
        known.mid.to_bytes(2, "big"),
        known.token,
        unprotected.pop(oscore.COSE_KID),
        unprotected.pop(oscore.COSE_PIV),
        ciphertext,
    )
    assert not unprotected


def test_no_cut_or_changed_request_is_read_otherwise_than_by_aiocoap() -> None:
    whole = datagram(300)
    read = 0
    header_bytes = whole.index(0xFF) + 1
    for length in range(header_bytes + 1):
        assert read_request(whole[:length]) is None
    for index in range(header_bytes):
        for value in range(256):
            changed = whole[:index] + bytes((value,)) + whole[index + 1 :]
            request = read_request(changed)
            if request is not None:
                same_as_aiocoap(changed, request)
                read += 1
    assert read > 6 * 256, "message id, token, Partial IV and key id can be anything"


@given(st.binary(max_size=40), st.sampled_from([b"", b"\x40\x02", datagram()[:7]]))
def test_any_bytes_are_read_as_by_aiocoap_or_not_at_all(rest: bytes, start: bytes) -> None:
    request = read_request(start + rest)
    if request is not None:
        same_as_aiocoap(start + rest, request)


OPTIONS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 2, 4, 11, 12, 13, 15]),
        st.binary(max_size=4) | st.sampled_from([b"j", b"1", b"60", bytes(13)]),
    ),
    max_size=6,
)


@given(OPTIONS, st.binary(max_size=8), st.booleans())
def test_what_was_encrypted_is_read_as_by_aiocoap_or_not_at_all(
    options: list[tuple[int, bytes]], payload: bytes, marker: bool
) -> None:
    encoded = b"".join(bytes((d << 4 | min(len(v), 15),)) + v for d, v in options)
    message = b"\x03" + encoded + b"\xff" * marker + payload
    plain = read_plain(message)
    if plain is None:
        return
    known = Message(code=message[0])
    known.payload = known.opt.decode(message[1:])
    assert {option.number for option in known.opt.option_list()} <= {11, 12}
    content_format = known.opt.content_format
    assert plain == Plain(
        3,
        known.opt.uri_path,
        None if content_format is None else int(content_format),
        known.payload,
    )


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        ("03b16a01310132ff00", "no Content-Format is needed"),
        ("03b16a11" + "3cff00", "one byte of Content-Format"),
        ("03b16a12003cff00", "aiocoap takes leading zeros too"),
    ],
)
def test_odd_but_ordinary(inner: str, why: str) -> None:
    assert read_plain(bytes.fromhex(inner)) is not None, why


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        ("03", "no path"),
        ("03b16a", "no payload"),
        ("03b16aff", "a marker without a payload"),
        ("03ff00", "no path"),
        ("03b1ffff00", "not UTF-8"),
        ("03b26aff00", "the path ends too early"),
        ("03b16a113c013cff00", "two Content-Formats"),
        ("03b16a13003c3cff00", "a Content-Format of three bytes"),
        ("03b16a413cff00", "Uri-Query"),
        ("03bd006aff00", "a length of more than a nibble"),
        ("03b16a00f0ff00", "a reserved nibble"),
        ("0361016162ff00", "Observe"),
        ("03", "nothing but a code"),
        ("", "nothing"),
    ],
)
def test_what_is_not_ordinary_within(inner: str, why: str) -> None:
    assert read_plain(bytes.fromhex(inner)) is None, why


@pytest.mark.parametrize("payload", [b"", b"\xa1\x00\x01"])
@pytest.mark.parametrize("content_format", [None, 0, 60, 112, 11542])
def test_an_answer_is_as_aiocoap_writes_it(content_format: int | None, payload: bytes) -> None:
    keys = node_keys()
    _, request_id = keys.protect(Message(code=codes.PUT, uri_path=("j", "1", "0"), payload=b"\0"))
    request = read_request(datagram())
    assert request is not None
    context = gateway_context()
    cipher = context.cipher
    plain = write_plain(codes.CHANGED, content_format, payload)
    ciphertext = cipher.encrypt(cipher.bind(request.partial_iv), plain)
    ours = write_acknowledgement(request, Outer(codes.CHANGED, b"", ciphertext))

    request_id_there = oscore.RequestIdentifiers(KEY_ID, b"\0", True, codes.POST)
    answer = Message(code=codes.CHANGED, payload=payload)
    answer.opt.content_format = content_format
    theirs, _ = context.protect(answer, request_id_there)
    theirs.mtype, theirs.mid, theirs.token = ACK, 0x1234, TOKEN
    assert ours == theirs.encode()
    opened, _ = keys.unprotect(Message.decode(ours), request_id)
    assert (opened.code, opened.payload) == (codes.CHANGED, payload)


def test_other_acknowledgements() -> None:
    request = read_request(datagram())
    assert request is not None
    empty = Message.decode(write_empty_acknowledgement(request))
    assert (empty.mtype, empty.code, empty.mid, empty.token) == (ACK, codes.EMPTY, 0x1234, b"")
    own_iv = Outer(codes.CHANGED, b"\x02\x01\x02", b"ciphertext")
    answer = Message.decode(write_acknowledgement(request, own_iv))
    assert (answer.opt.oscore, answer.payload) == (b"\x02\x01\x02", b"ciphertext")
    failed = Message.decode(write_acknowledgement(request, Outer(codes.BAD_GATEWAY, None, b"")))
    assert (failed.code, failed.opt.encode(), failed.payload) == (codes.BAD_GATEWAY, b"", b"")


def test_vectors_of_rfc_8613() -> None:
    """Appendix C.4 and C.7 (with a salt, an empty key id), C.5 (without, and key id 00)."""
    with_salt = RequestCipher(
        b"",
        bytes.fromhex("4622d4dd6d944168eefb54987c"),
        bytes.fromhex("f0910ed7295e6ad4b54fc793154302ff"),
        bytes.fromhex("ffb14e093c94c9cac9471648b4f98710"),
    )
    binding = with_salt.bind(b"\x14")
    asked = bytes.fromhex("01b3747631")
    assert with_salt.decrypt(binding, bytes.fromhex("612f1092f1776f1c1668b3825e")) == asked
    answer = with_salt.encrypt(binding, bytes.fromhex("45ff48656c6c6f20576f726c6421"))
    assert answer.hex() == "dbaad1e9a7e7b2a813d3c31524378303cdafae119106"
    without_salt = RequestCipher(
        b"\0",
        bytes.fromhex("be35ae297d2dace910c52e99f9"),
        bytes.fromhex("321b26943253c7ffb6003b0b64d74041"),
        bytes.fromhex("e57b5635815177cd679ab4bcec9d7dda"),
    )
    sealed = bytes.fromhex("4ed339a5a379b0b8bc731fffb0")
    assert without_salt.decrypt(without_salt.bind(b"\x14"), sealed) == asked
    assert without_salt.decrypt(without_salt.bind(b"\x15"), sealed) is None
    for length in range(len(sealed)):
        assert without_salt.decrypt(without_salt.bind(b"\x14"), sealed[:length]) is None
