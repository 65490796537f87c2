"""Which MicroPython is chosen, and what is said where none can be used."""

from pathlib import Path

import pytest

from feltpost_tools.errors import MissingTool
from feltpost_tools.sim.interpreter import OLDEST, Interpreter, find


def program(path: Path, prints: str) -> Path:
    """Write an executable that answers every call with one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


def test_real_one_runs_what_it_claims(micropython: Interpreter) -> None:
    again = find(environment={"MICROPYTHON": micropython.command[0]})
    assert again == micropython
    assert again.version >= OLDEST
    assert again.bits in (32, 64)


def test_variable_overrides_the_caches(tmp_path: Path) -> None:
    program(tmp_path / "cache/32/micropython", "micropython 1 26 0 32")
    own = program(tmp_path / "own", "micropython 1 25 0 64")
    found = find(environment={"MICROPYTHON": str(own)}, caches=[tmp_path / "cache"])
    assert found == Interpreter((str(own),), (1, 25, 0), 64)


def test_32_bit_in_a_later_cache_wins_over_64_bit(tmp_path: Path) -> None:
    program(tmp_path / "first/64/micropython", "micropython 1 26 0 64")
    narrow = program(tmp_path / "second/32/micropython", "micropython 1 25 0 32")
    found = find(environment={}, caches=[tmp_path / "first", tmp_path / "second"])
    assert found.command == (str(narrow),)


def test_word_size_asked_for_is_the_one_given(tmp_path: Path) -> None:
    program(tmp_path / "32/micropython", "micropython 1 26 0 32")
    program(tmp_path / "64/micropython", "micropython 1 26 0 64")
    assert find(64, environment={}, caches=[tmp_path]).bits == 64
    assert find(32, environment={}, caches=[tmp_path]).bits == 32


def test_cached_one_that_is_of_no_use_falls_back_to_path(tmp_path: Path) -> None:
    cached = tmp_path / "32/micropython"
    cached.parent.mkdir()
    cached.write_bytes(b"\x7fELF for another machine")
    cached.chmod(0o755)
    installed = program(tmp_path / "bin/micropython", "micropython 1 25 0 64")
    found = find(environment={"PATH": f"/nowhere:{tmp_path / 'bin'}"}, caches=[tmp_path])
    assert found.command == (str(installed),)


@pytest.mark.parametrize(
    ("prints", "reason"),
    [
        ("micropython 1 24 1 32", "is MicroPython 1.24.1, older than 1.25"),
        ("cpython 3 11 2 64", "does not answer as MicroPython does"),
        ("", "does not answer as MicroPython does"),
    ],
)
def test_refusal_names_program_reason_and_remedy(tmp_path: Path, prints: str, reason: str) -> None:
    path = program(tmp_path / "32/micropython", prints)
    with pytest.raises(MissingTool) as refusal:
        find(environment={}, caches=[tmp_path])
    assert f"{path} {reason}" in str(refusal.value)
    assert "./run" in refusal.value.how


def test_missing_override_is_refused_even_where_another_would_do(tmp_path: Path) -> None:
    program(tmp_path / "32/micropython", "micropython 1 26 0 32")
    absent = tmp_path / "absent"
    with pytest.raises(MissingTool, match="MICROPYTHON is set and .*absent does not start"):
        find(environment={"MICROPYTHON": str(absent)}, caches=[tmp_path])


def test_nothing_anywhere(tmp_path: Path) -> None:
    with pytest.raises(MissingTool, match="no usable 32-bit MicroPython: none is installed"):
        find(32, environment={"PATH": ""}, caches=[tmp_path])
