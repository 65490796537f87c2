"""Holds what the sensors handed out against what a subscriber got.

It knows nothing of journals, stores and brokers but what stands on each message, and decides by
itself what is missing, what came twice and what is wrong.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from feltpost_tools.sim.kit import Sampled

# A node's clock is right to some tenths of a second, and it writes whole seconds.
_TIME_TOLERANCE_S = 2.0
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
# docs/protocol.md, "Marks".
_BOUNDED = 2


@dataclass(frozen=True)
class Arrived:
    """One reading as it came out of the broker.

    unix_s: its own time, not that of its arrival. marks: docs/protocol.md, "Marks".
    """

    node: str
    journal: int
    number: int
    name: str
    unit: str
    value: float
    unix_s: float
    marks: int = 0


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
        self._waiting: dict[tuple[str, str], list[tuple[Sampled, float]]] = defaultdict(list)
        self._seen: set[tuple[str, int, int]] = set()
        self._duplicates = 0
        self._latencies_ms: list[float] = []
        self._closed_us: int | None = None

    def sampled(self, reading: Sampled, monotonic_s: float) -> None:
        """Enter a value that a sensor handed out."""
        if self._closed_us is None:
            self._waiting[reading.node, reading.name].append((reading, monotonic_s))
            self.nodes[reading.node].sampled += 1

    def arrived(self, reading: Arrived, monotonic_s: float) -> None:
        """Enter a reading that the subscriber got."""
        identity = (reading.node, reading.journal, reading.number)
        if identity in self._seen:
            self._duplicates += 1
            self.nodes[reading.node].duplicates += 1
            return
        self._seen.add(identity)
        if reading.name.partition(".")[0] in _OF_ITSELF:
            self.of_itself.append(reading)
            return
        waiting = self._waiting[reading.node, reading.name]
        for place, (sample, sampled_s) in enumerate(waiting):
            if _same(sample, reading):
                del waiting[place]
                latency_ms = (monotonic_s - sampled_s) * 1000
                self._latencies_ms.append(latency_ms)
                self.nodes[reading.node].deliver(reading, latency_ms)
                return
        if self._closed_us is None or reading.unix_s * 1e6 <= self._closed_us:
            self.wrong.append(reading)

    def close(self, now_us: int) -> None:
        """Count no reading that is sampled after that simulated time."""
        self._closed_us = now_us - int(_TIME_TOLERANCE_S * 1e6)

    @property
    def missing(self) -> list[Sampled]:
        """What was sampled and has not arrived."""
        return [sample for waiting in self._waiting.values() for sample, _ in waiting]

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


def _same(sample: Sampled, reading: Arrived) -> bool:
    # The reading is the sample's value rounded to the resolution, and a float may be a hair off.
    early_s = reading.unix_s - sample.time_us / 1e6
    return (
        sample.unit == reading.unit
        and abs(sample.value - reading.value) <= sample.resolution / 2 * (1 + 1e-6)
        and early_s >= -_TIME_TOLERANCE_S
        # A time that is marked as bounded is only the latest that it can have been.
        and (early_s <= _TIME_TOLERANCE_S or bool(reading.marks & _BOUNDED))
    )
