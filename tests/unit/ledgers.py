"""Readings for the tests of the ledger: a temperature a minute, of one node, in one journal."""

from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger import Arrived, Ledger

T0 = 1_422_886_740
MINUTE_S = 60


def at_us(number):
    """When that one was sampled."""
    return (T0 + MINUTE_S * number) * 1_000_000 + 400_000


def sample(number, node="n", name="temperature", value=None):
    value = 20.0 + number / 100 if value is None else value
    return Sampled(node, name, "Cel", value, 0.01, at_us(number))


def arrival(number, node="n", name="temperature", journal=1, value=None):
    value = 20.0 + number / 100 if value is None else value
    return Arrived(node, journal, number, name, "Cel", value, T0 + MINUTE_S * number)


def ledger_of(count, arrived=None, value=None):
    """A ledger of so many samples, and of those that arrived; None: all of them."""
    ledger = Ledger()
    for number in range(count):
        ledger.sampled(sample(number, value=value), number)
    for number in range(count) if arrived is None else arrived:
        ledger.arrived(arrival(number, value=value), number)
    return ledger


def kinds(ledger, lanes=1):
    """The kinds of its findings."""
    return [finding.kind for finding in ledger.verdict(lanes).findings]
