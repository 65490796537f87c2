"""A node, a gateway and two brokers through everything at once, against a small model of custody.

Hypothesis makes up the steps: readings and exchanges, with power cuts, crashes, lost answers, full
disks, absent and forgetful brokers, clocks that jump and destinations that come and go in between.
After each the model (model_custody.py) looks at what the node, the store and the brokers have; at
the end all is mended, everything goes out, and nothing may be missing.

The usual run tries the same examples each time. A longer one, which tries others each time:

    FELTPOST_MODEL_EXAMPLES=5000 ./run test --numprocesses=0 --timeout=0 tests/gateway/test_model.py

Its seed is shown with a failure, and `FELTPOST_MODEL_SEED` makes it the same one again. The failure
itself is shown as the shortest steps that lead to it, with a `@reproduce_failure` to be put above
`Journey`.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from aiocoap.numbers import codes
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from tests.gateway.model_custody import Custody
from tests.gateway.model_node import CUTS, Node, NodeOff, NodeState, Reply, Request
from tests.gateway.model_site import DESTINATIONS, Site
from tests.gateway.model_wire import Fate

from feltpost_tools.sim.interpreter import Interpreter

EXAMPLES = int(os.environ.get("FELTPOST_MODEL_EXAMPLES", "0"))
SEED = int(os.environ.get("FELTPOST_MODEL_SEED", random.getrandbits(32) if EXAMPLES else 1))

HOUR_MS = 3_600_000
# What the gateway's clock may be off by; None is 1970, which nobody believes.
CLOCKS_MS = (0, -20 * HOUR_MS, 400 * 24 * HOUR_MS, None)

fates = st.sampled_from(Fate)
names = st.sampled_from(DESTINATIONS)
subsets = st.sampled_from([(), ("a",), ("b",), DESTINATIONS])


@seed(SEED)
class Journey(RuleBasedStateMachine):
    """Readings on their way from a node's journal to two brokers."""

    node: ClassVar[Node]

    def __init__(self) -> None:
        super().__init__()
        self.began_under = sys.exc_info()[1]
        self.site: Site | None = None

    @initialize(evicts=st.booleans(), backlog_packs=st.sampled_from([None, 2]))
    def begin(self, evicts: bool, backlog_packs: int | None) -> None:
        self.site = Site(evicts, backlog_packs)
        self.custody = Custody(evicts, in_order=backlog_packs is None)
        self.next_value = 1
        self.is_full = self.was_full = False
        self.clock_ms = self.site.clock.value_ms
        self.node.blank()
        self.state = self.node.state()

    # The node.

    @rule(count=st.sampled_from([1, 5, 30, 80]), sound=st.sampled_from([True, True, False]))
    def sample(self, count: int, sound: bool) -> None:
        """Keep some readings; those that are not sound are refused by the gateway."""
        count = count if sound else 1
        first = self.next_value
        self.next_value += count
        sign = 1 if sound else -1
        values = range(sign * first, sign * self.next_value, sign)
        try:
            self.custody.sampled(self.node.append(first, count, sign), values)
        except NodeOff as off:
            self.custody.sampled(off.appended, values)
            done = len(off.appended)
            number = off.appended[-1][0] + 1 if done else self.state.next
            self.custody.cut_in_append(number, values[done], self.state.writes)
            self.boot()
        self.look_at_node()

    @rule(exchanges=st.sampled_from([1, 2, 4]), fate=fates, silent=subsets)
    def send(self, exchanges: int, fate: Fate, silent: tuple[str, ...]) -> None:
        """Make some exchanges; the fate is that of the last one.

        From now on, the PUBACKs of the brokers that are named are lost.
        """
        for name, broker in self.here.brokers.items():
            if broker.is_silent != (name in silent):
                broker.is_silent = name in silent
                self.here.cut(name)
        for _ in range(exchanges - 1):
            self.exchange(Fate.ANSWERED)
        self.exchange(fate)

    def go_on(self) -> None:
        """Measure and send one more reading: nothing happens while a node stands still."""
        self.sample(1, sound=True)
        self.exchange(Fate.ANSWERED)

    @rule(count=st.sampled_from([1, 4, 20]), fate=fates, silent=subsets)
    def live(self, count: int, fate: Fate, silent: tuple[str, ...]) -> None:
        """Sample and send at once, as nodes mostly do."""
        self.sample(count, sound=True)
        self.send(1, fate, silent)

    @rule(operations=st.integers(1, 12), cut=st.sampled_from(CUTS))
    def cut_power_in(self, operations: int, cut: str) -> None:
        """Have the power go in one of the next operations of the flash."""
        self.node.cut_in(operations, cut)
        self.go_on()

    @rule()
    def reset_node(self) -> None:
        self.boot()
        self.look_at_node()
        self.go_on()

    # The gateway.

    @rule(graceful=st.booleans())
    def start_anew(self, graceful: bool) -> None:
        """Have the gateway restarted, or crash."""
        if graceful:
            self.here.restart()
        else:
            self.here.crash()
        self.go_on()

    @rule(which=st.integers(0, 30))
    def replay(self, which: int) -> None:
        self.here.replay(which)

    @rule(off_ms=st.sampled_from(CLOCKS_MS))
    def set_clock(self, off_ms: int | None) -> None:
        clock = self.here.clock
        clock.known = off_ms is not None
        clock.value_ms = 0 if off_ms is None else self.clock_ms + off_ms
        self.go_on()

    @rule()
    def tidy(self) -> None:
        self.here.tidy()
        self.go_on()

    @rule(short_bytes=st.sampled_from([None, 1, 3_000]))
    def fill_disk(self, short_bytes: int | None) -> None:
        """Fill the disk, so that little or more has to go, or make room."""
        self.is_full = short_bytes is not None
        self.was_full |= self.is_full
        if short_bytes is None:
            self.here.empty_disk()
        else:
            self.here.fill_disk(short_bytes)
        self.go_on()

    @rule(configured=subsets)
    def configure(self, configured: tuple[str, ...]) -> None:
        self.here.configure(configured)
        self.go_on()

    # The brokers.

    @rule(name=names, is_away=st.booleans(), is_silent=st.booleans())
    def trouble_broker(self, name: str, is_away: bool, is_silent: bool) -> None:
        """Reset a broker's connections; it may stay away then, or lose the PUBACKs to come."""
        self.here.brokers[name].is_away = is_away
        self.here.brokers[name].is_silent = is_silent
        self.here.cut(name)
        self.go_on()

    @rule(name=names, after=st.integers(0, 3))
    def broker_refuses(self, name: str, after: int) -> None:
        """Have a broker refuse what carries one of the next readings."""
        self.here.brokers[name].refuses.add(self.next_value + after)
        self.go_on()

    @rule(name=names, retry=st.booleans())
    def settle_refused(self, name: str, retry: bool) -> None:
        """Send a destination what it refused once more, or forget it."""
        if name in self.here.configured and retry:
            self.here.brokers[name].refuses.clear()
            self.here.retry(name)
        elif name in self.here.configured:
            view = self.here.view()
            for pack_id in view.letters.get(name, ()):
                self.custody.dropped[name] |= view.packs[pack_id].keys()
            self.here.drop_refused(name)
        self.go_on()

    # What goes on after each step.

    @invariant()
    def custody_is_kept(self) -> None:
        if self.site is None:
            return
        # Not left to chance, so that the same steps lead to the same end.
        self.here.deliver()
        self.node.tick(1_000)
        self.site.clock.value_ms += 1_000
        view = self.site.view()
        brokers = self.site.brokers
        self.custody.check_store(view, brokers, self.site.configured, self.was_full)
        for name, broker in brokers.items():
            self.custody.check_broker(name, broker)
        self.was_full = self.is_full

    def teardown(self) -> None:
        if self.site is None:
            return
        try:
            # Where a step has failed, the rest would only hide it.
            if sys.exc_info()[1] is self.began_under:
                self.mend()
                self.bring_home()
        finally:
            self.site.close()

    def mend(self) -> None:
        self.node.cut_in(0, CUTS[0])
        for name in DESTINATIONS:
            self.here.brokers[name].refuses.clear()
            self.trouble_broker(name, is_away=False, is_silent=False)
        self.fill_disk(None)
        self.set_clock(0)
        self.configure(DESTINATIONS)
        self.custody_is_kept()

    def bring_home(self) -> None:
        for name in DESTINATIONS:
            self.here.retry(name)
        # Each exchange brings a pack, a gap or the time, or halves a pack with a bad reading in it.
        for _ in range(10 * (len(self.custody.values) + 10)):
            if not self.state.waiting:
                break
            self.exchange(Fate.ANSWERED)
        self.custody_is_kept()
        assert not self.state.waiting, "the journal is not emptied"
        self.custody.check_end(self.here.view(), self.here.brokers)

    @property
    def here(self) -> Site:
        assert self.site is not None
        return self.site

    def exchange(self, fate: Fate) -> None:
        """Make one exchange that brings something; the fate is that of its first such request."""
        fates = [fate]

        def carry(request: Request) -> Reply | None:
            is_question = request.code == codes.GET or not fates
            return self.here.exchange(request, Fate.ANSWERED if is_question else fates.pop())

        # It may have to ask for the time first.
        for _ in range(2):
            if fates and self.state.waiting:
                self.exchange_once(carry)

    def exchange_once(self, carry: Callable[[Request], Reply | None]) -> None:
        try:
            self.node.exchange(carry)
        except NodeOff:
            self.boot()
        self.look_at_node()

    def boot(self) -> None:
        self.node.boot()
        self.custody.booted(self.node.state())

    def look_at_node(self) -> None:
        self.state: NodeState = self.node.state()
        self.custody.check_node(self.state)


@pytest.fixture(autouse=True, scope="module")
def node(micropython: Interpreter) -> Iterator[None]:
    print(f"FELTPOST_MODEL_SEED={SEED}")
    Journey.node = Node(micropython)
    yield
    Journey.node.close()


TestJourney = Journey.TestCase
TestJourney.settings = settings(
    max_examples=EXAMPLES or 30,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestJourney.pytestmark = [pytest.mark.timeout(600)]
