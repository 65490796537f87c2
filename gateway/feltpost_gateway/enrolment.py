"""Enrolments: what makes a node known to its gateway, in the form that tools and gateway share.

An enrolment is a CBOR map (docs/protocol.md). It goes to the gateway over its control socket,
protected by OSCORE under a code (`enrol_codes`), or sealed in a file (`enrol_files`); the gateway
says by an `Outcome` what came of it.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from string import Formatter
from typing import Any

import cbor2

from feltpost_gateway.cborshape import check_shape
from feltpost_gateway.errors import PackError
from feltpost_gateway.nodes import (
    NODE_COLUMNS,
    FieldFault,
    FieldsError,
    OperatorError,
    normalise,
    parse_key,
    parse_key_id,
    parse_mac,
)
from feltpost_gateway.texts import Text, text

COLUMNS = tuple(column for column in NODE_COLUMNS if column != "classes")
"""The columns of the registry that an enrolment has. Who may see readings is not among them."""

MAX_BYTES = 960
"""The longest encoded enrolment: with CoAP and OSCORE around it, it fits into one message."""

CHECK_BYTES = 8

_CHECK_LABEL = b"feltpost key check"

_COLUMNS, _REPLACES, _UPDATE = 0, 1, 2
_STATUS, _NODE, _DIFFERENT, _FAULTS = 0, 1, 2, 3
_MAC, _CHECK = 0, 1


class Status(IntEnum):
    """What came of an enrolment; from 16 on it was refused, and nothing has changed."""

    ENROLLED = 0
    ALREADY = 1
    """The node had that key before, and its description is as it was."""
    UPDATED = 2
    """The node had that key before, and has the new description now."""
    REPLACED = 3
    """The key takes the place of the node's other one as soon as the node has used it."""
    WRITTEN = 4
    """It is in a file for the gateway, which knows nothing of it yet; no gateway says this."""

    OTHER_KEY = 16
    """The node has, or had, another key, and the enrolment does not replace keys."""
    KEY_ID_TAKEN = 17
    KEY_REVOKED = 18
    """The gateway took this very key away before."""
    NAME_TAKEN = 19
    MALFORMED = 20
    CODE_USED_UP = 21
    CODE_FOR_NEW_NODES = 22
    """The node is known, and the code is not for giving known nodes other keys."""

    @property
    def refused(self) -> bool:
        """Whether nothing came of the enrolment."""
        return self >= Status.OTHER_KEY


@dataclass(frozen=True)
class Enrolment:
    """A node's description by columns of the registry, and its key; an empty column says nothing.

    `key` has 16 bytes, `key_id` 1 to 7. `replaces` lets the key take the place of another one that
    the node has; `update` lets the description take the place of one that the gateway has.
    """

    columns: Mapping[str, str]
    key_id: bytes
    key: bytes = field(repr=False)
    replaces: bool = False
    update: bool = False

    @property
    def check(self) -> bytes:
        """What tells the key from others, see `check_value`."""
        return check_value(self.key)


@dataclass(frozen=True)
class Outcome:
    """What came of an enrolment; `node` is owner/site/name as the gateway has it now.

    `different` are the columns in which the enrolment is not what the gateway had; they hold now
    where the status is `UPDATED`, and were passed over where it is not. `faults` say, with the
    column or "", why an enrolment was refused.
    """

    status: Status
    node: str = ""
    different: tuple[str, ...] = ()
    faults: tuple[FieldFault, ...] = ()


@dataclass(frozen=True)
class Question:
    """Does the gateway know the node `eui64` by the key with this check value?"""

    eui64: bytes
    check: bytes


def check_value(key: bytes) -> bytes:
    """Return what tells a key from others without giving it away, 8 bytes.

    The first quarter of HMAC-SHA-256 (RFC 2104) of a fixed label under the key; from it nobody can
    compute a key that was drawn at random.
    """
    return hmac.digest(key, _CHECK_LABEL, hashlib.sha256)[:CHECK_BYTES]


def encode(enrolment: Enrolment) -> bytes:
    """Return an enrolment as CBOR. The key is in it, so whatever carries it must be protected."""
    written = {name: value for name, value in enrolment.columns.items() if value}
    written |= {"key_id": enrolment.key_id.hex(), "key": enrolment.key.hex()}
    content: dict[int, Any] = {_COLUMNS: written}
    for key, chosen in ((_REPLACES, enrolment.replaces), (_UPDATE, enrolment.update)):
        if chosen:
            content[key] = True
    return cbor2.dumps(content)


def decode(data: bytes) -> Enrolment:
    """Return the enrolment that `encode` wrote; the columns are not looked into.

    Raises `OperatorError`, a `FieldsError` where a column is at fault; neither shows the key.
    """
    content = _load(data)
    columns = content.get(_COLUMNS)
    flags = {key: content.get(key, False) for key in (_REPLACES, _UPDATE)}
    if (
        content.keys() - {_COLUMNS, *flags}
        or not isinstance(columns, dict)
        or not all(isinstance(part, str) for item in columns.items() for part in item)
        or not all(isinstance(chosen, bool) for chosen in flags.values())
    ):
        raise OperatorError(text("is not an enrolment"))
    faults = [
        FieldFault(name, text("is not a column of enrolments"))
        for name in sorted(columns.keys() - {*COLUMNS, "key_id", "key"})
    ]
    secrets = {}
    for name, parse in (("key_id", parse_key_id), ("key", parse_key)):
        try:
            secrets[name] = parse(normalise(columns.pop(name, "")))
        except OperatorError as error:
            faults.append(FieldFault(name, error.text))
    if faults:
        raise FieldsError(faults)
    return Enrolment(columns, secrets["key_id"], secrets["key"], flags[_REPLACES], flags[_UPDATE])


def encode_outcome(outcome: Outcome) -> bytes:
    """Return an outcome as CBOR."""
    content: dict[int, Any] = {_STATUS: int(outcome.status), _NODE: outcome.node}
    if outcome.different:
        content[_DIFFERENT] = list(outcome.different)
    if outcome.faults:
        content[_FAULTS] = [
            [fault.column, fault.text.template, dict(fault.text.values)] for fault in outcome.faults
        ]
    return cbor2.dumps(content)


def decode_outcome(data: bytes) -> Outcome:
    """Return the outcome that `encode_outcome` wrote; raises `OperatorError`."""
    content = _load(data)
    try:
        return Outcome(
            Status(content[_STATUS]),
            _texts([content[_NODE]])[0],
            _texts(content.get(_DIFFERENT, ())),
            tuple(_fault(*fault) for fault in content.get(_FAULTS, ())),
        )
    except (KeyError, TypeError, ValueError):
        raise OperatorError(text("is not an answer to an enrolment")) from None


def encode_question(question: Question) -> bytes:
    """Return a question as CBOR."""
    return cbor2.dumps({_MAC: question.eui64.hex(":"), _CHECK: question.check.hex()})


def decode_question(data: bytes) -> Question:
    """Return the question that `encode_question` wrote; raises `OperatorError`."""
    content = _load(data)
    try:
        check = bytes.fromhex(content[_CHECK])
        question = Question(parse_mac(content[_MAC]), check)
    except (KeyError, TypeError, ValueError):
        raise OperatorError(text("is not a question about a node")) from None
    if content.keys() != {_MAC, _CHECK} or len(check) != CHECK_BYTES:
        raise OperatorError(text("is not a question about a node"))
    return question


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    texts = tuple(values)
    if not all(isinstance(value, str) for value in texts):
        raise TypeError
    return texts


def _fault(column: Any, template: Any, values: Any) -> FieldFault:
    # What is not a plain text with a plain value for each of its fields can't be said later.
    fields = [field for field in Formatter().parse(template) if field[1] is not None]
    if (
        not isinstance(column, str)
        or not isinstance(values, dict)
        or not all(isinstance(value, str | int | float) for value in values.values())
        or any(name not in values or spec or conversion for _, name, spec, conversion in fields)
    ):
        raise TypeError
    return FieldFault(column, Text(template, values))


def _load(data: bytes) -> dict[int, Any]:
    try:
        check_shape(data)
        content = cbor2.loads(data)
    except (PackError, cbor2.CBORError, ValueError):
        # What the decoder says could have a part of the key in it.
        raise OperatorError(text("is not CBOR as an enrolment has it")) from None
    if not isinstance(content, dict):
        raise OperatorError(text("is not CBOR as an enrolment has it"))
    return content
