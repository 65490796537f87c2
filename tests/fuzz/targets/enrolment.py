"""What crosses a link about enrolments: the enrolment, the answer to it, and a question."""

from __future__ import annotations

import random

from tests.fuzz import cbor_grammar
from tests.fuzz.target import Target

from feltpost_gateway import enrolment
from feltpost_gateway.nodes import OperatorError, node_from_columns, node_to_columns

_KEY = bytes(range(16)).hex()
_COLUMNS = {
    "mac": "02:00:00:00:00:01",
    "name": "gym",
    "owner": "favrskov",
    "site": "Rønbækskolen",
    "setting": "indoor",
    "latitude": "56,32",
    "longitude": "9.93",
    "metrics": "co2 temperature",
    "key_id": "0x01",
    "key": _KEY,
}
_VALUES = (
    "",
    "0",
    "1e400",
    "nan",
    "-91",
    "a/b",
    "x" * 80,
    "æ",
    "co2=open",
    "٣",
    "02-00-00-00-00-0G",
)
_OUTCOME = {0: 20, 1: "a/b/gym", 2: ["room"], 3: [["name", "is {what}", {"what": "empty"}]]}
_KINDS = (0, 1, 2)


class Enrolments(Target):
    """The first byte says whether it is an enrolment, an outcome or a question."""

    refusals = (OperatorError,)
    traced = ("feltpost_gateway.enrolment", "feltpost_gateway.nodes")
    tokens = (b"\x63mac", b"\x63key", b"\x66key_id", b"\x60", b"\x01\xf5")
    max_bytes = enrolment.MAX_BYTES
    executions = 1000

    def generate(self, rng: random.Random) -> bytes:
        kind = rng.choice(_KINDS)
        columns = {
            name: rng.choice(_VALUES) if rng.random() < 0.05 else value
            for name, value in _COLUMNS.items()
            if rng.random() < 0.9 or name in ("mac", "key", "key_id")
        }
        values = (
            {0: columns, 1: True},
            {**_OUTCOME, 0: rng.choice((0, 15, 20, 22))},
            {0: _COLUMNS["mac"], 1: "00" * rng.choice((7, 8, 8))},
        )
        wildness = rng.choice((0, 0.01, 0.05))
        return bytes((kind,)) + cbor_grammar.encode(rng, values[kind], wildness)

    def run(self, data: bytes) -> None:
        kind = data[0] % len(_KINDS) if data else 0
        if kind == 0:
            self._enrolment(data[1:])
        elif kind == 1:
            outcome = enrolment.decode_outcome(data[1:])
            for fault in outcome.faults:
                assert isinstance(str(fault.text), str)
            assert enrolment.decode_outcome(enrolment.encode_outcome(outcome)) == outcome
        else:
            question = enrolment.decode_question(data[1:])
            assert enrolment.decode_question(enrolment.encode_question(question)) == question

    def _enrolment(self, data: bytes) -> None:
        found = enrolment.decode(data)
        again = enrolment.decode(enrolment.encode(found))
        assert (again.key, again.key_id) == (found.key, found.key_id)
        assert (again.replaces, again.update) == (found.replaces, found.update)
        assert again.columns == {name: value for name, value in found.columns.items() if value}
        node = node_from_columns(found.columns)
        assert node_from_columns(node_to_columns(node)) == node
