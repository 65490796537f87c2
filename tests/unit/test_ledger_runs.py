"""Whole runs of a made-up node: the ledger finds nothing, and when one thing is wrong, that.

Its values hardly change and its clocks are wrong, so that many readings fit many samples.
"""

import random
from dataclasses import dataclass, field, replace

import pytest
from tests.unit.ledgers import MINUTE_S, T0, at_us

from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger import Arrived, Ledger
from feltpost_tools.sim.ledger_verdict import Kind

JOURNAL_FULL = 1
BOUNDED = 2
MINUTES = 240
SEEDS = range(8)
ERRORS_S = (0, 0, 7, -4, 3600, -7200)


@dataclass
class Boot:
    """When it began, and by how much its clock is off; None: it has none."""

    began_s: float
    error_s: float | None = None


@dataclass
class Run:
    """A node and its journal, by minutes."""

    chance: random.Random
    told: list[tuple] = field(default_factory=list)
    error_s: float = 0
    linked: bool = True
    number: int = 0

    def __post_init__(self):
        self.boot = Boot(T0)
        self.journal = []

    def tell(self, what, *told):
        """Note what the ledger is to be told: a method of it, by name, and what it gets."""
        self.told.append((what, *told))

    def happens(self, probability):
        return self.chance.random() < probability

    def play(self):
        for minute in range(MINUTES):
            if self.happens(0.03):
                self.error_s = self.chance.choice(ERRORS_S)
                self.tell("clock_step", at_us(minute) - 200_000, self.error_s)
            if self.happens(0.04):
                self.linked = not self.linked
            self.sample(minute)
            if self.linked:
                self.send(minute)
        self.send(MINUTES)

    def sample(self, minute):
        value = self.chance.choice((0.0, 0.0, 0.0, 0.01))
        sample = Sampled("n", "light", "lx", value, 0.01, at_us(minute))
        self.tell("sampled", sample, 0)
        if self.happens(0.02):
            # Before it was in the journal.
            self.tell("interrupted", "n", at_us(minute) + 1_000_000)
            self.boot = Boot(T0 + MINUTE_S * minute + 5)
            return
        self.journal.append((self.number, self.boot, sample))
        self.number += 1
        if self.happens(0.02):
            self.lose()

    def lose(self):
        count = self.chance.randint(1, len(self.journal))
        first = self.journal[0][0]
        del self.journal[:count]
        self.tell("expect_loss", "n", JOURNAL_FULL)
        self.tell("gap", "n", 1, first, count, JOURNAL_FULL)

    def send(self, minute):
        # The first answer tells the time, so what goes before it is dated by what is known.
        if self.boot.error_s is not None:
            self.deliver(self.journal[:1])
            del self.journal[:1]
        self.tell("contact", "n", at_us(minute) + 1_000_000)
        self.boot.error_s = self.error_s
        self.deliver(self.journal)
        self.journal.clear()

    def deliver(self, entries):
        for number, boot, sample in entries:
            unix_s = sample.time_us // 1_000_000
            marks = 0
            if boot.error_s is None:
                unix_s, marks = self.boot.began_s + self.boot.error_s, BOUNDED
            else:
                unix_s += boot.error_s
            arrival = Arrived("n", 1, number, "light", "lx", sample.value, unix_s, marks)
            self.tell("acknowledged", "n", 1, number, 1)
            for _ in range(self.chance.choice((1, 1, 1, 2))):
                self.tell("arrived", arrival, 0)


def played(seed):
    run = Run(random.Random(seed))
    run.play()
    return run.told


def verdict_on(told):
    ledger = Ledger()
    for what, *arguments in told:
        getattr(ledger, what)(*arguments)
    return ledger.verdict()


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_found_where_nothing_is_wrong(seed):
    told = played(seed)
    verdict = verdict_on(told)
    assert verdict.ok, verdict
    assert verdict.counts.sampled == MINUTES


def test_the_runs_have_what_makes_it_hard():
    told = [one for seed in range(40) for one in played(seed)]
    for what, least in {"gap": 100, "interrupted": 100, "clock_step": 100}.items():
        assert sum(one[0] == what for one in told) > least
    arrived = [one[1] for one in told if one[0] == "arrived"]
    assert sum(reading.marks == BOUNDED for reading in arrived) > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reading_that_is_lost_in_silence_is_found(seed):
    told = played(seed)
    lost = random.Random(seed).choice([one[1] for one in told if one[0] == "arrived"])
    told = [one for one in told if one[:2] != ("arrived", lost)]
    assert Kind.ACKNOWLEDGED_MISSING in kinds_of(told)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gap_that_is_not_told_of_is_found(seed):
    told = played(seed)
    gaps = [one for one in told if one[0] == "gap"]
    told.remove(random.Random(seed).choice(gaps))
    assert Kind.UNEXPLAINED in kinds_of(told)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "change",
    [{"value": 0.05}, {"unix_s": T0 - 4 * 3600}, {"unit": "lm"}, {"marks": 0, "unix_s": 0}],
)
def test_a_reading_that_is_not_what_was_sampled_is_found(seed, change):
    told = played(seed)
    changed = random.Random(seed).choice([one[1] for one in told if one[0] == "arrived"])
    told = [
        ("arrived", replace(changed, **change), 0) if one[:2] == ("arrived", changed) else one
        for one in told
    ]
    assert set(kinds_of(told)) == {Kind.WRONG, Kind.UNEXPLAINED}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sample_that_never_came_to_the_journal_is_found(seed):
    told = played(seed)
    minute = random.Random(seed).randrange(MINUTES)
    # Half a minute from all interruptions.
    sample = Sampled("n", "light", "lx", 0.0, 0.01, at_us(minute) + 30_000_000)
    assert kinds_of([("sampled", sample, 0), *told]) == [Kind.UNEXPLAINED]


@pytest.mark.parametrize("seed", SEEDS)
def test_readings_that_come_again_under_other_numbers_are_found(seed):
    told = played(seed)
    again = [
        ("arrived", replace(one[1], journal=2), 0)
        for one in told
        if one[0] == "arrived" and one[1].number < 5
    ]
    found = kinds_of([*told, *again])
    assert Kind.DUPLICATE_NUMBER in found


def kinds_of(told):
    return [finding.kind for finding in verdict_on(told).findings]
