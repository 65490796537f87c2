"""The chaos runs' part in pytest: what is asked for, the same in all processes; the summary."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.system.chaos import report

# Those of the run of all tests are always the same, so that it is the change that turns it red.
_FAULTS = 100
_SEED = 20_261_122
_SEEDS = 1_000_000

# What a round says of itself travels under this name.
PROPERTY = "chaos"


class Chaos:
    """faults: how many; seed: what decides them, drawn once where pytest runs in many processes."""

    def __init__(self, config: pytest.Config):
        asked = config.getoption("chaos")
        self.faults: int = _FAULTS if asked is None else asked
        seed = config.getoption("chaos_seed")
        if seed is None:
            seed = _SEED if asked is None else random.SystemRandom().randrange(_SEEDS)
        told = getattr(config, "workerinput", {})
        self.seed: int = told.get("chaos_seed", seed)
        self._root = config.rootpath
        self._rounds: dict[int, dict[str, Any]] = {}

    def command(self, round_: int) -> str:
        """Return what repeats one round."""
        test = f"tests/system/test_chaos.py::test_nothing_is_lost[{round_}]"
        return f"./run test --chaos {self.faults} --chaos-seed {self.seed} '{test}'"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["chaos_seed"] = self.seed

    def pytest_report_header(self) -> str:
        return f"chaos: {self.faults} faults, seed {self.seed}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            said = [value for name, value in report.user_properties if name == PROPERTY]
            # What a round says at its end takes the place of what it said at its beginning.
            self._rounds |= {one["number"]: one for one in said}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._rounds:
            return
        summary = report.summary(self.seed, list(self._rounds.values()))
        terminalreporter.section("chaos")
        terminalreporter.write_line(report.table(summary))
        folder = self._root / "dist" / "reports"
        report.write(summary, folder)
        terminalreporter.write_line(f"also in {folder / 'chaos.md'} and chaos.json")
