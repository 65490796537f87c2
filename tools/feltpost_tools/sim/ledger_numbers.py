"""The account of numbers: what is known of each number of one journal of one node."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from feltpost_tools.sim.ledger_entries import Arrived, Gap


@dataclass
class Numbers:
    """One journal. readings: by number, in the order in which they arrived first."""

    readings: dict[int, Arrived] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    handed_over: set[int] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The number after the highest that is known of."""
        ends = [gap.first + gap.count for gap in self.gaps]
        for numbers in (self.readings, self.acknowledged, self.handed_over):
            ends.append(max(numbers, default=-1) + 1)
        return max(ends)

    @property
    def in_gaps(self) -> set[int]:
        """All numbers that are listed in gaps."""
        return {number for gap in self.gaps for number in gap.numbers}

    def unaccounted(self) -> set[int]:
        """Return the numbers that neither arrived nor are in a gap."""
        return set(range(self.end)) - self.readings.keys() - self.in_gaps

    def longest_fall(self) -> list[int]:
        """Return the longest series of numbers of which each arrived after a higher one.

        Where journals go out along several lanes, each in order, it has no more than one of each.
        """
        return _longest_fall(list(self.readings))

    def neighbours(self, gap: Gap) -> tuple[Iterator[Arrived], Iterator[Arrived]]:
        """Return the readings before a gap, the nearest first, and those after it."""
        numbers = sorted(self.readings)
        below = bisect_left(numbers, gap.first)
        above = bisect_left(numbers, gap.first + gap.count)
        return (
            (self.readings[number] for number in reversed(numbers[:below])),
            (self.readings[number] for number in numbers[above:]),
        )


def ranges(numbers: Iterable[int]) -> list[range]:
    """Return the unbroken ranges of some numbers, ascending."""
    found: list[range] = []
    for number in sorted(set(numbers)):
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def _longest_fall(numbers: list[int]) -> list[int]:
    # Patience sorting: the least that a series of each length can end in, negated for bisect.
    tails: list[int] = []
    places: list[int] = []
    before: list[int | None] = []
    for place, number in enumerate(numbers):
        length = bisect_left(tails, -number)
        before.append(places[length - 1] if length else None)
        tails[length : length + 1] = [-number]
        places[length : length + 1] = [place]
    series: list[int] = []
    last = places[-1] if places else None
    while last is not None:
        series.append(numbers[last])
        last = before[last]
    return series[::-1]
