"""Each thing that can go wrong is found, alone; what may happen is not taken for it."""

from dataclasses import replace

import pytest
from tests.unit.ledgers import T0, arrival, at_us, kinds, ledger_of, sample

from feltpost_tools.sim.ledger_verdict import Kind

UNSEEN, JOURNAL_FULL, CORRUPT, REJECTED, LOST_WITH_POWER, UNREADABLE, EVICTED, DAMAGED = range(8)


def without(*lost, count=10):
    return [number for number in range(count) if number not in lost]


def test_all_is_well():
    ledger = ledger_of(10)
    ledger.acknowledged("n", 1, 0, 6)
    ledger.acknowledged("n", 1, 4, 6)
    ledger.handed_over("n", 1, range(10))
    ledger.arrived(arrival(9), 0)
    verdict = ledger.verdict()
    assert verdict.ok
    assert str(verdict) == (
        "10 sampled, 10 acknowledged, 10 handed over, 10 arrived, 1 more than once, 0 in gaps,"
        " 0 lost before the journal"
    )


def test_what_a_node_tells_of_itself_needs_no_sample_but_its_numbers_count():
    ledger = ledger_of(3)
    ledger.arrived(arrival(3, name="uptime", value=12), 0)
    ledger.arrived(arrival(5, name="sensorFault.scd41", value=1), 0)
    assert kinds(ledger) == [Kind.UNACCOUNTED]


# What was promised


def test_acknowledged_and_missing():
    ledger = ledger_of(10, without(4, 5, 7))
    ledger.acknowledged("n", 1, 0, 10)
    ledger.interrupted("n", at_us(5) + 1)
    ledger.interrupted("n", at_us(4) + 1)
    ledger.interrupted("n", at_us(7) + 1)
    verdict = ledger.verdict()
    assert [(finding.kind, finding.node) for finding in verdict.findings] == [
        (Kind.ACKNOWLEDGED_MISSING, "n"),
        (Kind.ACKNOWLEDGED_MISSING, "n"),
    ]
    assert "numbers 4 to 5 " in verdict.findings[0].text
    assert "number 7 " in verdict.findings[1].text


@pytest.mark.parametrize("reason", [UNREADABLE, EVICTED, DAMAGED])
def test_acknowledged_and_lost_at_the_gateway(reason):
    ledger = ledger_of(10, without(4, 5))
    ledger.acknowledged("n", 1, 0, 10)
    ledger.gap("n", 1, 4, 2, reason)
    assert kinds(ledger) == [Kind.ACKNOWLEDGED_MISSING, Kind.WRONG_REASON]
    ledger.expect_loss("n", reason)
    assert kinds(ledger) == []


@pytest.mark.parametrize("reason", [JOURNAL_FULL, CORRUPT, REJECTED, LOST_WITH_POWER])
def test_acknowledged_and_lost_at_the_node(reason):
    ledger = ledger_of(10, without(4, 5))
    ledger.acknowledged("n", 1, 0, 10)
    ledger.gap("n", 1, 4, 2, reason)
    ledger.expect_loss("n", reason)
    assert kinds(ledger) == [Kind.ACKNOWLEDGED_MISSING]


def test_acknowledged_and_never_seen_anywhere():
    # Nothing tells of them but the answer that the node got.
    ledger = ledger_of(10)
    ledger.acknowledged("n", 1, 8, 4)
    assert kinds(ledger) == [Kind.ACKNOWLEDGED_MISSING]


def test_handed_over_and_missing():
    ledger = ledger_of(10, without(3))
    ledger.acknowledged("n", 1, 0, 10)
    ledger.handed_over("n", 1, range(10))
    ledger.gap("n", 1, 3, 1, DAMAGED)
    ledger.expect_loss("n", DAMAGED)
    assert kinds(ledger) == [Kind.HANDED_OVER_MISSING]


# Numbers and gaps


def test_a_number_that_is_nowhere():
    ledger = ledger_of(10, without(9))
    ledger.arrived(replace(arrival(9), number=11), 0)
    found = ledger.verdict().findings
    assert [finding.kind for finding in found] == [Kind.UNACCOUNTED]
    assert "numbers 9 to 10 " in found[0].text


def test_journals_and_nodes_are_apart():
    ledger = ledger_of(10, without(8, 9))
    for number in (8, 9):
        ledger.arrived(replace(arrival(number), journal=2, number=number - 8), 0)
    ledger.sampled(sample(0, node="m"), 0)
    ledger.arrived(arrival(0, node="m"), 0)
    assert kinds(ledger) == []


def test_a_gap_of_what_arrived():
    ledger = ledger_of(10, without(5))
    ledger.expect_loss("n", JOURNAL_FULL)
    ledger.gap("n", 1, 5, 2, JOURNAL_FULL)
    found = ledger.verdict().findings
    assert [finding.kind for finding in found] == [Kind.FALSE_GAP]
    assert "number 6 " in found[0].text


@pytest.mark.parametrize("reason", range(8))
def test_a_gap_whose_reason_nothing_gave(reason):
    ledger = ledger_of(10, without(5))
    ledger.gap("n", 1, 5, 1, reason)
    for other in {1, 2, 3, 4, 5, 6, 7} - {reason}:
        ledger.expect_loss("n", other)
    ledger.expect_loss("m", reason)
    assert kinds(ledger) == [Kind.WRONG_REASON]
    ledger.expect_loss("n", reason)
    assert kinds(ledger) == []


@pytest.mark.parametrize("reason", range(8))
def test_a_gateway_whose_store_was_damaged_may_not_know_what_it_delivered(reason):
    ledger = ledger_of(10)
    ledger.gap("n", 1, 5, 2, reason)
    ledger.expect_loss("n", reason)
    assert kinds(ledger) == ([] if reason in (UNSEEN, UNREADABLE, DAMAGED) else [Kind.FALSE_GAP])


def test_gaps_are_those_of_the_last_look():
    ledger = ledger_of(10)
    ledger.gap("n", 1, 5, 2, 0)
    ledger.forget_gaps()
    assert kinds(ledger) == []


@pytest.mark.parametrize("reason", [CORRUPT, LOST_WITH_POWER])
def test_a_power_cut_explains_gaps_around_it_and_nowhere_else(reason):
    ledger = ledger_of(10, without(5, 8))
    ledger.interrupted("n", at_us(5) + 3_000_000)
    ledger.interrupted("m", at_us(8) + 3_000_000)
    ledger.gap("n", 1, 5, 1, reason)
    ledger.gap("n", 1, 8, 1, reason)
    verdict = ledger.verdict()
    assert [finding.kind for finding in verdict.findings] == [Kind.WRONG_REASON]
    assert "number 8 " in verdict.findings[0].text
    assert verdict.counts.in_gaps == 2


def test_a_power_cut_does_not_explain_a_full_journal():
    ledger = ledger_of(10, without(5))
    ledger.interrupted("n", at_us(5) + 3_000_000)
    ledger.gap("n", 1, 5, 1, JOURNAL_FULL)
    assert kinds(ledger) == [Kind.WRONG_REASON]


def test_a_gap_after_a_loss_of_power_may_count_numbers_that_no_reading_had():
    ledger = ledger_of(10, without(8, 9))
    ledger.interrupted("n", at_us(9) + 3_000_000)
    ledger.gap("n", 1, 8, 64, LOST_WITH_POWER)
    assert kinds(ledger) == []


# Order


def test_out_of_order():
    ledger = ledger_of(6, [0, 1, 3, 2, 4, 5])
    found = ledger.verdict().findings
    assert [finding.kind for finding in found] == [Kind.ORDER]
    assert "3, then 2" in found[0].text


def test_a_backlog_may_go_out_beside_what_is_new():
    ledger = ledger_of(10, [0, 1, 6, 2, 7, 3, 8, 4, 9, 5])
    assert kinds(ledger) == [Kind.ORDER]
    assert kinds(ledger, lanes=2) == []
    # Within a lane order is kept.
    assert kinds(ledger_of(10, [0, 1, 6, 3, 7, 2, 8, 4, 9, 5]), lanes=2) == [Kind.ORDER]


def test_what_is_sent_again_is_not_out_of_order():
    ledger = ledger_of(6, [0, 1, 2, 3, 1, 2, 3, 4, 5])
    assert kinds(ledger) == []
    assert ledger.verdict().counts.duplicates == 3


# Readings


def test_two_readings_under_one_number():
    ledger = ledger_of(5)
    ledger.arrived(replace(arrival(4), number=3), 0)
    found = ledger.verdict().findings
    assert [finding.kind for finding in found] == [Kind.DUPLICATE_NUMBER]
    assert "number 3 " in found[0].text


@pytest.mark.parametrize(
    "change", [{"unix_s": T0 + 4}, {"value": 20.01}, {"unit": "K"}, {"name": "temperature.outdoor"}]
)
def test_a_reading_that_comes_again_must_say_the_same(change):
    ledger = ledger_of(1)
    ledger.arrived(replace(arrival(0), **change), 0)
    assert kinds(ledger) == [Kind.DUPLICATE_NUMBER]


def test_a_reading_that_is_dated_anew_is_the_same():
    ledger = ledger_of(1)
    ledger.arrived(replace(arrival(0), unix_s=T0 + 1), 0)
    assert kinds(ledger) == []


def test_one_reading_under_two_numbers():
    ledger = ledger_of(5)
    ledger.arrived(replace(arrival(4), number=5), 0)
    found = ledger.verdict().findings
    assert [finding.kind for finding in found] == [Kind.DUPLICATE_NUMBER]
    assert "number 5:" in found[0].text


@pytest.mark.parametrize(
    "change",
    [{"value": 20.04}, {"unit": "K"}, {"name": "humidity"}, {"unix_s": T0 + 60 + 3}],
)
def test_a_reading_that_is_nobodys(change):
    ledger = ledger_of(1)
    ledger.arrived(replace(arrival(1), **change), 0)
    assert kinds(ledger) == [Kind.WRONG]


def test_what_is_sampled_after_closing_need_not_arrive_but_must_be_right():
    ledger = ledger_of(2)
    ledger.close(at_us(2))
    ledger.sampled(sample(2), 0)
    ledger.sampled(sample(3), 0)
    ledger.arrived(arrival(2), 0)
    assert kinds(ledger) == []
    ledger.arrived(replace(arrival(3), value=3), 0)
    assert kinds(ledger) == [Kind.WRONG]
    assert ledger.verdict().counts.sampled == 2


def test_many_findings_are_told_in_a_few_lines():
    ledger = ledger_of(40, range(0, 40, 2))
    lines = str(ledger.verdict()).splitlines()
    assert lines[-2:] == ["unaccounted: 14 more", "unexplained: 15 more"]
    assert len(lines) == 1 + 5 + 5 + 2
