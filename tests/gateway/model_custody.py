"""The model: what was promised of each reading, and whether node, store and brokers keep to it.

It is told what the node did, and looks at the node's journal, the store's rows and the brokers'
PUBACKs from outside. Of the code under test it knows nothing but what the three stand for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from tests.gateway.model_broker import ModelBroker
from tests.gateway.model_node import WRITES_UNTIL_FULL, NodeState
from tests.gateway.model_view import View

FULL, CORRUPT, REJECTED, POWER, EVICTED = 1, 2, 3, 4, 6

# docs/durability.md: with more different gaps the newest takes in what follows.
_GAPS_MOST = 8
# And after so many power cuts in one block a reading that was evicted may count as unreadable.
_CUTS_TOLD_APART = 5


class Custody:
    """Readings by their number; a reading's value is its name, never used twice."""

    def __init__(self, evicts: bool, in_order: bool) -> None:
        """`in_order` is whether brokers get new readings after the ones that waited longer."""
        self._evicts = evicts
        self._in_order = in_order
        self.values: dict[int, int] = {}
        """The readings whose append has returned."""
        self.maybe: dict[int, int] = {}
        """Those that the power went in: they may be there or not."""
        self._writes: dict[int, int] = {}
        self._given_up: defaultdict[int, set[int]] = defaultdict(set)
        self._freed_below = 0
        self._cuts = 0
        self._view: View | None = None
        self._configured: Collection[str] = ()
        self._packs: dict[int, frozenset[int]] = {}
        self._gone: set[int] = set()
        self._waived: defaultdict[str, set[int]] = defaultdict(set)
        self.dropped: defaultdict[str, set[int]] = defaultdict(set)

    # The node.

    def sampled(self, numbers: Iterable[tuple[int, int]], values: Iterable[int]) -> None:
        """Note readings that are in the journal: number and writes of each, and its value."""
        for (number, writes), value in zip(numbers, values, strict=False):
            assert number not in self.values, f"number {number} is given twice"
            self.maybe.pop(number, None)
            self.values[number] = value
            self._writes[number] = writes

    def cut_in_append(self, number: int, value: int, writes: int) -> None:
        """Note that the power went while a reading was to get that number."""
        self.maybe[number] = value
        self._writes[number] = writes

    def booted(self, state: NodeState) -> None:
        """Note what is left after a power cut."""
        self._cuts += 1
        self.maybe = {n: value for n, value in self.maybe.items() if n < state.next}

    def check_node(self, state: NodeState) -> None:
        """Check what the journal gives up, and take note of what it has let go."""
        known = self.values.keys() | self.maybe.keys()
        assert not known or state.next > max(known), "a number would be given twice"
        assert known >= set(range(state.next)), "a number was skipped"
        for first, count, reason in state.gaps:
            for number in range(first, first + count):
                if len(state.gaps) < _GAPS_MOST:
                    self._check_reason(number, reason, state.writes)
                self._given_up[number].add(reason)
        self._freed_below = max(self._freed_below, state.freed_below)

    def _check_reason(self, number: int, reason: int, writes: int) -> None:
        is_true = {
            FULL: writes - self._writes[number] >= WRITES_UNTIL_FULL,
            CORRUPT: self._cuts > _CUTS_TOLD_APART,
            REJECTED: self.value(number) < 0,
            POWER: number in self.maybe,
        }
        assert is_true[reason], f"number {number} is given up for reason {reason}"

    def value(self, number: int) -> int:
        return self.values[number] if number in self.values else self.maybe[number]

    # The store.

    def check_store(
        self,
        view: View,
        brokers: Mapping[str, ModelBroker],
        configured: Collection[str],
        was_full: bool,
    ) -> None:
        """Check what the store has, and what has gone since it was looked at last."""
        self._packs |= {pack_id: frozenset(pack) for pack_id, pack in view.packs.items()}
        stored = view.stored
        for number, value in stored.items():
            assert value == self.value(number) and value > 0, f"number {number} is {value}"
            assert number not in view.gaps, f"number {number} is stored and in a gap"
        for number, reason in view.gaps.items():
            if reason != EVICTED:
                assert reason in self._given_up[number], f"number {number}: gap {reason}"
        if self._view is not None:
            self._check_changes(self._view, view, brokers, configured, was_full)
        accounted = stored.keys() | view.gaps.keys()
        assert accounted >= set(range(view.kept_from, view.next_seq)), "not kept from kept_from on"
        accounted |= self._gone
        assert accounted >= set(range(view.next_seq)), "a number below next_seq is nowhere"
        assert accounted >= set(range(self._freed_below)), "the node let go what nobody has"
        for name in configured:
            self._check_place(name, view, brokers[name])
        self._view = view
        self._configured = configured

    def _check_changes(
        self,
        before: View,
        view: View,
        brokers: Mapping[str, ModelBroker],
        configured: Collection[str],
        was_full: bool,
    ) -> None:
        assert view.next_seq >= before.next_seq
        assert view.kept_from >= before.kept_from
        lost = [n for n, reason in before.gaps.items() if view.gaps.get(n) != reason]
        assert not lost, f"gaps of {lost} are forgotten"
        for number in before.stored.keys() - view.stored.keys():
            self._gone.add(number)
            if view.gaps.get(number) == EVICTED:
                is_refused = any(number in brokers[name].refused for name in configured)
                assert was_full and (self._evicts or is_refused), f"{number} is evicted"
                has_arrived = all(number in brokers[name].known for name in configured)
                assert is_refused or not configured or not has_arrived, f"{number} is no gap"
                for name in brokers:
                    self._waived[name].add(number)
                continue
            # Where destinations come or go, it may have been deleted before or after.
            assert any(
                names and all(self._is_settled(name, number, brokers[name]) for name in names)
                for names in (configured, self._configured)
            ), f"{number} is deleted before {configured} have it"
            for name, broker in brokers.items():
                if number not in broker.has:
                    self._waived[name].add(number)

    def _is_settled(self, name: str, number: int, broker: ModelBroker) -> bool:
        return number in broker.has or number in self._waived[name] | self.dropped[name]

    def _check_place(self, name: str, view: View, broker: ModelBroker) -> None:
        letters = view.letters.get(name, set())
        for pack_id, numbers in self._packs.items():
            if view.has(name, pack_id) and pack_id not in letters:
                lacks = [n for n in numbers if not self._is_settled(name, n, broker)]
                assert not lacks, f"{name} is said to have {lacks}"

    # The brokers.

    def check_broker(self, name: str, broker: ModelBroker) -> None:
        """Check all that came to a broker."""
        for number, value in broker.arrivals:
            assert self.value(number) == value > 0, f"{name} got {value} as number {number}"
        order = list(dict.fromkeys(number for number, _ in broker.arrivals))
        if self._in_order and not broker.refused:
            assert order == sorted(order), f"{name} got {order}"

    def check_end(self, view: View, brokers: Mapping[str, ModelBroker]) -> None:
        """Check that nothing is missing anywhere, once all faults are mended and all is quiet."""
        numbers = self.values.keys() | self.maybe.keys()
        assert view.next_seq == len(numbers), "the gateway has not heard of all numbers"
        for name, broker in brokers.items():
            arrived = {number for number, _ in broker.arrivals}
            for number in numbers:
                reason = view.gaps.get(number)
                if reason is None:
                    assert self._is_settled(name, number, broker), f"{name} lacks {number}"
                elif reason != EVICTED:
                    assert number not in arrived, f"{name} has {number}, which is in a gap"
