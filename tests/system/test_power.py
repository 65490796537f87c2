"""Power cuts: what a journal on flash has taken in arrives, whatever is cut when."""

import asyncio
import random

import pytest
from tests.support.boards import at_rest

from feltpost_tools.sim import kit
from feltpost_tools.sim.flash import Torn
from feltpost_tools.sim.rtc import RTC_BYTES

pytestmark = pytest.mark.timeout(300)

HOUR_S = 3600
# A round of samples is over and in the journal within this.
ROUND_S = 10


class RamKit:
    """The indoor climate kit on nodes that keep readings in RTC memory first."""

    QUANTITIES = kit.QUANTITIES
    parts = staticmethod(kit.parts)

    @staticmethod
    def configuration(links, interval_s):
        return kit.configuration(links, interval_s) | {"journal": {"mode": "ram"}}


def test_readings_of_an_outage_survive_power_cuts(rig):
    async def run():
        async with rig(["serial"]) as running:
            board = running.nodes[0].board
            await running.until(0.5 * HOUR_S)
            board.line.unplug()
            for _ in range(4):
                began_s = running.simulated_s
                await running.until(began_s + 0.5 * HOUR_S)
                await at_rest(board)
                await board.power_off()
                await board.power_on()
            waiting = len(running.ledger.missing)
            board.line.plug()
            await running.until(running.simulated_s + 0.5 * HOUR_S)
            assert await running.drain(60)
            return running.ledger, waiting

    ledger, waiting = asyncio.run(run())
    outcome = ledger.outcome()
    assert waiting >= 2 * 60 * 4
    assert (outcome.missing, outcome.wrong) == (0, 0), (ledger.missing[:5], ledger.wrong[:5])
    # One journal over all five boots, and no number left out or given twice.
    numbers = sorted(number for _, journal, number in ledger.seen if journal == 1)
    assert numbers == list(range(len(ledger.seen)))


def test_power_cut_in_any_flash_write_loses_only_what_was_not_yet_journalled(rig):
    chance = random.Random(1)
    cuts_us = []

    async def run():
        async with rig(["udp"], journal_blocks=4) as running:
            board = running.nodes[0].board
            for round_number in range(8):
                torn = list(Torn)[round_number % len(Torn)]
                board.flash.cut_at(chance.randint(1, 120), torn, seed=round_number)
                async with asyncio.timeout(60):
                    await board.died.wait()
                cuts_us.append(running.clock.now_us())
                await board.power_on()
            await running.until(running.simulated_s + 0.5 * HOUR_S)
            await running.drain(10)
            return running.ledger

    ledger = asyncio.run(run())
    assert ledger.wrong == []
    assert len(cuts_us) == 8
    # The board samples again as soon as it is back, and equal samples of a moment apart are one to
    # the ledger: it may call the later one missing.
    unexplained = [
        sample
        for sample in ledger.missing
        if not any(abs(cut_us - sample.time_us) <= ROUND_S * 1e6 for cut_us in cuts_us)
    ]
    assert unexplained == []
    assert len(ledger.missing) <= 4 * len(cuts_us)
    assert ledger.outcome().delivered > 150


def test_a_partition_that_cant_be_used_is_told_and_the_node_runs_on(rig):
    async def run():
        # Three blocks are the least.
        async with rig(["udp"], journal_blocks=2) as running:
            await running.until(0.2 * HOUR_S)
            assert await running.drain(30)
            return running.ledger, (running.folder / "node-1" / "console.log").read_text()

    ledger, console = asyncio.run(run())
    assert "readings are kept in RAM only" in console
    outcome = ledger.outcome()
    assert outcome.delivered > 40
    assert (outcome.missing, outcome.wrong) == (0, 0)


def test_readings_in_rtc_memory_survive_resets(rig):
    async def run():
        async with rig(["serial"], kit=RamKit) as running:
            board = running.nodes[0].board
            await running.until(0.1 * HOUR_S)
            begun = board.flash.operations
            await running.until(0.3 * HOUR_S)
            online = board.flash.operations - begun
            board.line.unplug()
            for _ in range(4):
                await running.until(running.simulated_s + 0.1 * HOUR_S)
                await at_rest(board)
                board.reset()
            waiting = len(running.ledger.missing)
            outage = board.flash.operations - begun
            board.line.plug()
            await running.until(running.simulated_s + 0.2 * HOUR_S)
            assert await running.drain(60)
            return running.ledger, online, outage, waiting

    ledger, online, outage, waiting = asyncio.run(run())
    outcome = ledger.outcome()
    assert online == 0
    assert outage > 0
    assert waiting >= 20 * 4
    assert (outcome.missing, outcome.wrong) == (0, 0), (ledger.missing[:5], ledger.wrong[:5])
    numbers = sorted(number for _, journal, number in ledger.seen if journal == 1)
    assert numbers == list(range(len(ledger.seen)))


def test_a_reset_in_any_write_to_rtc_memory_loses_only_what_was_not_yet_journalled(rig):
    chance = random.Random(2)
    resets_us = []

    async def run():
        async with rig(["udp"], kit=RamKit) as running:
            board = running.nodes[0].board
            for _ in range(6):
                board.rtc.tear_at(chance.randint(1, 60), chance.randint(0, RTC_BYTES))
                async with asyncio.timeout(60):
                    await board.rtc.torn.wait()
                resets_us.append(running.clock.now_us())
            await running.until(running.simulated_s + 0.2 * HOUR_S)
            await running.drain(10)
            return running.ledger

    ledger = asyncio.run(run())
    assert ledger.wrong == []
    unexplained = [
        sample
        for sample in ledger.missing
        if not any(abs(reset_us - sample.time_us) <= ROUND_S * 1e6 for reset_us in resets_us)
    ]
    assert unexplained == []
    assert ledger.outcome().delivered > 30
