"""Formats: what is in the golden files, that it can be read back, and that nothing is left out."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.readings import (
    JOURNAL,
    SCHOOL,
    SCHOOL_READINGS,
    STREAM,
    STREAM_READINGS,
    TIME_MS,
    at,
    number_on,
)

from feltpost_gateway import formats, metrics, senml
from feltpost_gateway.errors import ConfigError, PackError
from feltpost_gateway.formats.base import NodeDescription, Reading
from feltpost_gateway.senml import Record

GOLDEN = Path(__file__).with_name("golden")
# The suite has many tests, and each of these tries a handful of readings at a time.
FEWER = settings(max_examples=40)
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-format.md"


def payloads(name: str, node: NodeDescription, readings: list[Reading]) -> list[bytes]:
    return [m.payload for m in formats.load(name).messages(node, JOURNAL, readings)]


def read_json(payload: bytes) -> Any:
    """Read with exact numbers, and without the NaN that Python's reader takes."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(payload, parse_float=Decimal, parse_constant=refuse)


def golden(case: str) -> list[bytes]:
    """The payloads in a golden file, one a line; those in CBOR are in hexadecimal."""
    lines = (GOLDEN / case).read_bytes().splitlines()
    return [bytes.fromhex(line.decode()) for line in lines] if case.endswith("hex") else lines


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("school.senml.jsonl", "senml+json"),
        ("school.senml-cbor.hex", "senml+cbor"),
        ("school.os2iot.jsonl", "os2iot"),
        ("school.ngsi-ld.jsonl", "ngsi-ld"),
    ],
)
def test_a_pack_of_a_node_in_a_room(case: str, name: str) -> None:
    assert payloads(name, SCHOOL, SCHOOL_READINGS) == golden(case)


def test_a_pack_of_a_node_at_a_stream() -> None:
    assert payloads("ngsi-ld", STREAM, STREAM_READINGS) == golden("stream.ngsi-ld.jsonl")


def test_a_name_that_is_no_format_gets_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'xml' is not a format; there are .*senml\+json"):
        formats.load("xml")


# What holds for every format

_numbers = (
    st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-1000, 1000, places=2)
    | st.builds(lambda m, e: Decimal(m).scaleb(e), st.integers(-(2**64), 2**64), st.integers(-9, 9))
)
_names = st.builds(
    "{}{}".format, st.sampled_from("aZ9"), st.text("aZ9-:./_", max_size=4)
) | st.sampled_from(
    ["temperature", "relativeHumidity.outdoor", "waterLevel", "id", "type", "batteryLevel", "co2."]
)
_times = st.integers(TIME_MS - 5, TIME_MS + 5) | st.integers(946_684_800_000, 2**42)
_records = st.builds(
    Record,
    name=_names,
    unit=st.sampled_from(["Cel", "%RH", "%EL", "%", "Wh/km", "lx", "/"]),
    value=_numbers,
    time_ms=_times,
    marks=st.integers(0, 7),
) | st.builds(Record, name=_names, unit=st.just(""), value=st.booleans(), time_ms=_times)


def with_its_own_unit(record: Record) -> Record:
    """`record` as it can come in: a metric of the protocol's table has one unit."""
    metric = metrics.metric_of(record.name)
    if metric is None or isinstance(record.value, bool):
        return record
    return replace(record, unit=metric.unit)


packs = st.lists(_records.map(with_its_own_unit), max_size=8).map(
    lambda records: number_on(70, *records)
)


@pytest.mark.parametrize("name", formats.NAMES)
@FEWER
@given(readings=packs)
def test_every_reading_is_in_one_message(name: str, readings: list[Reading]) -> None:
    messages = formats.load(name).messages(SCHOOL, JOURNAL, readings)
    assert sorted(seq for message in messages for seq in message.seqs) == [
        reading.seq for reading in readings
    ]
    assert all(message.seqs == tuple(sorted(message.seqs)) for message in messages)
    assert messages == formats.load(name).messages(SCHOOL, JOURNAL, readings)


@pytest.mark.parametrize("name", ["ngsi-ld", "os2iot"])
def test_a_time_that_has_no_date_is_an_error_of_the_pack(name: str) -> None:
    late = Record("co2", "ppm", 400, 2**40 * 1000)
    with pytest.raises(PackError, match="after the year 9999"):
        payloads(name, SCHOOL, number_on(0, late))


# SenML


@FEWER
@given(packs)
def test_senml_json_has_the_shape_and_the_values(readings: list[Reading]) -> None:
    """RFC 8428 section 5, and the resolved form of section 4.6 but for the base name."""
    for payload in payloads("senml+json", SCHOOL, readings):
        records = read_json(payload)
        assert records[0].pop("bn") == SCHOOL.urn + "_"
        assert [
            Record(
                fields.pop("n"),
                fields.pop("u", ""),
                fields.pop("vb") if "vb" in fields else fields.pop("v"),
                int(1000 * Decimal(fields.pop("t"))),
                fields.pop("q", 0),
            )
            for fields in records
        ] == [as_decimal(reading.record) for reading in readings]
        assert not any(records)


def as_decimal(record: Record) -> Record:
    """`record` with the decimal that its value is written as."""
    if isinstance(record.value, float):
        return replace(record, value=Decimal(repr(record.value)))
    return record


@FEWER
@given(packs)
def test_senml_cbor_comes_back_through_the_gateways_own_parser(readings: list[Reading]) -> None:
    for payload in payloads("senml+cbor", SCHOOL, readings):
        # Without the node protocol's rule for short floats, as any other reader of SenML.
        records = senml.decode(payload, now_ms=None, base_name=f"{SCHOOL.urn}_", short_floats=False)
        expected = [reading.record for reading in readings]
        assert records == expected
        # RFC 8428 section 6: as a double, each number is what it is in JSON.
        for record, want in zip(records, expected, strict=True):
            assert isinstance(record.value, bool) == isinstance(want.value, bool)
            assert float(record.value) == float(want.value)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (812, "19032c"),
        (Decimal("21"), "15"),
        (Decimal("1E+3"), "1903e8"),
        (Decimal("-0"), "00"),
        (Decimal("23.5"), "f94de0"),
        (Decimal("23.69"), "c48221190941"),
        (Decimal("1E+20"), "c4821401"),
        (23.69, "fb4037b0a3d70a3d71"),
    ],
)
def test_senml_cbor_numbers_are_short_and_exact(value: Any, encoded: str) -> None:
    readings = number_on(0, at(0, "x", "lx", value))
    (payload,) = payloads("senml+cbor", SCHOOL, readings)
    ((label, number),) = [item for item in cbor2.loads(payload)[0].items() if item[0] == 2]
    assert bytes([label]) + bytes.fromhex(encoded) in payload
    assert number == value


# OS2iot


@FEWER
@given(packs)
def test_os2iot_objects_are_flat_and_oldest_first(readings: list[Reading]) -> None:
    objects = [read_json(payload) for payload in payloads("os2iot", SCHOOL, readings)]
    assert all(isinstance(v, str | int | Decimal) for flat in objects for v in flat.values())
    channels = Counter(key for flat in objects for key in flat if not key.startswith("_"))
    assert channels == Counter(reading.record.name for reading in readings)
    times = [flat["_time"].removesuffix("Z") for flat in objects]
    assert times == sorted(times)
    numbers = [(flat["_journal"], flat["_seq"]) for flat in objects]
    assert len(set(numbers)) == len(numbers)


def test_os2iot_keeps_both_values_of_one_time() -> None:
    readings = number_on(3, at(0, "co2", "ppm", 400), at(0, "co2", "ppm", 410))
    objects = [read_json(payload) for payload in payloads("os2iot", SCHOOL, readings)]
    assert [(flat["_seq"], flat["co2"]) for flat in objects] == [(3, 400), (4, 410)]


# The guide


def test_the_guides_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (module,) = re.findall(
        r"```python\n(\"\"\".*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    (output,) = re.findall(r"```text\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "influx.py").write_text(module, encoding="utf-8")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.setitem(formats._MODULES, "influx", "influx")
    assert payloads("influx", SCHOOL, SCHOOL_READINGS) == [output.encode()]
    test_every_reading_is_in_one_message(name="influx")
