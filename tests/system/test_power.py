"""Power cuts: what a journal on flash has taken in arrives, whatever is cut when."""

import asyncio
import random

import pytest

from feltpost_tools.sim.flash import Torn

pytestmark = pytest.mark.timeout(300)

HOUR_S = 3600
# A round of samples is over and in the journal within this.
ROUND_S = 10


async def at_rest(board):
    """Wait until the board has nothing to do: what it sampled is in its journal then."""
    while not board.at_rest:  # noqa: ASYNC110 - it is, at every turn of the loop but a few
        await asyncio.sleep(0)


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
    numbers = sorted(number for _, journal, number in ledger._seen if journal == 1)
    assert numbers == list(range(len(ledger._seen)))


def test_power_cut_in_any_flash_write_loses_only_what_was_not_yet_journalled(rig):
    chance = random.Random(1)
    cuts_us = []

    async def run():
        async with rig(["udp"], journal_blocks=4) as running:
            board = running.nodes[0].board
            for round_number in range(16):
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
    assert len(cuts_us) == 16
    # The board samples again as soon as it is back, and equal samples of a moment apart are one to
    # the ledger: it may call the later one missing.
    unexplained = [
        sample
        for sample in ledger.missing
        if not any(abs(cut_us - sample.time_us) <= ROUND_S * 1e6 for cut_us in cuts_us)
    ]
    assert unexplained == []
    assert len(ledger.missing) <= 4 * len(cuts_us)
    assert ledger.outcome().delivered > 200


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
