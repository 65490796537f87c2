"""A sample that has not arrived needs a reason, and a reading a sample that is its own."""

from dataclasses import replace

import pytest
from tests.unit.ledgers import MINUTE_S, T0, arrival, at_us, kinds, ledger_of, sample

from feltpost_tools.sim.ledger_verdict import Kind

FULL = 1
BOUNDED = 2
HOUR_S = 3600


# What explains that a sample is missing


def test_a_sample_that_is_nowhere():
    # Its number has been given to another one.
    ledger = ledger_of(10, [])
    for number, shown in enumerate([0, 1, 2, 4, 5, 6, 7, 8, 9]):
        ledger.arrived(replace(arrival(shown), number=number), 0)
    found = ledger.verdict().findings
    assert [finding.kind for finding in found] == [Kind.UNEXPLAINED]
    assert "temperature 20.03 Cel" in found[0].text


def test_a_gap_explains_what_was_sampled_between_its_neighbours():
    ledger = ledger_of(10, [0, 1, 2, 6, 7, 8, 9])
    ledger.expect_loss("n", FULL)
    ledger.gap("n", 1, 3, 3, FULL)
    assert kinds(ledger) == []
    ledger.sampled(replace(sample(5), time_us=at_us(4)), 0)
    assert kinds(ledger) == [Kind.UNEXPLAINED]


def test_a_gap_does_not_explain_what_was_sampled_elsewhere():
    ledger = ledger_of(10, [])
    # Sample 7 was never journalled; number 3 is lost, and no sample with it.
    for number, shown in {0: 0, 1: 1, 2: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 8, 9: 9}.items():
        ledger.arrived(replace(arrival(shown), number=number), 0)
    ledger.expect_loss("n", FULL)
    ledger.gap("n", 1, 3, 1, FULL)
    assert kinds(ledger) == [Kind.UNEXPLAINED]


def test_a_gap_does_not_explain_another_nodes_loss():
    ledger = ledger_of(3, [0, 2])
    ledger.expect_loss("n", FULL)
    ledger.gap("n", 1, 1, 1, FULL)
    ledger.sampled(sample(1, node="m"), 0)
    assert kinds(ledger) == [Kind.UNEXPLAINED]


def test_a_gap_at_either_end_is_open():
    ledger = ledger_of(10, range(2, 8))
    ledger.expect_loss("n", FULL)
    ledger.gap("n", 1, 0, 2, FULL)
    ledger.gap("n", 1, 8, 2, FULL)
    assert kinds(ledger) == []


@pytest.mark.parametrize(
    ("after_s", "found"),
    [(0.1, []), (9, []), (11, [Kind.UNEXPLAINED]), (-1, []), (-3, [Kind.UNEXPLAINED])],
)
def test_an_interruption_takes_what_was_just_sampled(after_s, found):
    ledger = ledger_of(9)
    ledger.sampled(sample(9), 0)
    ledger.interrupted("n", at_us(9) + int(after_s * 1e6))
    ledger.interrupted("m", at_us(9))
    assert kinds(ledger) == found
    assert ledger.verdict().counts.lost_before_journal == (0 if found else 1)


def test_of_two_equal_samples_the_one_that_can_be_lost_is():
    # Half a second apart, so the reading may be of either. It was taken for the first one's.
    ledger = ledger_of(1)
    ledger.sampled(replace(sample(0), time_us=at_us(0) + 500_000), 0)
    ledger.interrupted("n", at_us(0) - 1_800_000)
    assert kinds(ledger) == []
    assert ledger.missing == [sample(0)]
    assert kinds(ledger) == []


# Bounded times


def test_equal_values_of_unknown_times_leave_room_for_a_gap_anywhere():
    ledger = ledger_of(20, [], value=20.0)
    for number in [*range(5), *range(8, 20)]:
        ledger.arrived(
            replace(arrival(number, value=20.0), unix_s=T0 + 20 * MINUTE_S, marks=BOUNDED), 0
        )
    ledger.expect_loss("n", FULL)
    assert kinds(ledger) == [Kind.UNACCOUNTED, *[Kind.UNEXPLAINED] * 3]
    ledger.gap("n", 1, 5, 3, FULL)
    assert kinds(ledger) == []


def test_a_reading_makes_way_for_one_that_has_no_other_sample():
    # A bounded one takes the first that fits, which is the only one of the next.
    ledger = ledger_of(3, [], value=20.0)
    ledger.arrived(replace(arrival(2, value=20.0), unix_s=T0 + 2 * MINUTE_S, marks=BOUNDED), 0)
    ledger.arrived(arrival(0, value=20.0), 0)
    ledger.arrived(arrival(1, value=20.0), 0)
    assert ledger.wrong == []
    assert ledger.missing == []
    ledger.arrived(replace(arrival(1, value=20.0), number=3), 0)
    assert len(ledger.wrong) == 1


def test_a_gap_beside_a_reading_of_unknown_time_lies_after_what_was_before_that():
    def run(minute):
        ledger = ledger_of(3)
        # It may be of number 0's sample too, but it came after number 2.
        ledger.sampled(sample(3, value=20.0), 0)
        ledger.arrived(replace(arrival(3, value=20.0), unix_s=T0 + 500, marks=BOUNDED), 0)
        ledger.sampled(sample(minute, value=30.0), 0)
        ledger.expect_loss("n", FULL)
        ledger.gap("n", 1, 4, 1, FULL)
        return kinds(ledger)

    assert run(4) == []
    assert run(1) == [Kind.UNEXPLAINED]


# Clocks


def shifted(sampled, error_s, **changes):
    return replace(arrival(sampled), **{"unix_s": T0 + MINUTE_S * sampled + error_s} | changes)


def test_times_follow_a_step_of_the_gateways_clock():
    ledger = ledger_of(20, range(10))
    ledger.clock_step(at_us(10), HOUR_S)
    for number in range(10, 20):
        ledger.arrived(shifted(number, HOUR_S), 0)
    assert kinds(ledger) == []


def test_a_step_explains_no_other_error():
    ledger = ledger_of(20, range(19))
    ledger.clock_step(at_us(10), HOUR_S)
    ledger.arrived(shifted(19, HOUR_S + 3), 0)
    assert kinds(ledger) == [Kind.WRONG, Kind.UNEXPLAINED]


def test_a_step_that_is_taken_back_is_forgotten_after_two_minutes():
    ledger = ledger_of(20, range(10))
    ledger.clock_step(at_us(10), HOUR_S)
    ledger.clock_step(at_us(12), 0)
    ledger.arrived(shifted(10, HOUR_S), 0)
    ledger.arrived(shifted(11, 0), 0)
    for number in (12, 13):
        ledger.arrived(shifted(number, HOUR_S), 0)
    assert kinds(ledger) == [Kind.UNEXPLAINED] * 6
    ledger.arrived(shifted(15, HOUR_S, number=14), 0)
    assert Kind.WRONG in kinds(ledger)


def test_what_waits_is_dated_by_any_later_error():
    ledger = ledger_of(3, [])
    ledger.clock_step(at_us(100), -7)
    for number in range(3):
        ledger.arrived(shifted(number, -7), 0)
    assert kinds(ledger) == []


def test_a_node_keeps_the_error_that_it_heard_last():
    def run(contact):
        ledger = ledger_of(1)
        ledger.clock_step(at_us(1), 7)
        if contact:
            ledger.contact("n", at_us(3))
        ledger.clock_step(at_us(5), 0)
        ledger.sampled(sample(30), 0)
        ledger.arrived(shifted(30, 7, number=1), 0)
        return kinds(ledger)

    assert run(contact=True) == []
    assert run(contact=False) == [Kind.WRONG, Kind.UNEXPLAINED]


def test_equal_values_across_a_step_find_their_samples():
    # With the step an earlier reading fits a later sample too, and the other way round.
    ledger = ledger_of(12, range(6), value=20.0)
    ledger.clock_step(at_us(6), -2 * MINUTE_S)
    for number in range(6, 12):
        ledger.arrived(shifted(number, -2 * MINUTE_S, value=20.0), 0)
    assert kinds(ledger) == []
