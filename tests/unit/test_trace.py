"""Recordings: what is looked up in them, and what is said about those that can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import feltpost_tools.sim.trace
from feltpost_tools.errors import TraceError
from feltpost_tools.sim.trace import Trace

START = 1422886740.0

GOOD = """\
time,temperature_cel,note,co2_ppm
2015-02-02T14:19:00Z,23.7,door open,749.2
2015-02-02T14:20:00Z,23.718,,760.4

2015-02-02T15:22:00+01:00,-23.5,,774.75
"""


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace.load(write(tmp_path, GOOD))


def write(directory: Path, text: str) -> Path:
    path = directory / "room.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_extent(trace: Trace) -> None:
    assert trace.quantities == {"temperature", "co2"}
    assert trace.start == START
    # The last row holds as long as the two minutes of the one before.
    assert trace.end == START + 300
    assert trace.duration_s == 300


@pytest.mark.parametrize(
    ("offset_s", "temperature"),
    [
        (0, 23.7),
        (59.999, 23.7),
        (60, 23.718),
        (179.9, 23.718),
        (180, -23.5),
        (299.9, -23.5),
        (300, 23.7),
        (-1, -23.5),
        (-300, 23.7),
        (300 * 100_000 + 60, 23.718),
    ],
)
def test_holds_and_begins_again(trace: Trace, offset_s: float, temperature: float) -> None:
    assert trace.value("temperature", START + offset_s) == temperature


@given(time=st.floats(-1e12, 1e12))
def test_there_is_a_value_at_any_time(time: float) -> None:
    trace = Trace([10.0, 20.0, 25.0], {"co2": [1.0, 2.0, 3.0]})
    assert trace.value("co2", time) in (1.0, 2.0, 3.0)


def test_quantity_that_was_not_recorded(trace: Trace) -> None:
    with pytest.raises(KeyError, match="illuminance"):
        trace.value("illuminance", START)


def test_times_without_offset_and_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufefftime,water_level_m\n2015-02-02 14:19,1\n2015-02-02 14:20,2\n"
    trace = Trace.load(write(tmp_path, text))
    assert trace.start == START
    assert trace.quantities == {"waterLevel"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (GOOD, "", "room.csv: is empty"),
        ("time,", "when,", "line 1: has no column 'time'"),
        ("temperature_cel,note,co2_ppm", "t,note,c", "line 1: has no column of values"),
        ("note", "co2_ppm", "line 1: has the column 'co2_ppm' more than once"),
        ("23.718", "warm", "line 3, column temperature_cel: 'warm' is not a number"),
        ("23.718", "", "line 3, column temperature_cel: '' is not a number"),
        ("774.75", "nan", "line 5, column co2_ppm: 'nan' is not a number"),
        ("774.75", "inf", "line 5, column co2_ppm: 'inf' is not a number"),
        ("2015-02-02T14:20:00Z", "noon", "line 3, column time: 'noon' is not a time"),
        ("14:20:00Z", "14:19:00Z", "line 3, column time: .* is not later than the row before"),
        ("14:20:00Z", "14:18:00Z", "line 3, column time: .* is not later than the row before"),
        (",749.2", "", "line 2: has 3 fields where line 1 names 4"),
        (GOOD[GOOD.index("2015-02-02T14:20") :], "", "has 1 rows of values; .* two or more"),
    ],
)
def test_unusable(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(TraceError, match=message) as error:
        Trace.load(path)
    assert str(path) in str(error.value)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="none.csv: cannot be read: No such file"):
        Trace.load(tmp_path / "none.csv")
    path = tmp_path / "room.csv"
    path.write_bytes(b"time,co2_ppm\n\xff\xfe\n")
    with pytest.raises(TraceError, match="room.csv: is not a CSV file in UTF-8"):
        Trace.load(path)


@given(content=st.text(max_size=200) | st.binary(max_size=200))
def test_any_file_is_a_recording_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "room.csv"
    if isinstance(content, str):
        content = b"time,co2_ppm\n" + content.encode("utf-8", "surrogatepass")
    path.write_bytes(content)
    try:
        trace = Trace.load(path)
    except TraceError:
        return
    assert trace.duration_s > 0


def test_the_repositorys_own_recording() -> None:
    data = Path(feltpost_tools.sim.trace.__file__).parent / "data"
    trace = Trace.load(data / "indoor-climate-short.csv")
    assert trace.quantities == {"temperature", "relativeHumidity", "illuminance", "co2"}
    assert trace.start == START
    assert trace.duration_s == pytest.approx(4 * 3600, abs=120)
    assert trace.value("illuminance", START) == 585.2
