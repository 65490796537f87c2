"""Broker, gateway and line go away for a while; when they are back, nothing is missing."""

import asyncio

import pytest

pytestmark = pytest.mark.timeout(300)

HOUR_S = 3600
DRAIN_S = 60


def check(ledger):
    outcome = ledger.outcome()
    assert (outcome.missing, outcome.wrong) == (0, 0), (ledger.missing[:5], ledger.wrong[:5])
    assert outcome.sampled > 0
    return outcome


def test_broker_away_for_hours(rig):
    async def run():
        async with rig(["serial", "udp"]) as running:
            await running.until(1 * HOUR_S)
            await running.broker.stop()
            await running.until(6 * HOUR_S)
            waiting = len(running.ledger.missing)
            await running.broker.start()
            await running.until(7 * HOUR_S)
            assert await running.drain(DRAIN_S)
            return waiting, check(running.ledger)

    waiting, outcome = asyncio.run(run())
    # The outage was one: five hours of two nodes were waiting at the gateway.
    assert waiting >= 5 * 59 * 4 * 2
    assert outcome.sampled >= 7 * 59 * 4 * 2


# In the frame's opening, its CoAP header, its ciphertext, and just before its end.
@pytest.mark.parametrize("cut_at", [1, 6, 40, 90])
def test_serial_line_unplugged_in_mid_frame(rig, cut_at):
    async def run():
        async with rig(["serial"]) as running:
            line = running.nodes[0].board.line
            await running.until(0.5 * HOUR_S)
            line.unplug_after(cut_at)
            await running.until(0.6 * HOUR_S)
            assert not line.plugged
            line.plug()
            await running.until(1.5 * HOUR_S)
            assert await running.drain(DRAIN_S)
            return check(running.ledger)

    asyncio.run(run())


def test_gateway_killed_in_the_middle_of_traffic(rig):
    async def run():
        async with rig(["serial", "udp", "udp"]) as running:
            for round_number in range(1, 6):
                await running.until(round_number * 0.5 * HOUR_S)
                # Traffic is dense at this speed: the kill falls anywhere in request, commit,
                # answer and publish.
                await running.gateway.kill()
                await running.gateway.start()
            await running.until(3 * HOUR_S)
            assert await running.drain(DRAIN_S)
            return check(running.ledger)

    asyncio.run(run())


def test_everything_at_once(rig):
    async def run():
        async with rig(["serial", "udp"]) as running:
            await running.until(0.5 * HOUR_S)
            await running.broker.stop()
            running.nodes[0].board.line.unplug_after(30)
            running.nodes[1].board.air.up = False
            await running.until(0.7 * HOUR_S)
            await running.gateway.kill()
            running.nodes[0].board.line.plug()
            await running.gateway.start()
            running.nodes[1].board.air.up = True
            await running.broker.start()
            await running.until(1.5 * HOUR_S)
            assert await running.drain(DRAIN_S)
            return check(running.ledger)

    asyncio.run(run())
