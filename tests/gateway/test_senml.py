"""SenML packs: what they resolve to, what is refused, and that nothing else can happen."""

from __future__ import annotations

import contextlib
import struct
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feltpost_gateway import senml
from feltpost_gateway.errors import ClockNotSetError, PackError, PackTooLargeError
from feltpost_gateway.formats.senml_json import format_readings
from feltpost_gateway.senml import Record, shortest_decimal

NOW_MS = 1_790_000_600_000
TIME_S = 1_790_000_000


def decode(payload: bytes, now_ms: int | None = NOW_MS) -> list[Record]:
    records = senml.decode(payload, now_ms=now_ms, base_name="urn:dev:mac:1_", short_floats=True)
    senml.check(records, now_ms=now_ms)
    return records


def of(*records: Any) -> list[Record]:
    return decode(cbor2.dumps(list(records)))


def test_base_values_hold_from_their_record_on() -> None:
    assert of(
        {-3: TIME_S, -2: "temperature", 2: 20},
        {0: ".outdoor", 2: 5, 6: 60},
        {-3: TIME_S + 100, -2: "", 0: "pressure", -4: "hPa", 2: 1013},
        {-2: "tide", 2: 7, 6: -1},
    ) == [
        Record("temperature", "Cel", 20, TIME_S * 1000),
        Record("temperature.outdoor", "Cel", 5, (TIME_S + 60) * 1000),
        Record("pressure", "hPa", 1013, (TIME_S + 100) * 1000),
        Record("tide", "hPa", 7, (TIME_S + 99) * 1000),
    ]


def test_relative_and_absolute_times() -> None:
    assert of({0: "c", 2: 1, 6: -60})[0].time_ms == NOW_MS - 60_000
    assert of({0: "c", 2: 1})[0].time_ms == NOW_MS
    assert of({0: "c", 2: 1, 6: TIME_S + 0.25})[0].time_ms == TIME_S * 1000 + 250
    assert of({0: "c", 2: 1, 6: Decimal(f"{TIME_S}.125")})[0].time_ms == TIME_S * 1000 + 125
    with pytest.raises(ClockNotSetError):
        decode(cbor2.dumps([{0: "c", 2: 1}]), now_ms=None)
    far = cbor2.dumps([{0: "c", 2: 1, 6: NOW_MS // 1000 + 90_000}])
    assert decode(far, now_ms=None)
    with pytest.raises(PackError, match="a day ahead"):
        decode(far)


def test_own_base_name_is_taken_off() -> None:
    assert of({-2: "urn:dev:mac:1_", 0: "t", 2: 1})[0].name == "temperature"
    assert of({-2: "urn:dev:mac:2_", 0: "t", 1: "K", 2: 1})[0].name == "urn:dev:mac:2_t"


@pytest.mark.parametrize(
    ("encoded", "decimal"),
    [
        ("f94dec", "23.69"),
        ("f93266", "0.2"),
        ("f90000", "0"),
        ("f98000", "0"),
        ("f9fbff", "-65500"),
        ("f90001", "6e-8"),
        ("fa41bd999a", "23.7"),
        ("fa47c34f80", "99999"),
        ("fb3fb999999999999a", "0.1"),
        ("c48221190951", "23.85"),
        ("1903e8", "1000"),
    ],
)
def test_numbers_stand_for_decimals(encoded: str, decimal: str) -> None:
    payload = b"\x81\xa3\x00\x61x\x01\x62lx\x02" + bytes.fromhex(encoded)
    (record,) = decode(payload)
    assert Decimal(str(record.value)) == Decimal(decimal)
    text = format_readings("urn:dev:mac:1", [record]).decode()
    assert f'"v":{Decimal(decimal):f},' in text


@given(st.integers(0, 0xFFFF))
def test_shortest_decimal_rounds_back_and_is_shortest(bits: int) -> None:
    (value,) = struct.unpack(">e", bits.to_bytes(2, "big"))
    if value != value or abs(value) == float("inf"):
        return
    decimal = shortest_decimal(value)
    assert struct.unpack("e", struct.pack("e", float(decimal)))[0] == value
    digits = len(Decimal(decimal).normalize().as_tuple().digits)
    for shorter in range(1, digits):
        candidate = float(f"{value:.{shorter - 1}e}")
        assert (
            abs(candidate) > 65_504 or struct.unpack("e", struct.pack("e", candidate))[0] != value
        )


REFUSED = {
    "82a3006163020106": "ends too early",
    "a0": "array of one record",
    "80": "array of one record",
    "8101": "record 0: is not a map",
    "81a1006163": "not exactly one value",
    "81a0": "is not a SenML name",
    "81a40061630201026102": "record 0: label 2 appears twice",
    "81a400616302011802" + "02": "label 2 appears twice",
    "81a20061630563616263": "label 5 is not taken",
    "81a2006163026178": "v is not a number",
    "81a2006163" + "04" + "01": "vb is not a truth value",
    "81a2006163" + "02" + "f97c00": "finite",
    "81a2006163" + "02" + "f5": "v is not a number",
    "81a2006163" + "02" + "c4821a3b9aca0001": "exponent 1000000000",
    "81a2006163" + "02" + "c48201c24101": "tag 2 is not taken",
    "81a2006163" + "02" + "c11a00": "tag 1 is not taken",
    "81a2006163" + "02" + "1c": "is not CBOR",
    "81a2006163" + "02" + "f7": "has no place here",
    "81a2006163" + "02" + "818181818181": "nested too deep",
    "81a2006163" + "02" + "5f4101ff": "has no place here",
    "81a30061610162" + "6c78" + "0201" + "00": "bytes follow",
    "81a200" + "62c328" + "0201": "record 0: a text is not UTF-8",
    "81a2006120" + "0201": "is not a SenML name",
    "81a301" + "6378797a" + "0061610201": "not a unit",
    "81a301" + "614b" + "0061740201": "is reported in Cel",
    "81a2006163" + "04f5": "is a number, not a truth value",
    "81a3200b" + "00616302" + "01": "SenML version 11",
    "9bffffffffffffffff": "ends too early",
    "bbffffffffffffffff": "ends too early",
}


def test_marks_and_extensions() -> None:
    def decoded(**extra: Any) -> list[Record]:
        return of({0: "c", 2: 400, 6: TIME_S} | extra)

    assert decoded()[0].marks == 0
    assert decoded(q=5)[0].marks == 5
    assert decoded(colour="red")[0] == decoded()[0]
    for marks in (-1, 8, 1.0, True, "1"):
        with pytest.raises(PackError, match="marks"):
            decoded(q=marks)
    with pytest.raises(PackError, match="label 'must_' is not taken"):
        decoded(must_=1)


@pytest.mark.parametrize("payload", REFUSED)
def test_refused(payload: str) -> None:
    with pytest.raises(PackError, match=REFUSED[payload]):
        decode(bytes.fromhex(payload))


def test_names_have_a_limit() -> None:
    assert of({0: "x" * 64, 1: "lx", 2: 1})
    with pytest.raises(PackError, match="record 1: its name is longer"):
        of({0: "c", 2: 1}, {0: "x" * 65, 1: "lx", 2: 1})


def test_too_many_records() -> None:
    assert len(of(*[{0: "c", 2: 1}] * 64)) == 64
    with pytest.raises(PackTooLargeError):
        of(*[{0: "c", 2: 1}] * 65)


def test_indefinite_lengths_are_taken() -> None:
    (record,) = decode(bytes.fromhex("9fbf0061630219019affff"))
    assert record.value == 410


@given(st.binary(max_size=200))
@example(b"\x81" * 2000)
@example(b"\xc4" * 2000)
@example(b"\xd8\x1d\x00" * 20)
def test_any_bytes_give_a_pack_or_our_error(payload: bytes) -> None:
    try:
        records = decode(payload)
    except PackError:
        return
    assert 1 <= len(records) <= 64
    format_readings("urn:dev:mac:1", records)


_values = (
    st.integers(-(2**70), 2**70)
    | st.floats()
    | st.booleans()
    | st.text(max_size=5)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.none()
    | st.lists(st.integers(), max_size=2)
)
_labels = st.sampled_from([-4, -3, -2, -1, 0, 1, 2, 4, 6, 5, "x"])


@given(st.lists(st.dictionaries(_labels, _values, max_size=6), max_size=4))
def test_any_records_give_a_pack_or_our_error(records: list[dict[Any, Any]]) -> None:
    with contextlib.suppress(PackError):
        format_readings("urn:dev:mac:1", decode(cbor2.dumps(records)))
