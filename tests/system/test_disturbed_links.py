"""Links that lose, double, reorder, delay and corrupt what they carry, in both directions."""

import asyncio

import pytest

from feltpost_tools.faults.disturbance import Disturbance, Done

pytestmark = pytest.mark.timeout(300)

MINUTE_S = 60


def disturbed(rig, **shares):
    """Run a node on each link, an hour of it disturbed; return the verdict and what was done."""

    async def run():
        async with rig(["serial", "udp"], tapped=True) as running:
            serial, udp = (node.board for node in running.nodes)
            await running.until(5 * MINUTE_S)
            serial.line.disturbance = Disturbance(1, serial=True, **shares)
            udp.air.disturbance = Disturbance(2, **shares)
            await running.until(65 * MINUTE_S)
            done = serial.line.disturbance.done, udp.air.disturbance.done
            serial.line.disturbance = udp.air.disturbance = None
            await running.until(75 * MINUTE_S)
            return await running.settle(), done

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("shares", "what"),
    [
        ({"loss": 0.3, "corrupt": 0.1}, {Done.LOST, Done.CORRUPTED}),
        (
            {"duplicate": 0.3, "reorder": 0.2, "delay_ms": 1500},
            {Done.DUPLICATED, Done.REORDERED, Done.DELAYED},
        ),
    ],
)
def test_nothing_is_lost_over_bad_links(rig, shares, what):
    verdict, done = disturbed(rig, **shares)
    for counts in done:
        assert set(counts) == what
        assert min(counts.values()) > 10
    assert verdict.ok, str(verdict)
    assert verdict.counts.sampled >= 2 * 70 * 4
    assert verdict.counts.in_gaps == 0
