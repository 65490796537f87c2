"""Decides what a run's accounts show: whether every number and every sample is where it may be."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger_entries import Arrived, Gap
from feltpost_tools.sim.ledger_numbers import Numbers, ranges
from feltpost_tools.sim.ledger_samples import Entry, Samples
from feltpost_tools.sim.ledger_verdict import Finding, Kind

# A round of samples is over and in the journal within this; what goes on at the same time is
# journalled in any order.
_ROUND_US = 10_000_000
# A caller may look at the clock, then interrupt.
_CLOCK_READ_US = 2_000_000

# docs/durability.md, reasons of gaps: those that a loss of power explains, and the gateway's own.
_CUT_OFF = frozenset({2, 4})
_AT_THE_GATEWAY = frozenset({0, 5, 6, 7})
# A store that has lost pages, or commits, does not know any more what it had delivered of that.
# And what it is about to send again, not having noted yet that it was taken, may be damaged.
_FORGOTTEN = frozenset({0, 5, 7})


@dataclass
class Told:
    """What a run's faults may cost: by node, reasons of gaps, and when it was interrupted."""

    reasons: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    interruptions_us: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def cut_off(self, node: str, time_us: int) -> bool:
        """Tell whether a sample of that time may not have come as far as the journal."""
        return any(
            time_us - _CLOCK_READ_US <= at_us <= time_us + _ROUND_US
            for at_us in self.interruptions_us.get(node, ())
        )


@dataclass(eq=False)
class _Window:
    # A gap, the time in which its readings were sampled, and what is taken to be in it.
    gap: Gap
    earliest_us: float
    latest_us: float
    held: set[Entry] = field(default_factory=set)

    def spans(self, time_us: int) -> bool:
        return self.earliest_us - _ROUND_US <= time_us <= self.latest_us + _ROUND_US


class Judge:
    """Judges accounts as they stand; told: what the run was told that it may lose."""

    def __init__(
        self,
        samples: Samples,
        journals: Mapping[tuple[str, int], Numbers],
        told: Told,
    ):
        self._samples = samples
        self._journals = journals
        self._told = told
        self.cut_off = 0
        self._hopeless: set[Entry] = set()
        self._held_in: dict[Entry, _Window] = {}
        self._spans_us: dict[Arrived, tuple[int, int] | None] = {}
        self._windows: dict[str, list[_Window]] = defaultdict(list)
        for (node, _), numbers in journals.items():
            self._windows[node] += [self._window(numbers, gap) for gap in numbers.gaps]
        for windows in self._windows.values():
            windows.sort(key=lambda window: window.latest_us)

    # Numbers

    def numbers(self, lanes: int) -> Iterator[Finding]:
        """Find what is wrong with numbers; lanes: in how many of them a journal may go out."""
        for (node, journal), numbers in self._journals.items():
            accounts = {
                Kind.HANDED_OVER_MISSING: (
                    numbers.handed_over - numbers.readings.keys(),
                    "the broker has acknowledged it, and it has not arrived",
                ),
                Kind.ACKNOWLEDGED_MISSING: (
                    self._broken_promises(node, numbers),
                    "the node was told that the gateway has it, and it has not arrived",
                ),
                Kind.UNACCOUNTED: (
                    numbers.unaccounted() - numbers.acknowledged - numbers.handed_over,
                    "has not arrived and is in no gap",
                ),
                Kind.FALSE_GAP: (
                    numbers.readings.keys() & self._known_lost(node, numbers),
                    "has arrived and is listed as lost",
                ),
            }
            for kind, (found, text) in accounts.items():
                for part in ranges(found):
                    yield Finding(kind, node, f"{_named(journal, part)} {text}")
            fall = numbers.longest_fall()
            if len(fall) > lanes:
                order = ", then ".join(map(str, fall[: lanes + 1]))
                yield Finding(Kind.ORDER, node, f"journal {journal}: {order} arrived")

    def _broken_promises(self, node: str, numbers: Numbers) -> set[int]:
        excused = {
            number
            for gap in numbers.gaps
            if gap.reason in _AT_THE_GATEWAY & self._told.reasons.get(node, set())
            for number in gap.numbers
        }
        # One that was handed over as well is told of once.
        return numbers.acknowledged - numbers.readings.keys() - excused - numbers.handed_over

    def _known_lost(self, node: str, numbers: Numbers) -> set[int]:
        forgotten = _FORGOTTEN & self._told.reasons.get(node, set())
        gaps = (gap for gap in numbers.gaps if gap.reason not in forgotten)
        return {number for gap in gaps for number in gap.numbers}

    def reasons(self) -> Iterator[Finding]:
        """Find gaps whose reason nothing explains."""
        for node, windows in self._windows.items():
            for window in windows:
                gap = window.gap
                if not self._explains(node, window):
                    text = f"{_named(gap.journal, gap.numbers)} listed as lost, reason {gap.reason}"
                    yield Finding(Kind.WRONG_REASON, node, text)

    def _explains(self, node: str, window: _Window) -> bool:
        reason = window.gap.reason
        if reason in self._told.reasons.get(node, ()):
            return True
        interruptions_us = self._told.interruptions_us.get(node, ())
        return reason in _CUT_OFF and any(map(window.spans, interruptions_us))

    # Readings

    def readings(self, wrong: list[Arrived]) -> Iterator[Finding]:
        """Find which of the readings that have no sample are another one's, and which nobody's."""
        for reading in wrong:
            said = f"{_said(reading)}, journal {reading.journal}, number {reading.number}"
            if self._samples.fits_any(reading):
                text = f"{said}: its sample has arrived under another number"
                yield Finding(Kind.DUPLICATE_NUMBER, reading.node, text)
            else:
                yield Finding(Kind.WRONG, reading.node, f"{said}: nothing like it was sampled")

    # Samples

    def unexplained(self) -> Iterator[Finding]:
        """Find the samples that are nowhere; afterwards `cut_off` has how many power took.

        A sample may take another one's reading, where that one's loss can be explained.
        """
        for entry in sorted(self._samples.missing, key=lambda entry: entry.sample.time_us):
            if not self._explained(entry):
                text = f"{_said(entry.sample)} has not arrived, and nothing explains it"
                yield Finding(Kind.UNEXPLAINED, entry.sample.node, text)

    def _explained(self, missing: Entry) -> bool:
        asked_by: dict[Entry, Entry | None] = {missing: None}
        asked = deque([missing])
        passed_over = self._hopeless | {missing}
        while asked:
            entry = asked.popleft()
            needs_no_room = self._needs_no_room(entry)
            window = None if needs_no_room else self._with_room(entry)
            if needs_no_room or window:
                self._move_up(_chain(asked_by, entry), window)
                return True
            for holder in self._holders(entry, passed_over):
                passed_over.add(holder)
                asked_by[holder] = entry
                asked.append(holder)
        # Nor can any of these be done without, whoever asks them next.
        self._hopeless = passed_over
        return False

    def _needs_no_room(self, entry: Entry) -> bool:
        sample = entry.sample
        return not entry.required or self._told.cut_off(sample.node, sample.time_us)

    def _with_room(self, entry: Entry) -> _Window | None:
        for window in self._spanning(entry):
            if len(window.held) < window.gap.count:
                return window
        return None

    def _holders(self, entry: Entry, passed_over: set[Entry]) -> list[Entry]:
        # Those whose place the entry could take: a reading, or room in a gap.
        holders = self._samples.rivals(entry, passed_over)
        for window in self._spanning(entry):
            holders += window.held - passed_over
        return holders

    def _move_up(self, chain: list[Entry], window: _Window | None) -> None:
        # Each takes the place of the next, and the last one what was found for it.
        for entry, holder in pairwise(chain):
            held_in = self._held_in.pop(holder, None)
            if held_in is None:
                self._samples.exchange(entry, holder)
            else:
                held_in.held.remove(holder)
                self._put(entry, held_in)
        if window:
            self._put(chain[-1], window)
        elif chain[-1].required:
            self.cut_off += 1

    def _put(self, entry: Entry, window: _Window) -> None:
        window.held.add(entry)
        self._held_in[entry] = window

    def _spanning(self, entry: Entry) -> Iterator[_Window]:
        sample = entry.sample
        for window in self._windows.get(sample.node, ()):
            if window.spans(sample.time_us):
                yield window

    def _window(self, numbers: Numbers, gap: Gap) -> _Window:
        before, after = numbers.neighbours(gap)
        spans_before = list(self._spans(before))
        spans_after = list(self._spans(after))
        return _Window(
            gap,
            max((first_us for first_us, _ in spans_before), default=float("-inf")),
            min((last_us for _, last_us in spans_after), default=float("inf")),
        )

    def _spans(self, readings: Iterator[Arrived]) -> Iterator[tuple[int, int]]:
        # When they can have been sampled, up to the first of which that is known closely enough:
        # those beyond it can say no more.
        for reading in readings:
            if reading not in self._spans_us:
                self._spans_us[reading] = self._samples.span_us(reading)
            span_us = self._spans_us[reading]
            if span_us is None:
                # One of the node's own, or one that is wrong.
                continue
            yield span_us
            if span_us[1] - span_us[0] <= _ROUND_US:
                return


def _chain(asked_by: Mapping[Entry, Entry | None], last: Entry) -> list[Entry]:
    chain = [last]
    while (asker := asked_by[chain[-1]]) is not None:
        chain.append(asker)
    return chain[::-1]


def _named(journal: int, numbers: range) -> str:
    if len(numbers) == 1:
        return f"journal {journal}, number {numbers[0]}"
    return f"journal {journal}, numbers {numbers[0]} to {numbers[-1]}"


def _said(what: Arrived | Sampled) -> str:
    unix_s = what.unix_s if isinstance(what, Arrived) else what.time_us / 1e6
    return f"{what.name} {what.value:.6g} {what.unit} at {unix_s:.1f}"
