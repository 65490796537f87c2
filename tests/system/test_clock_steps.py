"""Somebody sets a clock, of a board that runs or of the gateway: no reading gets another time."""

import asyncio
from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.timeout(240)

HOUR_S = 3600
YEAR_S = 31_556_952


def unix_ms(year):
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)


async def settled(running):
    verdict = await running.settle()
    assert verdict.ok, str(verdict)
    return verdict.counts


@pytest.mark.parametrize("away", [False, True])
def test_the_date_of_a_board_that_runs_is_set(rig, away):
    """As mpremote's `rtc --set` does, which takes local time for it."""

    async def run():
        async with rig(["udp"], tapped=True) as running:
            board = running.nodes[0].board
            await running.until(0.2 * HOUR_S)
            board.air.up = not away
            for number, year in enumerate((1970, 2000, 2036, 2106), start=1):
                board.set_date(unix_ms(year))
                await running.until((0.2 + 0.2 * number) * HOUR_S)
            board.air.up = True
            return await settled(running)

    counts = asyncio.run(run())
    assert counts.arrived >= 59 * 4


def test_a_gateway_with_a_backlog_restarts_in_1970_and_its_clock_goes_astray(rig):
    async def run():
        async with rig(["udp"], tapped=True) as running:
            board = running.nodes[0].board
            await running.until(0.2 * HOUR_S)
            await running.broker.stop()
            await running.until(0.6 * HOUR_S)
            waiting = len(running.ledger.missing)
            # What a gateway tells of the time while it is wrong is another matter (test_clock).
            board.air.up = False
            await running.gateway.kill()
            now_s = running.clock.now_us() // 1_000_000
            for number, error_s in enumerate((-now_s, 20 * YEAR_S, -3 * YEAR_S, 0), start=1):
                running.clock.gateway_error_us = error_s * 1_000_000
                if not running.gateway.running:
                    await running.gateway.start()
                await running.until((0.6 + 0.1 * number) * HOUR_S)
            board.air.up = True
            await running.broker.start()
            return waiting, await settled(running)

    waiting, counts = asyncio.run(run())
    assert waiting >= 23 * 4
    assert counts.in_gaps == 0
