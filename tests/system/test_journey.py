"""A day's readings arrive, every one, as the sensors gave them."""

import asyncio

import pytest

HOUR_S = 3600


@pytest.mark.timeout(400)
def test_a_day_arrives_as_it_was_sampled_over_both_links(rig):
    async def run():
        async with rig(["serial", "udp"], interval_s=300) as running:
            await running.until(24 * HOUR_S)
            assert await running.drain(60)
            return running.ledger

    ledger = asyncio.run(run())
    outcome = ledger.outcome()
    # The ledger matches name, unit, value within the resolution, and time; what does not match is
    # wrong, and what it should have matched is missing.
    assert (outcome.missing, outcome.wrong, outcome.duplicates) == (0, 0, 0), ledger.wrong[:5]
    for node in ("node-1", "node-2"):
        # Four readings every five minutes, the first within the first five.
        assert ledger.nodes[node].delivered >= 24 * 12 * 4


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


def test_readings_from_before_the_first_contact_arrive_with_their_time_and_a_mark(rig):
    arrived = []

    async def run():
        async with rig(["serial", "udp"]) as running:
            await running.gateway.kill()
            # Nobody at the other end: for UDP a dead gateway, for serial a cable that is out.
            line = running.nodes[0].board.line
            line.unplug()
            for node in running.nodes:
                await node.board.power_off()
                running.ledger = type(running.ledger)()
                await node.board.power_on()
            keep = running.subscriber._received
            running.subscriber._received = lambda reading, at: (
                arrived.append(reading),
                keep(reading, at),
            )
            began_s = running.simulated_s
            await running.until(began_s + 1 * HOUR_S)
            line.plug()
            await running.gateway.start()
            await running.until(began_s + 2 * HOUR_S)
            assert await running.drain(60)
            return running.ledger

    outcome = asyncio.run(run()).outcome()
    assert (outcome.missing, outcome.wrong) == (0, 0)
    for node in ("node-1", "node-2"):
        marks = [reading.marks for reading in arrived if reading.node == node]
        # An hour's worth at least from before, the rest from after, and none in between.
        assert marks.count(1) >= 60 * 4
        assert marks.count(0) >= 40 * 4
        assert marks == sorted(marks, reverse=True)


def test_without_flash_a_board_starts_a_new_journal_and_repeats_no_nonce(rig):
    async def run():
        async with rig(["udp"], journal_blocks=0) as running:
            board = running.nodes[0].board
            for hour in (1, 2, 3):
                await running.until(hour * HOUR_S)
                await board.power_off()
                # What the journal in RAM held is gone with the power. All that is claimed here is
                # that the node goes on; what flash keeps is in test_power.py.
                await board.power_on()
            await running.until(4 * HOUR_S)
            await running.drain(5)
            return running.ledger, (running.folder / "gateway.log").read_text()

    ledger, log = asyncio.run(run())
    outcome = ledger.outcome()
    assert (outcome.wrong, outcome.duplicates) == (0, 0)
    # A sender sequence number used again would have been taken for a replay.
    assert "replay" not in log
    journals = {journal for _, journal, _ in ledger.seen}
    assert journals == {1, 2, 3, 4}


def test_a_fortnight_goes_over_the_wrap_of_the_boards_ticks(rig):
    async def run():
        # Ticks wrap after 12.4 days.
        async with rig(["udp"], interval_s=3 * HOUR_S) as running:
            await running.until(14 * 24 * HOUR_S)
            assert await running.drain(60)
            return running.ledger

    outcome = asyncio.run(run()).outcome()
    assert (outcome.missing, outcome.wrong, outcome.duplicates) == (0, 0, 0)
    assert outcome.sampled >= 14 * 8 * 4
