"""Every text that an operator can read is there in Danish, with the same fields."""

from __future__ import annotations

import ast
import inspect
import os
import string
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import typer
from tests.gateway.operators import write_config

from feltpost_gateway import cli, texts
from feltpost_gateway.danish import DANISH
from feltpost_gateway.registry_rows import HistoryKind

_CALLS = ("text", "translate", "both")


def literals() -> Iterator[str]:
    """The first arguments of all calls that take a text, which must be literals."""
    with resources.as_file(resources.files("feltpost_gateway")) as package:
        for path in package.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Name(id=called), args=[ast.Constant(value=str(said)), *_]
                    ):
                        if called in _CALLS:
                            yield said


def helps(app: typer.Typer) -> Iterator[str]:
    """The help texts of all commands."""
    for command in app.registered_commands:
        yield inspect.getdoc(command.callback) or ""
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from helps(group.typer_instance)


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


USED = sorted({*literals(), *helps(cli.app), *HistoryKind})


def test_there_is_a_danish_text_for_each() -> None:
    missing = [text for text in USED if text not in DANISH]
    assert not missing


def test_both_have_the_same_fields() -> None:
    different = [text for text in DANISH if fields_of(text) != fields_of(DANISH[text])]
    assert not different


def test_the_environment_chooses(tmp_path: Path) -> None:
    config = str(write_config(tmp_path))
    line = [sys.executable, "-c", "from feltpost_gateway.cli import app; app()"]
    line += ["nodes", "show", "--config", config, "x"]
    variables = {"LC_ALL": "", "LC_MESSAGES": "da_DK.UTF-8", "LANG": "en_GB"}
    done = subprocess.run(
        line, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.stderr == "der er ingen node x. Angiv dens navn eller adresse\n"


@pytest.mark.parametrize(
    ("variables", "danish"),
    [
        ({"LC_ALL": "da_DK.UTF-8", "LANG": "en_GB"}, True),
        ({"LC_ALL": "en_GB", "LC_MESSAGES": "da_DK", "LANG": "da_DK"}, False),
        ({"LANG": "da"}, True),
        ({"LANG": "dav_KE"}, False),
        ({}, False),
    ],
)
def test_the_order_of_the_variables(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], danish: bool
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, variables.get(name, ""))
    assert texts.is_danish.__wrapped__() is danish
