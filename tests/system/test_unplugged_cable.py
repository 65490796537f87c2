"""A serial line that is unplugged in the middle of a frame costs nothing.

Other outages: test_long_outage.py, test_broker_faults.py, and test_chaos.py.
"""

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
