"""The bench: verdicts, what it prints and writes, and that it measures a node that runs."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from bench import node_day, node_encode, table
from bench.table import Row, Section
from rich.console import Console

from feltpost_tools.errors import MissingTool
from feltpost_tools.sim import interpreter
from feltpost_tools.sim.interpreter import Interpreter


@pytest.fixture(scope="session")
def narrow() -> Interpreter:
    """Return the 32-bit MicroPython, whose heap is a board's."""
    try:
        return interpreter.find(32)
    except MissingTool as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(
    ("row", "met", "budget"),
    [
        (Row("size", 160, "bytes", at_most=160), True, "at most 160"),
        (Row("size", 161, "bytes", at_most=160), False, "at most 160"),
        (Row("hours", 24, "", at_least=24), True, "at least 24"),
        (Row("hours", 23, "", at_least=24), False, "at least 24"),
        (Row("size", None, "bytes", at_most=160, why="no node"), False, "at most 160"),
        (Row("size", 1_000_000, "bytes"), None, ""),
    ],
)
def test_a_figure_is_held_against_its_budget(row: Row, met: bool | None, budget: str) -> None:
    assert (row.met, row.budget) == (met, budget)


def test_figures_are_as_long_as_they_need_to_be() -> None:
    figures = {row.value: row.figure for row in (Row("", v, "µs") for v in (0.1968, 2048, 160.43))}
    assert figures == {0.1968: "0.197 µs", 2048: "2,048 µs", 160.43: "160.4 µs"}
    assert Row("", None, "µs", why="no node").figure == "no node"


def test_paper_and_json_tell_the_same(tmp_path: Path) -> None:
    rows = [Row("good", 1, "", at_most=1), Row("bad", None, "B", at_most=2, why="it broke")]
    sections = [Section("Part", rows, "some interpreter", ["A note."])]
    paper = io.StringIO()
    table.show(sections, Console(file=paper, width=100))
    table.write(sections, tmp_path / "figures.json")
    lines = paper.getvalue().splitlines()
    (good,) = [line for line in lines if "good" in line]
    (bad,) = [line for line in lines if "bad" in line]
    assert "met" in good and "at most 1" in good
    assert "missed" in bad and "it broke" in bad
    assert "\x1b" not in paper.getvalue()
    content = json.loads((tmp_path / "figures.json").read_text())
    assert [row["met"] for row in content["sections"][0]["rows"]] == [True, False]
    assert content["sections"][0]["notes"] == ["A note."]
    for name in ("CPU", "OS", "Python", "commit"):
        assert f"{name}: {content[name]}" in lines


def test_twelve_readings_stay_within_the_budgets_that_no_machine_changes(
    narrow: Interpreter, tmp_path: Path
) -> None:
    encoding = node_encode.measure(narrow, tmp_path)
    assert 100 < encoding.message_bytes <= 160
    assert 0 < encoding.allocated <= encoding.reference_allocated / 5
    assert encoding.time_us > 0
    assert "as recorded" in encoding.reference


def test_an_hour_fits_the_heap_and_takes_one_round_trip_a_set(
    narrow: Interpreter, tmp_path: Path
) -> None:
    hour = asyncio.run(node_day.run(node_day.INDOOR_CLIMATE, tmp_path / "run", 96, 1))
    assert (hour.failure, hour.hours) == ("", 1)
    assert (hour.traffic.sets, hour.traffic.requests) == (60, 60)
    assert 100 < hour.traffic.octets / hour.traffic.sets <= 210
    (sample,) = hour.heap
    assert 0 < sample.largest <= sample.free < 96 * 1024


def test_a_heap_that_is_too_small_is_told_as_the_reason(
    narrow: Interpreter, tmp_path: Path
) -> None:
    hour = asyncio.run(node_day.run(node_day.INDOOR_CLIMATE, tmp_path / "run", 40, 1))
    assert "MemoryError" in hour.failure
    assert hour.hours == 0
