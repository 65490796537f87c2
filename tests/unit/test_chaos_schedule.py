"""Rounds of chaos are decided by a seed; what they say of themselves adds up."""

import json
from collections import Counter
from dataclasses import asdict

import pytest
from tests.system.chaos import report, schedule
from tests.system.chaos.report import Played


def drawn(seed, faults):
    return [schedule.draw(seed, number, faults) for number in range(schedule.rounds(faults))]


def test_a_seed_always_decides_the_same_and_another_one_something_else():
    assert drawn(3, 100) == drawn(3, 100)
    assert drawn(3, 100) != drawn(4, 100)
    # How many there are in all changes nothing but how long the last round is.
    assert drawn(3, 1000)[:8] == drawn(3, 100)[:8]


@pytest.mark.parametrize("faults", [1, 12, 13, 100, 1000])
def test_there_are_as_many_faults_as_asked_for(faults):
    assert sum(len(round_.steps) for round_ in drawn(3, faults)) == faults


def test_every_kind_has_its_turn_as_often_as_any_other():
    faults = 4 * len(schedule.KINDS)
    turns = Counter(type(step.fault) for round_ in drawn(3, faults) for step in round_.steps)
    assert set(turns) == set(schedule.KINDS)
    assert set(turns.values()) == {4}


def test_a_step_says_all_that_decides_it():
    for round_ in drawn(5, 200):
        for step in round_.steps:
            for value in asdict(step.fault).values():
                assert str(value) in str(step)


def played(number, *, passed=True, **faults):
    return asdict(
        Played(
            number,
            passed,
            faults,
            kills=2,
            simulated_s=5400,
            readings={"sampled": 1000, "in gaps": 3},
        )
    )


def test_a_round_that_says_nothing_at_its_end_has_failed():
    summary = report.summary(77, [played(0, cut=1), asdict(Played(1))])
    assert (summary.rounds, summary.failed, summary.faults) == (2, [1], {"cut": 1})


def test_rounds_add_up_and_what_failed_survived_nothing(tmp_path):
    rounds = [played(2, brownout=2), played(0, brownout=1, cut=5), played(1, passed=False, cut=9)]
    summary = report.summary(77, rounds)
    assert (summary.rounds, summary.failed) == (3, [1])
    assert summary.faults == {"brownout": 3, "cut": 5}
    assert (summary.kills, summary.simulated_hours) == (4, 4)
    assert summary.readings == {"sampled": 3000, "in gaps": 9}
    table = report.table(summary)
    assert "Seed 77" in table
    assert "**failed: 1**" in table
    assert "| readings sampled | 3,000 |" in table
    report.write(summary, tmp_path / "new")
    assert (tmp_path / "new" / "chaos.md").read_text() == table + "\n"
    assert json.loads((tmp_path / "new" / "chaos.json").read_text()) == asdict(summary)
