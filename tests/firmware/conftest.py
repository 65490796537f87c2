"""Runs mp_*.py on MicroPython: each of their test functions is a test here."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.firmware.driver_node import BusNode, PartNode

from feltpost_tools.sim.interpreter import Interpreter, find

FIRMWARE = Path(__file__).parents[2] / "firmware"
# Far more than any of them takes: a hang is a failure too.
TIMEOUT_S = 60


@cache
def interpreter() -> Interpreter:
    return find()


def environment() -> dict[str, str]:
    return {**os.environ, "MICROPYPATH": f"{FIRMWARE}:{Path(__file__).parent}:.frozen"}


def is_script(path: Path) -> bool:
    return path.suffix == ".py" and path.name.startswith("mp_")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    # One that is named on the command line comes by way of the hook below.
    if is_script(file_path) and not parent.session.isinitpath(file_path):
        return Script.from_parent(parent, path=file_path)
    return None


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    return Script.from_parent(parent, path=module_path) if is_script(module_path) else None


class Script(pytest.File):
    """A MicroPython script, read but not imported."""

    def collect(self) -> Iterator[pytest.Item]:
        for node in ast.parse(self.path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield Function.from_parent(self, name=node.name)


class Function(pytest.Item):
    """One test function of a script, in an interpreter of its own."""

    def runtest(self) -> None:
        done = subprocess.run(
            [*interpreter().command, "-X", "heapsize=256K", str(self.path), self.name],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        if done.returncode or done.stdout != "passed\n":
            raise Failed(done.stdout + done.stderr)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None):
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class Failed(Exception):
    """What the script said when it failed."""


@pytest.fixture(scope="module")
def _bus_node(micropython: Interpreter) -> Iterator[BusNode]:
    node = BusNode(micropython)
    yield node
    node.close()


@pytest.fixture
def bus_node(_bus_node: BusNode) -> BusNode:
    """A node with an empty I2C bus."""
    _bus_node.reset()
    return _bus_node


@pytest.fixture(scope="module")
def _part_node(micropython: Interpreter) -> Iterator[PartNode]:
    node = PartNode(micropython)
    yield node
    node.close()


@pytest.fixture
def part_node(_part_node: PartNode) -> PartNode:
    """A node whose pins and buses lead to nothing."""
    _part_node.reset()
    return _part_node
