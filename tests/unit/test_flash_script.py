"""The programs that are sent to a board: whole, and with each name defined once."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from feltpost_tools.flashing import application, configuration, factory_reset, key, script


@pytest.mark.parametrize("module", [application, configuration, factory_reset, key])
def test_a_program_is_its_scripts_without_what_is_for_readers(module: object) -> None:
    source = script._source(module._SCRIPTS)
    body = ast.parse(source).body
    names = Counter(
        name
        for statement in body
        for name in (
            [statement.name]
            if isinstance(statement, ast.FunctionDef)
            else [target.id for target in getattr(statement, "targets", ())]
        )
    )
    assert names
    assert [name for name, count in names.items() if count > 1] == []
    assert "scripts" not in source
    assert '"""' not in source
    # As an argument would, it would fill the heap of a board that has little.
    assert len(source) < 6_000


def test_a_call_has_its_arguments_as_any_python_reads_them() -> None:
    line = script.call("use", "Ø", None, True, ["a'b"], {"x": "\n"})
    seen: list[object] = []
    exec(line, {"use": lambda *arguments: seen.extend(arguments)})
    assert line.isascii()
    assert seen == ["Ø", None, True, ["a'b"], {"x": "\n"}]
