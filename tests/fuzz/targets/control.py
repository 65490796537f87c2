"""The control socket's line: a command, one that is not understood, or no command at all."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.gateways import bench
from tests.fuzz.target import Target

_NODE = {"mac": "02:00:00:00:00:05", "name": "gym", "owner": "favrskov", "site": "skole"}
_OWNER = {"name": "favrskov", "title": "Favrskov", "email": "a@b.dk", "licence": "https://a/b"}
_COMMANDS = {
    "list-nodes": {},
    "show-node": {"node": "node-01"},
    "save-nodes": {"rows": [_NODE], "expect": "either"},
    "remove-node": {"node": "gym"},
    "revoke-keys": {"node": "gym"},
    "rotate-key": {"node": "node-01", "key_id": "0x55", "key": "11" * 16},
    "mail-key": {"node": "node-01"},
    "add-history": {"node": "node-01", "kind": "note", "text": "moved"},
    "purge-node": {"node": "gym"},
    "retry-refused": {"destination": "mqtt"},
    "drop-refused": {"destination": "mqtt"},
    "list-owners": {},
    "save-owner": {"columns": _OWNER},
    "remove-owner": {"name": "favrskov"},
    "list-classes": {},
    "set-class": {"metric": "co2", "name": "open"},
    "count-refused": {},
    "enrol": {"enrolments": ["a1"], "by": "x"},
}
_ODD = (None, True, -1, 1e308, "", "x" * 300, [], {}, {"a": []}, "\ud800", "\0", 2**70, [[1]])


def _bent(rng: random.Random, value: object, oddness: float) -> object:
    if rng.random() < oddness:
        return rng.choice(_ODD)
    if isinstance(value, dict):
        return {name: _bent(rng, inner, oddness) for name, inner in value.items()}
    if isinstance(value, list):
        return [_bent(rng, inner, oddness) for inner in value]
    return value


class Control(Target):
    traced = ("feltpost_gateway.control", "feltpost_gateway.commands", "feltpost_gateway.nodes")
    tokens = (b'"command":', b'"arguments":', b"[" * 2000, b"1e999", b"NaN", b'"\\ud800"', b"null")
    suffix = ".json"
    heap_bytes = 8 << 20
    max_bytes = 8192
    executions = 100

    @contextmanager
    def opened(self) -> Iterator[None]:
        with bench(True) as self._bench:
            (self._side,) = self._bench.sides
            yield

    def generate(self, rng: random.Random) -> bytes:
        name = rng.choice(tuple(_COMMANDS))
        oddness = rng.choice((0, 0.1, 0.3))
        request = {"command": name, "arguments": _bent(rng, _COMMANDS[name], oddness)}
        return json.dumps(request).encode()

    def run(self, data: bytes) -> tuple[str, ...]:
        before = self._side.kept()
        answer = self._answer(data)
        if "result" not in answer:
            assert self._side.kept() == before, "what was refused has changed the store"
        nodes = self._answer(b'{"command": "list-nodes", "arguments": {}}')["result"]
        assert isinstance(nodes, list | dict)
        self._bench.faults.check()
        return tuple(answer)

    def _answer(self, line: bytes) -> dict[str, object]:
        answer = self._bench.do(self._side.gateway._control._answer(line))
        self._bench.do(self._side.at_rest())
        # It goes over the socket so.
        told: dict[str, object] = json.loads(json.dumps(answer).encode())
        return told
