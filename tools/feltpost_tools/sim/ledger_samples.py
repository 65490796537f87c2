"""The account of samples: which reading is of which sample.

Equal samples of a moment apart, and those that clock errors or bounded times make alike, can be
told apart by nothing that a reading says. So no match is final: a reading moves on to another
sample that fits it where one that has no other needs its place.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger_clocks import Clocks
from feltpost_tools.sim.ledger_entries import BOUNDED, Arrived


@dataclass(eq=False)
class Entry:
    """A sample, and the reading that is of it. required: it was sampled before the closing."""

    sample: Sampled
    sampled_s: float
    required: bool
    reading: Arrived | None = None


@dataclass
class _Shelf:
    # Samples of one name that round alike, in the order of time. Those before `free` are matched.
    entries: list[Entry] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    free: int = 0

    def add(self, entry: Entry) -> None:
        place = bisect_right(self.times_us, entry.sample.time_us)
        self.times_us.insert(place, entry.sample.time_us)
        self.entries.insert(place, entry)
        self.free = min(self.free, place)

    def between(self, earliest_us: float, latest_us: float, *, free: bool = False) -> list[Entry]:
        """Return what was sampled in that time; free: leave out some that are matched."""
        while self.free < len(self.entries) and self.entries[self.free].reading:
            self.free += 1
        first = bisect_left(self.times_us, earliest_us)
        return self.entries[
            max(first, self.free) if free else first : bisect_right(self.times_us, latest_us)
        ]


class Samples:
    """All samples of a run, matched with readings as these come."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._shelves: dict[tuple[str, str], dict[int, _Shelf]] = defaultdict(
            lambda: defaultdict(_Shelf)
        )
        # By name, since a run's readings of one name keep the same step.
        self._steps: dict[tuple[str, str], float] = {}
        self._missing: dict[int, Entry] = {}
        self._of: dict[Arrived, Entry] = {}
        # Nodes that sent readings whose time is only bounded.
        self._bounded: set[str] = set()

    @property
    def missing(self) -> list[Entry]:
        """The required samples that no reading is of, in the order in which they were entered."""
        return list(self._missing.values())

    def enter(self, sample: Sampled, monotonic_s: float, *, required: bool) -> None:
        """Enter a sample; required: as in Entry."""
        entry = Entry(sample, monotonic_s, required)
        key = (sample.node, sample.name)
        step = self._steps.setdefault(key, sample.resolution)
        self._shelves[key][int(sample.value // step)].add(entry)
        if required:
            self._missing[id(entry)] = entry

    def match(self, reading: Arrived) -> Entry | None:
        """Find the sample that a reading is of; None where all that fit it have another one."""
        if reading.marks & BOUNDED:
            self._bounded.add(reading.node)
        # Nearly always there is a free one.
        for entry in self._fitting(reading, free=True):
            if entry.reading is None:
                self._give(entry, reading)
                return entry
        wanted_by: dict[Entry, Arrived] = {}
        wanting = deque([reading])
        while wanting:
            one = wanting.popleft()
            for entry in self._fitting(one, passed_over=wanted_by):
                wanted_by[entry] = one
                if entry.reading is None:
                    self._move_on(entry, wanted_by)
                    return self._of[reading]
                wanting.append(entry.reading)
        return None

    def sample_of(self, reading: Arrived) -> Sampled | None:
        """Return the sample that a reading has been matched with."""
        entry = self._of.get(reading)
        return entry.sample if entry else None

    def fits_any(self, reading: Arrived) -> bool:
        """Tell whether the reading may be of any sample, be that another's or not."""
        return any(True for _ in self._fitting(reading))

    def span_us(self, reading: Arrived) -> tuple[int, int] | None:
        """Return the times of the first and the last sample that the reading may be of."""
        spans_us = []
        for shelf in self._near(reading.node, reading.name, reading.value):
            entries = shelf.between(*self._clocks.possible_us(reading))
            first = next((one for one in entries if self._fits(one.sample, reading)), None)
            if first:
                last = next(one for one in reversed(entries) if self._fits(one.sample, reading))
                spans_us.append((first.sample.time_us, last.sample.time_us))
        if not spans_us:
            return None
        return min(first for first, _ in spans_us), max(last for _, last in spans_us)

    def rivals(self, entry: Entry, passed_over: Container[Entry]) -> list[Entry]:
        """Return the samples whose readings may as well be of this one, but for some."""
        sample = entry.sample
        reach_us = self._clocks.reach_us if sample.node not in self._bounded else float("inf")
        return [
            other
            for shelf in self._near(sample.node, sample.name, sample.value)
            for other in shelf.between(sample.time_us - reach_us, sample.time_us + reach_us)
            if other.reading and other not in passed_over and self._fits(sample, other.reading)
        ]

    def exchange(self, lacking: Entry, having: Entry) -> None:
        """Give a sample another one's reading."""
        assert having.reading is not None
        self._give(lacking, having.reading)
        having.reading = None
        if having.required:
            self._missing[id(having)] = having

    def _give(self, entry: Entry, reading: Arrived) -> None:
        entry.reading = reading
        self._of[reading] = entry
        self._missing.pop(id(entry), None)

    def _move_on(self, free: Entry, wanted_by: dict[Entry, Arrived]) -> None:
        entry = free
        while True:
            reading = wanted_by[entry]
            left = self._of.get(reading)
            self._give(entry, reading)
            if left is None:
                return
            entry = left

    def _fitting(
        self, reading: Arrived, *, free: bool = False, passed_over: Container[Entry] = ()
    ) -> Iterator[Entry]:
        possible_us = self._clocks.possible_us(reading)
        for shelf in self._near(reading.node, reading.name, reading.value):
            for entry in shelf.between(*possible_us, free=free):
                if entry not in passed_over and self._fits(entry.sample, reading):
                    yield entry

    def _fits(self, sample: Sampled, reading: Arrived) -> bool:
        # The reading is the sample's value rounded, and a float may be a hair off.
        off = abs(sample.value - reading.value)
        return (
            sample.unit == reading.unit
            and off <= sample.resolution / 2 * (1 + 1e-6)
            and self._clocks.fits(sample, reading)
        )

    def _near(self, node: str, name: str, value: float) -> list[_Shelf]:
        key = (node, name)
        if key not in self._steps:
            return []
        middle = int(value // self._steps[key])
        shelves = self._shelves[key]
        return [shelves[place] for place in (middle - 1, middle, middle + 1) if place in shelves]
