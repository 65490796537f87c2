"""Lets a run come to rest for its ledger's verdict."""

import time
from typing import TYPE_CHECKING

from feltpost_tools.sim.ledger_verdict import Verdict

if TYPE_CHECKING:
    from feltpost_tools.sim.rig import Rig

# How often it looks: in simulated time, and in real time while the gateway is busy.
_LOOK_S = 20.0
_PATIENCE_S = 0.25


async def settle(rig: "Rig", timeout_s: float, lanes: int) -> Verdict:
    """Return the verdict once it finds nothing amiss, or as it is after timeout_s of real time."""
    ledger = rig.ledger
    ledger.close(rig.clock.now_us())
    deadline = time.monotonic() + timeout_s
    while True:
        missing = len(ledger.missing)
        await rig.until(rig.simulated_s + _LOOK_S)
        await _gateway_caught_up(rig, deadline)
        late = time.monotonic() > deadline
        # While what waited comes in, there is nothing to judge.
        if late or len(ledger.missing) == missing:
            rig.enter_gaps()
            verdict = ledger.verdict(lanes)
            if late or verdict.ok:
                return verdict


async def _gateway_caught_up(rig: "Rig", deadline: float) -> None:
    # It forwards in real time, and nodes that a fast run lets sample on would outrun it.
    rig.world.speed = 1
    while rig.ledger.owed() and time.monotonic() < deadline:
        await rig.next_arrival(_PATIENCE_S)
        rig.enter_gaps()
    rig.world.speed = rig.plan.speed
