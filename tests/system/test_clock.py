"""Readings carry the time at which they were sampled, whatever becomes of the clocks meanwhile."""

import asyncio
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass

import pytest
from tests.support.boards import at_rest

from feltpost_tools.sim.ledger import Ledger

pytestmark = pytest.mark.timeout(240)

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
DRAIN_S = 60

RECONSTRUCTED, BOUNDED = 1, 2
# What a round trip, a busy machine and drift that is measured to 8 ppm add up to.
TOLERANCE_S = 2


@dataclass(frozen=True)
class Dated:
    """A reading at the subscriber; off_s: by how much its time is later than its sample's."""

    node: str
    sampled_s: float
    unix_s: float
    marks: int

    @property
    def off_s(self):
        return self.unix_s - self.sampled_s


class Times(Ledger):
    """Matches readings to samples by their order alone, so that it can tell how their times are.

    That holds as long as none is lost, which their numbers and values tell.
    """

    def __init__(self):
        super().__init__()
        self._samples = defaultdict(list)
        self._arrivals = defaultdict(dict)

    def sampled(self, reading, monotonic_s):
        if self._closed_us is None:
            self._samples[reading.node, reading.name].append(reading)

    def arrived(self, reading, monotonic_s):
        identity = reading.journal, reading.number
        self._arrivals[reading.node, reading.name].setdefault(identity, reading)

    @property
    def missing(self):
        return [
            sample
            for key, samples in self._samples.items()
            for sample in samples[len(self._arrivals[key]) :]
        ]

    def dated(self):
        """Return all readings in the order in which they were sampled."""
        found = []
        for (node, name), samples in self._samples.items():
            arrivals = self._arrivals[node, name]
            for sample, identity in zip(samples, sorted(arrivals), strict=False):
                reading = arrivals[identity]
                assert abs(reading.value - sample.value) <= sample.resolution / 2 * (1 + 1e-6)
                found.append(Dated(node, sample.time_us / 1e6, reading.unix_s, reading.marks))
        numbers = defaultdict(list)
        # Those that no sensor gave, such as what a node tells of its health, have numbers too.
        for (node, _), arrivals in self._arrivals.items():
            numbers[node] += arrivals
        for taken in numbers.values():
            assert sorted(taken) == [(1, number) for number in range(len(taken))]
        return sorted(found, key=lambda reading: reading.sampled_s)


def is_right(reading, error_s=0):
    # Times are whole seconds, cut off: half a second early in the mean.
    return abs(reading.off_s + 0.5 - error_s) <= TOLERANCE_S


def set_gateway_clock(running, error_s):
    """Make the gateway's clock that much fast from now on; return when that is."""
    running.clock.gateway_error_us = int(error_s * 1e6)
    return running.clock.now_us() / 1e6


async def restart(running, board):
    """Cut a board's power and give it back, once what it sampled is in its journal; return when."""
    await at_rest(board)
    await board.power_off()
    await board.power_on()
    return running.clock.now_us() / 1e6


async def caught_up(running):
    """Wait until the gateway has what was kept for it, and go on for a quarter of an hour."""
    while len(running.ledger.missing) > 8 * len(running.nodes):
        await running.until(running.simulated_s + MINUTE_S)
    await running.until(running.simulated_s + 15 * MINUTE_S)


def run_times(rig, script, links, **plan):
    """Run a script on a rig, drain it, and return what it returned and the readings."""

    async def run():
        ledger = Times()
        async with rig(links, ledger, **plan) as running:
            outcome = await script(running)
            assert await running.drain(DRAIN_S), running.ledger.missing[:5]
            return outcome, ledger.dated()

    return asyncio.run(run())


def test_across_resets_times_are_right_or_bounded_as_their_marks_say(rig):
    async def script(running):
        board = running.nodes[0].board
        await running.until(0.5 * HOUR_S)
        board.line.unplug()
        await running.until(1 * HOUR_S)
        without_time_s = await restart(running, board)
        await running.until(1.5 * HOUR_S)
        with_time_s = await restart(running, board)
        await running.until(2 * HOUR_S)
        board.line.plug()
        await caught_up(running)
        return without_time_s, with_time_s

    (second_s, third_s), readings = run_times(rig, script, ["serial"])
    first = [reading for reading in readings if reading.sampled_s < second_s]
    second = [reading for reading in readings if second_s <= reading.sampled_s < third_s]
    third = [reading for reading in readings if third_s <= reading.sampled_s]
    assert all(is_right(reading) for reading in first + third)
    # Before each of them changes once: from what was sent at once to what a later boot sent, and
    # from what waited for the clock to what didn't.
    assert {reading.marks for reading in first} == {0, RECONSTRUCTED}
    assert {reading.marks for reading in third} == {0, RECONSTRUCTED}
    assert len([reading for reading in first if reading.marks]) >= 29 * 4
    # The second boot never learnt the time: all that is known is when it was over.
    assert len(second) >= 29 * 4
    assert {reading.marks for reading in second} == {BOUNDED}
    for reading in second:
        assert reading.sampled_s - 1 <= reading.unix_s
        assert abs(reading.unix_s - third_s) <= TOLERANCE_S


@pytest.mark.parametrize(("ppm", "reset"), [(-55, False), (55, True)])
def test_a_drifting_crystal_is_corrected_over_a_long_outage(rig, ppm, reset):
    async def script(running):
        board = running.nodes[0].board
        await running.until(0.3 * DAY_S)
        board.line.unplug()
        gone_s = running.clock.now_us() / 1e6
        await running.until(1.1 * DAY_S)
        if reset:
            await restart(running, board)
        back_s = running.clock.now_us() / 1e6
        board.line.plug()
        await caught_up(running)
        return gone_s, back_s

    (gone_s, back_s), readings = run_times(
        rig, script, ["serial"], crystal_ppm=ppm, interval_s=10 * MINUTE_S
    )
    # Uncorrected, the last ones before the contact would be off by nearly four seconds.
    assert [reading for reading in readings if not is_right(reading)] == []
    outage = [reading for reading in readings if gone_s < reading.sampled_s < back_s]
    assert len(outage) >= 4 * 6 * 19
    assert {reading.marks for reading in outage} == {RECONSTRUCTED if reset else 0}


def test_steps_of_the_gateways_clock_are_followed_and_lose_nothing(rig):
    # Seconds, hours, both ways, and back to the truth.
    errors_s = [0, 7, -4, 5 * HOUR_S, -3 * HOUR_S, 0]

    async def script(running):
        steps_s = []
        for number, error_s in enumerate(errors_s):
            steps_s.append(set_gateway_clock(running, error_s))
            await running.until((number + 1) * 0.4 * HOUR_S)
        return steps_s

    steps_s, readings = run_times(rig, script, ["serial", "udp"])
    assert {reading.marks for reading in readings} <= {0, RECONSTRUCTED}
    for reading in readings:
        phase = sum(step_s <= reading.sampled_s for step_s in steps_s[1:])
        possible_s = {errors_s[phase]}
        # The answer to a message tells of the step, so one message goes before it is known; and
        # what waits then is dated anew.
        if reading.sampled_s < steps_s[phase] + 2 * MINUTE_S:
            possible_s.add(errors_s[max(0, phase - 1)])
        if phase + 1 < len(steps_s) and steps_s[phase + 1] - MINUTE_S <= reading.sampled_s:
            possible_s.add(errors_s[phase + 1])
        assert any(is_right(reading, error_s) for error_s in possible_s), reading


def test_readings_that_a_wrong_clock_dated_far_ahead_are_not_lost(rig):
    async def script(running):
        resumed, restarted = (node.board for node in running.nodes)
        await running.until(0.1 * HOUR_S)
        set_gateway_clock(running, 400 * DAY_S)
        await running.until(0.5 * HOUR_S)
        for board in (resumed, restarted):
            board.line.unplug()
        away_s = running.clock.now_us() / 1e6
        await running.until(HOUR_S)
        restart_s = await restart(running, restarted)
        set_gateway_clock(running, 0)
        for board in (resumed, restarted):
            board.line.plug()
        await caught_up(running)
        return away_s, restart_s

    (away_s, restart_s), readings = run_times(rig, script, ["serial", "serial"])
    # Those that were on their way when the line went are waited for, or not.
    after = [reading for reading in readings if reading.sampled_s > away_s + MINUTE_S]
    assert all(is_right(reading) for reading in after if reading.node == "node-1")
    for reading in after:
        if reading.node == "node-2" and reading.sampled_s < restart_s:
            assert reading.marks == BOUNDED
            assert reading.sampled_s - 1 <= reading.unix_s <= restart_s + TOLERANCE_S
        else:
            assert is_right(reading), reading


def test_a_gateway_that_starts_in_1970_dates_nothing_until_its_clock_is_set(rig):
    async def script(running):
        knows, ignorant = (node.board for node in running.nodes)
        await running.until(0.2 * HOUR_S)
        await running.gateway.kill()
        started_s = set_gateway_clock(running, -running.clock.now_us() / 1e6)
        await running.gateway.start()
        restart_s = await restart(running, ignorant)
        await running.until(running.simulated_s + HOUR_S)
        waiting = Counter(sample.node for sample in running.ledger.missing)
        set_gateway_clock(running, 0)
        await caught_up(running)
        console = (ignorant.folder / "console.log").read_text(errors="replace")
        return started_s, restart_s, waiting, console

    (started_s, restart_s, waiting, console), readings = run_times(rig, script, ["udp", "udp"])
    # The one that knows the time goes on; the other one keeps its readings.
    assert waiting["node-1"] <= 8
    assert waiting["node-2"] >= 4 * 59
    assert "the gateway has no time yet" in console
    assert [reading for reading in readings if not is_right(reading)] == []
    known = [r.marks for r in readings if r.node == "node-1" and r.sampled_s > started_s]
    assert len(known) >= 4 * 60
    assert set(known) == {0}
    asked = [r.marks for r in readings if r.node == "node-2" and r.sampled_s > restart_s]
    assert asked.count(RECONSTRUCTED) >= 4 * 59
    assert asked == sorted(asked, reverse=True)


@pytest.mark.parametrize("epoch", [1970, 2000])
def test_it_makes_no_difference_from_when_the_board_counts(rig, epoch):
    async def script(running):
        board = running.nodes[0].board
        await running.until(0.2 * HOUR_S)
        board.line.unplug()
        await running.until(0.4 * HOUR_S)
        await restart(running, board)
        board.line.plug()
        await caught_up(running)
        assert await running.drain(DRAIN_S)
        await running.gateway.stop()
        # Time must not race while mpremote reads: the line loses what is not taken.
        running.world.listening = lambda: True
        port = str(board.line.path)
        ask = "import time; print(time.gmtime(0)[0], time.gmtime()[0])"
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "mpremote", "connect", port, "resume", "exec", ask],
            capture_output=True,
            text=True,
            timeout=30,
        )

    answer, readings = run_times(rig, script, ["serial"], epoch=epoch)
    assert answer.stdout.split() == [str(epoch), "2000"], answer
    assert all(is_right(reading) for reading in readings)
    assert {reading.marks for reading in readings} == {0, RECONSTRUCTED}
