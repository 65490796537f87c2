"""The simulated clock jumps only when nothing has anything to do before then."""

import asyncio
import math
import time

import pytest

from feltpost_tools.sim.clock import GatewayClock, SharedClock, monotonic_us
from feltpost_tools.sim.world import Alarm, World

START_US = 1_000_000_000_000_000
HOUR_US = 3_600_000_000


class Sleeper:
    """A participant that rests until a time and notes when it was woken."""

    def __init__(self, world):
        self._world = world
        self.at_rest = False
        self.due_us = None
        self.answer_awaited_until_us = 0
        self.woken = asyncio.Event()
        self.output = 0

    def rest_for(self, duration_us):
        self.woken.clear()
        self.due_us = None if duration_us is None else self._world.clock.now_us() + duration_us
        self.at_rest = True
        self._world.changed()

    def collect_output(self):
        self.output += 1

    def wake(self):
        self.at_rest = False
        self.woken.set()


@pytest.fixture
def run(tmp_path):
    """Run a scenario with a world at a speed and so many participants."""

    def go(scenario, count, speed=math.inf):
        async def bounded():
            world = World(SharedClock(tmp_path / "clock", START_US), speed)
            sleepers = [Sleeper(world) for _ in range(count)]
            for sleeper in sleepers:
                world.add(sleeper)
            async with asyncio.timeout(20):
                await scenario(world, *sleepers)

        asyncio.run(bounded())

    return go


def test_jumps_to_the_earliest_when_all_rest(run):
    async def scenario(world, first, second):
        first.rest_for(HOUR_US)
        second.rest_for(2 * HOUR_US)
        await first.woken.wait()
        assert START_US + HOUR_US <= world.clock.now_us() < START_US + HOUR_US + 10_000_000
        assert not second.woken.is_set()
        first.rest_for(None)
        await second.woken.wait()
        assert world.clock.now_us() >= START_US + 2 * HOUR_US

    run(scenario, 2)


def test_stands_by_while_one_is_busy(run):
    async def scenario(world, first, _busy):
        first.rest_for(HOUR_US)
        for _ in range(50):
            await asyncio.sleep(0)
        assert world.clock.now_us() < START_US + HOUR_US // 2
        # Real time still passes: a short rest ends although the other is busy.
        first.rest_for(5_000)
        await first.woken.wait()
        assert world.clock.now_us() < START_US + HOUR_US // 2

    run(scenario, 2)


def test_waits_for_an_answer_in_real_time(run):
    async def scenario(world, first):
        first.answer_awaited_until_us = monotonic_us() + 300_000
        before = time.monotonic()
        first.rest_for(HOUR_US)
        await first.woken.wait()
        assert time.monotonic() - before >= 0.3
        assert world.clock.now_us() >= START_US + HOUR_US

    run(scenario, 1)


def test_waits_for_no_answer_where_nobody_could_give_one(run):
    async def scenario(world, first):
        world.listening = lambda: False
        first.answer_awaited_until_us = monotonic_us() + 60_000_000
        first.rest_for(HOUR_US)
        await first.woken.wait()
        assert world.clock.now_us() >= START_US + HOUR_US

    run(scenario, 1)


def test_an_alarm_rings_at_its_time_and_then_holds_nothing_up(run):
    async def scenario(world, first):
        alarm = Alarm(START_US + HOUR_US)
        world.add(alarm)
        first.rest_for(3 * HOUR_US)
        await alarm.rung.wait()
        assert START_US + HOUR_US <= world.clock.now_us() < START_US + 2 * HOUR_US
        await first.woken.wait()
        assert world.clock.now_us() >= START_US + 3 * HOUR_US

    run(scenario, 1)


def test_output_is_collected_before_a_jump(run):
    async def scenario(world, first):
        def collect():
            # What it had sent turns out to be a request.
            first.answer_awaited_until_us = monotonic_us() + 10_000_000

        first.collect_output = collect
        first.rest_for(HOUR_US)
        for _ in range(50):
            await asyncio.sleep(0)
        assert world.clock.now_us() < START_US + HOUR_US // 2

    run(scenario, 1)


@pytest.mark.parametrize("speed", [10, 1000])
def test_never_runs_ahead_of_its_speed(run, speed):
    async def scenario(world, first):
        began = time.monotonic()
        for _ in range(20):
            first.rest_for(10_000 * speed)
            await first.woken.wait()
            passed_us = world.clock.now_us() - START_US
            # A jump takes whole milliseconds, rounded up.
            assert passed_us <= (time.monotonic() - began) * 1e6 * speed + 1_000

    run(scenario, 1, speed)


def test_time_is_made_up_for_when_input_ends_a_rest(run):
    async def scenario(world, first):
        first.rest_for(1000 * HOUR_US)
        await asyncio.sleep(0.1)
        world.before_input()
        # A tenth of a second at a hundred times the speed, and no more than has passed.
        assert world.clock.now_us() - START_US >= 5_000_000

    run(scenario, 1, 100)


def test_slower_than_the_wall_is_refused(tmp_path):
    with pytest.raises(ValueError, match="slower"):
        World(SharedClock(tmp_path / "clock", START_US), 0.5)


def test_the_clock_is_shared_through_its_file(tmp_path):
    ours = SharedClock(tmp_path / "clock", START_US)
    theirs = SharedClock(tmp_path / "clock")
    ours.jump(HOUR_US)
    assert abs(theirs.now_us() - ours.now_us()) < 1_000_000


def test_the_gateways_clock_may_be_wrong_and_says_when_it_is_not_set(tmp_path):
    ours = SharedClock(tmp_path / "clock", START_US)
    gateways = GatewayClock(SharedClock(tmp_path / "clock"))
    assert gateways.is_set()
    ours.gateway_error_us = -HOUR_US
    assert 0 <= gateways.now_ms() - (START_US - HOUR_US) // 1000 < 1000
    assert gateways.is_set()
    ours.gateway_error_us = -START_US
    assert 0 <= gateways.now_ms() < 2000
    assert not gateways.is_set()
