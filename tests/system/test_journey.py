"""A day's readings arrive, every one, as the sensors gave them."""

import asyncio

import pytest

HOUR_S = 3600


@pytest.mark.timeout(400)
def test_a_day_arrives_as_it_was_sampled_over_both_links(rig):
    async def run():
        async with rig(["serial", "udp"]) as running:
            await running.until(24 * HOUR_S)
            assert await running.drain(60)
            return running.ledger

    ledger = asyncio.run(run())
    outcome = ledger.outcome()
    # The ledger matches name, unit, value within the resolution, and time; what does not match is
    # wrong, and what it should have matched is missing.
    assert (outcome.missing, outcome.wrong, outcome.duplicates) == (0, 0, 0), ledger.wrong[:5]
    for node in ("node-1", "node-2"):
        # Four readings a minute, the first within the first minute.
        assert ledger.nodes[node].delivered >= 24 * 60 * 4


def test_readings_of_a_node_arrive_in_order_and_without_a_hole(rig):
    arrived = []

    async def run():
        async with rig(["serial", "udp"]) as running:
            keep = running.subscriber._received
            running.subscriber._received = lambda reading, at: (
                arrived.append(reading),
                keep(reading, at),
            )
            await running.until(2 * HOUR_S)
            assert await running.drain(60)

    asyncio.run(run())
    for node in ("node-1", "node-2"):
        numbers = [(r.journal, r.number) for r in arrived if r.node == node]
        assert numbers == [(1, n) for n in range(len(numbers))]


def test_a_board_that_loses_power_starts_a_new_journal_and_repeats_no_nonce(rig):
    async def run():
        async with rig(["udp"]) as running:
            board = running.nodes[0].board
            for hour in (1, 2, 3):
                await running.until(hour * HOUR_S)
                await board.power_off()
                # What the journal in RAM held is gone with the power; it is the flash journal
                # that will keep it. All that is claimed here is that the node goes on.
                await board.power_on()
            await running.until(4 * HOUR_S)
            await running.drain(5)
            return running.ledger, (running.folder / "gateway.log").read_text()

    ledger, log = asyncio.run(run())
    outcome = ledger.outcome()
    assert (outcome.wrong, outcome.duplicates) == (0, 0)
    # A sender sequence number used again would have been taken for a replay.
    assert "replay" not in log
    journals = {journal for _, journal, _ in ledger._seen}
    assert journals == {1, 2, 3, 4}


def test_a_month_goes_over_the_wrap_of_the_boards_ticks(rig):
    async def run():
        # Ticks wrap after 12.4 days.
        async with rig(["udp"], interval_s=HOUR_S) as running:
            await running.until(30 * 24 * HOUR_S)
            assert await running.drain(60)
            return running.ledger

    outcome = asyncio.run(run()).outcome()
    assert (outcome.missing, outcome.wrong, outcome.duplicates) == (0, 0, 0)
    assert outcome.sampled >= 30 * 24 * 4
