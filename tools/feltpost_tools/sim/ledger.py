"""Holds what the sensors handed out against what a subscriber got.

It knows nothing of journals, stores and brokers but what stands on each message and what it is
told of answers, acknowledgements and gaps. It decides by itself what is missing, what came twice,
what is wrong, and which loss nothing explains.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger_clocks import TIME_TOLERANCE_S, Clocks
from feltpost_tools.sim.ledger_entries import Arrived as Arrived
from feltpost_tools.sim.ledger_entries import Gap
from feltpost_tools.sim.ledger_judge import Judge, Told
from feltpost_tools.sim.ledger_numbers import Numbers
from feltpost_tools.sim.ledger_samples import Samples
from feltpost_tools.sim.ledger_verdict import Counts, Finding, Kind, Verdict

# What a node measures of itself (docs/protocol.md): no sensor hands it out.
_OF_ITSELF = frozenset(
    {
        "uptime",
        "freeHeap",
        "rssi",
        "journalFill",
        "readingsLost",
        "retries",
        "resetCause",
        "sensorFault",
    }
)


@dataclass(frozen=True)
class Outcome:
    """Counts of readings. wrong: arrived, but nothing sampled matches name, unit, value and time.

    latencies_ms: real time from the sensor to the subscriber, for each delivered reading.
    """

    sampled: int
    delivered: int
    missing: int
    duplicates: int
    wrong: int
    latencies_ms: list[float] = field(repr=False)

    def percentile_ms(self, percent: float) -> float | None:
        """Return the latency that so many percent of the readings did not exceed."""
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Ledger:
    """The account of one run. Real times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.wrong: list[Arrived] = []
        self.of_itself: list[Arrived] = []
        self.nodes: dict[str, NodeAccount] = defaultdict(NodeAccount)
        self._clocks = Clocks()
        self._samples = Samples(self._clocks)
        self._journals: dict[tuple[str, int], Numbers] = defaultdict(Numbers)
        self._told = Told()
        self._conflicts: list[Finding] = []
        self._duplicates = 0
        self._latencies_ms: list[float] = []
        self._closed_us: int | None = None

    # What is entered

    def sampled(self, reading: Sampled, monotonic_s: float) -> None:
        """Enter a value that a sensor handed out."""
        required = self._closed_us is None
        self._samples.enter(reading, monotonic_s, required=required)
        if required:
            self.nodes[reading.node].sampled += 1

    def arrived(self, reading: Arrived, monotonic_s: float) -> None:
        """Enter a reading that the subscriber got."""
        readings = self._journals[reading.node, reading.journal].readings
        if reading.number in readings:
            self._duplicates += 1
            self.nodes[reading.node].duplicates += 1
            self._compare(readings[reading.number], reading)
            return
        readings[reading.number] = reading
        if _is_of_itself(reading):
            self.of_itself.append(reading)
            return
        entry = self._samples.match(reading)
        if entry is None:
            self.wrong.append(reading)
        elif entry.required:
            latency_ms = (monotonic_s - entry.sampled_s) * 1000
            self._latencies_ms.append(latency_ms)
            self.nodes[reading.node].deliver(reading, latency_ms)

    def acknowledged(self, node: str, journal: int, first: int, count: int) -> None:
        """Enter that a node was told, by an authentic answer, that the gateway has these."""
        self._journals[node, journal].acknowledged.update(range(first, first + count))

    def handed_over(self, node: str, journal: int, numbers: Iterable[int]) -> None:
        """Enter that the gateway got the broker's acknowledgement of a message with these."""
        self._journals[node, journal].handed_over.update(numbers)

    def gap(self, node: str, journal: int, first: int, count: int, reason: int) -> None:
        """Enter a gap that the gateway lists in the end; reasons: docs/durability.md."""
        self._journals[node, journal].gaps.append(Gap(node, journal, first, count, reason))

    def forget_gaps(self) -> None:
        """Take all gaps out, to enter what the gateway lists by now."""
        for numbers in self._journals.values():
            numbers.gaps.clear()

    # What the run does to itself

    def interrupted(self, node: str, at_us: int) -> None:
        """Enter that the board lost its power, or was reset, at that simulated time.

        What was being sampled then may be lost before it was in the journal.
        """
        self._told.interruptions_us[node].append(at_us)

    def expect_loss(self, node: str, reason: int) -> None:
        """Enter that a fault may truly cost readings of a node; reason: that of their gaps."""
        self._told.reasons[node].add(reason)

    def clock_step(self, at_us: int, error_s: float) -> None:
        """Enter that the gateway's clock is off by error_s from that simulated time on."""
        self._clocks.step(at_us, error_s)

    def contact(self, node: str, at_us: int) -> None:
        """Enter that a node got an authentic answer, which tells it the gateway's time."""
        self._clocks.contact(node, at_us)

    def close(self, now_us: int) -> None:
        """Count no reading that is sampled after that simulated time."""
        self._closed_us = now_us - int(TIME_TOLERANCE_S * 1e6)

    # What it shows

    def has(self, node: str, journal: int, number: int) -> bool:
        """Tell whether that reading has arrived."""
        numbers = self._journals.get((node, journal))
        return numbers is not None and number in numbers.readings

    def owed(self) -> int:
        """Return how many acknowledged readings neither arrived nor are in a gap, so far."""
        return sum(
            len(numbers.acknowledged - numbers.readings.keys() - numbers.in_gaps)
            for numbers in self._journals.values()
        )

    @property
    def seen(self) -> set[tuple[str, int, int]]:
        """Node, journal and number of each reading that has arrived."""
        return {
            (node, journal, number)
            for (node, journal), numbers in self._journals.items()
            for number in numbers.readings
        }

    @property
    def missing(self) -> list[Sampled]:
        """What was sampled and has not arrived."""
        return [entry.sample for entry in self._samples.missing]

    def outcome(self) -> Outcome:
        """Return the counts as they stand."""
        missing = len(self.missing)
        return Outcome(
            sampled=missing + len(self._latencies_ms),
            delivered=len(self._latencies_ms),
            missing=missing,
            duplicates=self._duplicates,
            wrong=len(self.wrong),
            latencies_ms=self._latencies_ms,
        )

    def verdict(self, lanes: int = 1) -> Verdict:
        """Judge the run as it stands, once everything has had its time to arrive.

        lanes: along how many of them a journal's readings may come side by side, each in order;
        the gateway makes one more of each backlog of over 500 packs.
        """
        judge = Judge(self._samples, self._journals, self._told)
        findings = (
            *judge.numbers(lanes),
            *judge.reasons(),
            *self._conflicts,
            *judge.readings(self.wrong),
            *judge.unexplained(),
        )
        return Verdict(findings, self._counts(judge.cut_off))

    def _compare(self, first: Arrived, again: Arrived) -> None:
        # A node that sends a reading again dates it anew.
        same = (first.name, first.unit, first.value) == (again.name, again.unit, again.value)
        sample = self._samples.sample_of(first)
        if sample is not None:
            same = same and self._clocks.fits(sample, again)
        if not same:
            text = (
                f"journal {first.journal}, number {first.number} came as {first.name}"
                f" {first.value} at {first.unix_s} and as {again.name} {again.value} at"
                f" {again.unix_s}"
            )
            self._conflicts.append(Finding(Kind.DUPLICATE_NUMBER, first.node, text))

    def _counts(self, lost_before_journal: int) -> Counts:
        journals = self._journals.values()
        return Counts(
            sampled=self.outcome().sampled,
            acknowledged=sum(len(numbers.acknowledged) for numbers in journals),
            handed_over=sum(len(numbers.handed_over) for numbers in journals),
            arrived=sum(len(numbers.readings) for numbers in journals),
            duplicates=self._duplicates,
            in_gaps=sum(len(numbers.in_gaps) for numbers in journals),
            lost_before_journal=lost_before_journal,
        )


@dataclass
class NodeAccount:
    """What is known of one node; latest: its newest reading of each name."""

    sampled: int = 0
    delivered: int = 0
    duplicates: int = 0
    latency_ms: float | None = None
    latest: dict[str, Arrived] = field(default_factory=dict)

    def deliver(self, reading: Arrived, latency_ms: float) -> None:
        """Count a reading in."""
        self.delivered += 1
        self.latency_ms = latency_ms
        self.latest[reading.name] = reading


def _is_of_itself(reading: Arrived) -> bool:
    return reading.name.partition(".")[0] in _OF_ITSELF
