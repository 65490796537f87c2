"""A pack of readings: what the gateway takes, every format can say, and a second time the same."""

from __future__ import annotations

import json
import math
import random
import re
from typing import Any

import cbor2
from tests.fuzz import cbor_grammar
from tests.fuzz.target import Target

from feltpost_gateway import formats, senml
from feltpost_gateway.errors import ClockNotSetError, PackError
from feltpost_gateway.formats.base import NodeDescription, Position, Reading, Setting

_NOW_MS = 1_790_000_600_000
_NODE = NodeDescription(
    "urn:dev:mac:020000fffe000001",
    "node-01",
    "favrskov",
    "skole",
    Setting.WATER,
    "3.B",
    Position(56.3, 9.9),
    ("waterLevel",),
)
# What is right, by name, and what is not or is at an edge.
_RIGHT = {
    "c": (812, 0),
    "t": (21.5, -3.25),
    "waterLevel": (0.412, 2),
    "doorOpen": (True, False),
    "x": (1,),
}
_NAMES = ("temperature.outdoor", "sensorFault.a", "", "_", "a" * 65, "co2 ", "urn:dev:mac:02")
_UNITS = ("ppm", "Cel", "%RH", "m", "/", "")
_TIMES = (0, 60, 1 << 28, (1 << 28) - 1, 1 << 40, 1.5, -(1 << 63), 253_402_300_800, 1e300)
_VALUES = (1 << 63, 65_504.0, 1e9, 1e-7, 5e-324, float("inf"), float("nan"), True)
_LABELS = ("q", -1, 7, 5, "x", "x_", 4)
# RFC 8428 section 4.5.1.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]{0,63}")
_BASE_S = 1_790_000_000
_JSON = ("senml+json", "os2iot", "ngsi-ld")


def _record(rng: random.Random, oddness: float) -> dict[Any, Any]:
    name = rng.choice(tuple(_RIGHT))
    value = rng.choice(_RIGHT[name])
    record: dict[Any, Any] = {0: name, 4 if isinstance(value, bool) else 2: value, -3: _BASE_S}
    if name in ("waterLevel", "x"):
        record[1] = "m"
    if rng.random() < oddness:
        label, choices = rng.choice(
            ((0, _NAMES), (1, _UNITS), (6, _TIMES), (-3, _TIMES), (-2, _NAMES), (-4, _UNITS))
        )
        record[label] = rng.choice(choices)
    if rng.random() < oddness:
        record[2] = rng.choice(_VALUES)
    if rng.random() < oddness:
        record[rng.choice(_LABELS)] = rng.choice((0, 3, 7, 8, 10))
    return record


class Senml(Target):
    refusals = (PackError, ClockNotSetError)
    traced = (
        "feltpost_gateway.senml",
        "feltpost_gateway.metrics",
        "feltpost_gateway.formats.ngsi_ld",
        "feltpost_gateway.formats.os2iot",
        "feltpost_gateway.formats.senml_json",
        "feltpost_gateway.formats.senml_cbor",
        "feltpost_gateway.formats.json_text",
        "feltpost_gateway.formats.base",
    )
    tokens = (b"\x00\x61c", b"\x02\xc4\x82\x20\x18\x64", b"\x06\x19", b"\x22\x1a", b"\x61q\x07")
    max_bytes = 1024
    executions = 500

    def generate(self, rng: random.Random) -> bytes:
        oddness = rng.choice((0, 0.1, 0.3))
        records = [_record(rng, oddness) for _ in range(rng.choice((1, 1, 2, 5, 30, 65)))]
        return cbor_grammar.encode(rng, records, rng.choice((0, 0, 0.01, 0.1)))

    def run(self, data: bytes) -> None:
        now_ms = _NOW_MS if len(data) % 4 else None
        numbered = senml.decode(data, now_ms=now_ms, base_name=_NODE.urn + "_", short_floats=True)
        assert 1 <= len(numbered) <= senml.MAX_RECORDS
        senml.check(numbered, now_ms=now_ms)
        # The forwarder decodes once more, and a rule that stops it there stops the destination.
        plain = senml.decode(data, now_ms=now_ms, base_name=_NODE.urn + "_", short_floats=False)
        for records in (numbered, plain):
            readings = [Reading(seq, record) for seq, record in enumerate(records)]
            assert all(_NAME.fullmatch(record.name) for record in records)
            for name in formats.NAMES:
                self._format(name, readings)

    def _format(self, name: str, readings: list[Reading]) -> None:
        messages = formats.load(name).messages(_NODE, 1, readings)
        told = [seq for message in messages for seq in message.seqs]
        assert sorted(told) == list(range(len(readings))), name
        for message in messages:
            if name in _JSON:
                json.loads(message.payload, parse_constant=_finite, parse_float=_finite)
            else:
                cbor2.loads(message.payload)


def _finite(number: str) -> float:
    value = float(number)
    assert math.isfinite(value), f"{number} is no number to those who read it"
    return value
