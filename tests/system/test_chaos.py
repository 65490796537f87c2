"""Faults of every kind, by the hundred: whatever happens, the ledger balances.

What a round does is decided by the seed and its number alone, and printed step by step. How fast
processes are is not, so a failure may take more than one try to come again.
"""

import asyncio
from collections import Counter
from dataclasses import asdict

import pytest
from tests.system.chaos import schedule
from tests.system.chaos.play import play
from tests.system.chaos.plugin import PROPERTY
from tests.system.chaos.report import Played

pytestmark = pytest.mark.timeout(900)


def pytest_generate_tests(metafunc):
    if "round_number" in metafunc.fixturenames:
        chaos = metafunc.config.pluginmanager.get_plugin("chaos")
        metafunc.parametrize("round_number", range(schedule.rounds(chaos.faults)))


def test_nothing_is_lost(
    round_number, recording, firmware, tmp_path, pytestconfig, record_property
):
    chaos = pytestconfig.pluginmanager.get_plugin("chaos")
    round_ = schedule.draw(chaos.seed, round_number, chaos.faults)
    print("again:", chaos.command(round_number))
    record_property(PROPERTY, asdict(Played(round_number)))
    outcome = asyncio.run(play(round_, recording, firmware, tmp_path))
    counts = asdict(outcome.verdict.counts)
    counts["arrived more than once"] = counts.pop("duplicates")
    played = Played(
        number=round_number,
        passed=not outcome.findings,
        faults=dict(Counter(step.fault.KIND for step in round_.steps)),
        kills=sum(step.fault.KILLS for step in round_.steps),
        simulated_s=outcome.simulated_s,
        readings={name.replace("_", " "): count for name, count in counts.items()},
    )
    record_property(PROPERTY, asdict(played))
    assert not outcome.findings, "\n".join((chaos.command(round_number), *outcome.findings))
