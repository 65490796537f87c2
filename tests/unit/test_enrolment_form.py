"""Enrolments and codes as they are written: what tools and gateway share."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feltpost_gateway.enrol_codes import derive, make_code
from feltpost_gateway.enrolment import (
    COLUMNS,
    Enrolment,
    Outcome,
    Question,
    Status,
    check_value,
    decode,
    decode_outcome,
    decode_question,
    encode,
    encode_outcome,
    encode_question,
)
from feltpost_gateway.nodes import FieldFault, OperatorError
from feltpost_gateway.texts import Text

KEY = bytes.fromhex("f3a1947b0c5de8826f17b2c4a95e3d60")

columns = st.dictionaries(st.sampled_from(COLUMNS), st.text(min_size=1, max_size=20))
enrolments = st.builds(
    Enrolment,
    columns,
    st.binary(min_size=1, max_size=7),
    st.binary(min_size=16, max_size=16),
    st.booleans(),
    st.booleans(),
)


@given(enrolments)
def test_an_enrolment_comes_back(given: Enrolment) -> None:
    assert decode(encode(given)) == given


@given(st.binary(max_size=40))
def test_no_bytes_do_harm(data: bytes) -> None:
    for read in (decode, decode_outcome, decode_question):
        with pytest.raises(OperatorError):
            read(data)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {0: {}},
        {0: {"key_id": "01"}},
        {0: {"key_id": "01", "key": KEY.hex()[:-2]}},
        {0: {"key_id": "01", "key": KEY.hex(), "classes": "*=open"}},
        {0: {"key_id": "01", "key": KEY.hex(), "room": 3}},
        {0: {"key_id": "01", "key": KEY.hex(), 3: "room"}},
        {0: {"key_id": "01", "key": KEY.hex()}, 1: 1},
        {0: {"key_id": "01", "key": KEY.hex()}, 3: True},
        {0: [KEY.hex()]},
    ],
)
def test_what_is_no_enrolment(content: object) -> None:
    with pytest.raises(OperatorError) as error:
        decode(cbor2.dumps(content))
    assert KEY.hex()[:-2] not in f"{error.value!r}{error.value.text!r}"


def test_an_outcome_and_a_question_come_back() -> None:
    fault = FieldFault(
        "name", Text("{node} is the name of {mac} already", {"node": "a", "mac": "b"})
    )
    for outcome in (
        Outcome(Status.ENROLLED, "aarhus/skole-x/lokale-3"),
        Outcome(Status.ALREADY, "aarhus/skole-x/lokale-3", ("name", "room")),
        Outcome(Status.NAME_TAKEN, faults=(fault,)),
    ):
        assert decode_outcome(encode_outcome(outcome)) == outcome
    question = Question(bytes(range(8)), check_value(KEY))
    assert decode_question(encode_question(question)) == question


def test_the_check_value() -> None:
    expected = hmac.new(KEY, b"feltpost key check", hashlib.sha256).digest()[:8]
    assert check_value(KEY) == expected
    assert KEY.hex() not in repr(Enrolment({}, b"\x01", KEY))


def test_what_follows_from_a_code() -> None:
    """HKDF-SHA-256 by the letter of RFC 5869, with hmac alone."""
    code = "9K3V-M7Q2-PZ0X-H1RT"
    number = 0
    for char in code.replace("-", ""):
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(char)
    extracted = hmac.new(bytes(32), number.to_bytes(10, "big"), hashlib.sha256).digest()
    expanded = hmac.new(extracted, b"feltpost enrolment\x01", hashlib.sha256).digest()
    known = derive(code)
    assert (known.key_id, known.secret) == (expanded[:7], expanded[7:23])
    assert known.secret.hex() not in repr(known)
    for written in ("9k3v m7q2 pzox hlrt", "9K3VM7Q2PZ0XHIRT", "9k3v-m7q2-pzOx-h1rt\n"):
        assert derive(written) == known


def test_codes_are_drawn_at_random() -> None:
    codes = {make_code() for _ in range(200)}
    assert len({derive(code).key_id for code in codes}) == 200
    used = set("".join(codes)) - {"-"}
    assert used == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_the_cddl_names_the_same_keys() -> None:
    """The statuses of docs/protocol.cddl are those of the code."""
    cddl = (Path(__file__).parents[2] / "docs" / "protocol.cddl").read_text(encoding="utf-8")
    for status in Status:
        if status is not Status.WRITTEN:
            assert f"{status.name.lower().replace('_', '-')}: {status.value}" in cddl
