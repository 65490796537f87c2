"""The ledger must see every kind of fault, or it proves nothing."""

from dataclasses import replace

import pytest

from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger import Arrived, Ledger

T0 = 1_422_886_740


def sample(number, node="n", name="temperature"):
    time_us = (T0 + 60 * number) * 1_000_000 + 400_000
    return Sampled(node, name, "Cel", 20.0 + number / 100, 0.01, time_us)


def arrival(number, node="n", name="temperature", journal=1):
    return Arrived(node, journal, number, name, "Cel", 20.0 + number / 100, T0 + 60 * number)


@pytest.fixture
def ledger():
    """A ledger with five samples, none of which has arrived."""
    ledger = Ledger()
    for number in range(5):
        ledger.sampled(sample(number), 100.0 + number)
    return ledger


def counts(ledger):
    outcome = ledger.outcome()
    return (outcome.sampled, outcome.delivered, outcome.missing, outcome.duplicates, outcome.wrong)


def test_all_is_well(ledger):
    for number in range(5):
        ledger.arrived(arrival(number), 100.25 + number)
    assert counts(ledger) == (5, 5, 0, 0, 0)
    assert ledger.outcome().percentile_ms(50) == pytest.approx(250)
    assert ledger.outcome().percentile_ms(99) == pytest.approx(250)


def test_missing(ledger):
    for number in (0, 1, 3, 4):
        ledger.arrived(arrival(number), 0)
    assert counts(ledger) == (5, 4, 1, 0, 0)
    assert ledger.missing == [sample(2)]


def test_duplicates(ledger):
    for number in (0, 1, 1, 2, 3, 4, 4):
        ledger.arrived(arrival(number), 0)
    assert counts(ledger) == (5, 5, 0, 2, 0)


def test_order_does_not_matter_for_the_match(ledger):
    for number in (4, 0, 2, 1, 3):
        ledger.arrived(arrival(number), 0)
    assert counts(ledger) == (5, 5, 0, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"value": 20.03},
        {"value": 20.0151},
        {"unit": "K"},
        {"name": "relativeHumidity"},
        {"unix_s": T0 + 60 + 3},
        {"unix_s": T0 + 60 - 2},
        {"node": "another"},
    ],
)
def test_a_reading_that_is_not_what_was_sampled_is_wrong_and_its_sample_missing(ledger, change):
    for number in (0, 2, 3, 4):
        ledger.arrived(arrival(number), 0)
    ledger.arrived(replace(arrival(1), **change), 0)
    assert counts(ledger) == (5, 4, 1, 0, 1)


def test_the_same_sample_under_two_numbers_is_wrong(ledger):
    for number in range(5):
        ledger.arrived(arrival(number), 0)
    ledger.arrived(replace(arrival(4), number=5), 0)
    assert counts(ledger) == (5, 5, 0, 0, 1)


def test_rounding_to_the_resolution_is_no_fault(ledger):
    ledger.arrived(replace(arrival(0), value=20.005), 0)
    assert ledger.outcome().wrong == 0


def test_a_bounded_time_may_be_late_but_not_early(ledger):
    ledger.arrived(replace(arrival(0), unix_s=T0 + 3600, marks=2), 0)
    assert counts(ledger) == (5, 1, 4, 0, 0)
    ledger.arrived(replace(arrival(1), unix_s=T0 + 60 - 5, marks=2), 0)
    assert counts(ledger) == (5, 1, 4, 0, 1)


def test_after_closing_nothing_more_counts_but_what_is_on_the_way_does(ledger):
    ledger.close((T0 + 60 * 4 + 30) * 1_000_000)
    ledger.sampled(sample(5), 0)
    for number in range(4):
        ledger.arrived(arrival(number), 0)
    ledger.arrived(arrival(5), 0)
    assert counts(ledger) == (5, 4, 1, 0, 0)
