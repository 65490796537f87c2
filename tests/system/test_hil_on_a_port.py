"""pytest-feltpost's way to real boards, with the tests in tests/hil unchanged.

The board is a simulated one in another process: a port like any other, on a hub like any other.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.support.held_board import MAC

from feltpost_tools.device.mpremote import Mpremote

ROOT = Path(__file__).parents[2]
INVENTORY = """
[boards.bench-1]
port = "{port}"
board = "esp32-devkitc"
kit = "indoor-climate"
power = {{ hub = "1-1.4", port = 2 }}
"""
HUB = """#!/bin/sh
cd {root} && exec {python} -m tests.support.held_board "$@"
"""
ENROL = """
import esp32
nvs = esp32.NVS("feltpost")
nvs.set_blob("key", bytes(16))
nvs.commit()
"""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def held(tmp_path):
    """Yield the port of a board that another process holds, with a hub on the PATH."""
    (tmp_path / "bin").mkdir()
    hub = tmp_path / "bin" / "uhubctl"
    hub.write_text(HUB.format(root=ROOT, python=sys.executable))
    hub.chmod(0o755)
    folder = tmp_path / "held"
    folder.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.support.held_board", folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    yield holder.stdout.readline().strip()
    holder.communicate()


@pytest.fixture
def run_tests(tmp_path):
    """Return a function that runs tests in tests/hil on a board; it gives a JUnit report."""
    report = tmp_path / "report.xml"

    def run(board, expression, *options):
        result = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pytest",
                    "tests/hil",
                    "-k",
                    expression,
                    "-p",
                    "no:cacheprovider",
                ),
                *("-rs", "--board", board, "--junitxml", report, "--basetemp", tmp_path / "inner"),
                *options,
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "HELD_BOARD": str(tmp_path / "held"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        suite = ElementTree.parse(report).getroot()[0] if report.exists() else None
        return suite, result.stdout

    return run


def test_the_same_tests_pass(held, run_tests, tmp_path):
    inventory = tmp_path / "boards.toml"
    inventory.write_text(INVENTORY.format(port=held))
    wanted = "interrupt_stops or flashed_again or readings_arrive or power_cut"
    suite, printed = run_tests("bench-1", wanted, "--inventory", inventory)
    assert (suite.get("tests"), suite.get("errors")) == ("4", "0"), printed
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "0"), printed
    for case in suite.iter("testcase"):
        told = {each.get("name"): each.get("value") for each in case.iter("property")}
        assert (told["board"], told["board.chip"]) == ("bench-1", "ESP32")
        assert told["board.eui64"] == (MAC[:3] + b"\xff\xfe" + MAC[3:]).hex()
        # The port has no line RTS, so the log shows the way round it.
        assert "machine.reset()" in Path(told["board.log"]).read_text()


def test_a_node_in_use_is_not_wiped(held, run_tests):
    asyncio.run(Mpremote(held).run(ENROL, timeout_s=60))
    suite, printed = run_tests(held, "interrupt_stops or identity or selftest")
    assert (suite.get("errors"), suite.get("skipped")) == ("1", "2"), printed
    assert "the board is a node" in printed
    assert "board 'tty' has no sensor; wired: nothing" in printed
    assert asyncio.run(Mpremote(held).run("nvs = 1", timeout_s=60)) == ""
