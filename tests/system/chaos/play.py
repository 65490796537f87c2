"""Carries out a round: strikes, waits, heals, and has the ledger judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.system.chaos.fault import Fault
from tests.system.chaos.run import Run
from tests.system.chaos.schedule import Round

from feltpost_tools.sim.image import Image
from feltpost_tools.sim.ledger_verdict import Verdict
from feltpost_tools.sim.rig import Plan, Rig
from feltpost_tools.sim.trace import Trace

# A fault and its pause take some ten minutes. At this speed what the gateway and its broker do by
# real time, such as connecting anew, has its share of that.
_SPEED = 900

# A round begins with readings that have arrived, and ends with some that come after all faults:
# only then it shows that each journal goes on.
_BEGIN_S = 180
_END_S = 300
# The watchdog takes a node from a prompt that was forgotten (firmware/feltpost/watchdog.py).
_PROMPT_S = 3_700

_CRASH = b"Traceback"


@dataclass(frozen=True)
class Outcome:
    """What a round came to; findings: all that is wrong."""

    verdict: Verdict
    findings: list[str]
    simulated_s: int


async def play(round_: Round, recording: Trace, image: Image, folder: Path) -> Outcome:
    """Carry out a round in an empty folder, saying each step before it is taken."""
    print(round_)
    plan = Plan(
        recording,
        round_.links,
        speed=_SPEED,
        journal_blocks=round_.journal_blocks,
        store_settings={"retention_days": round_.keeps_days},
        tapped=True,
        image=image,
    )
    async with Rig(plan, folder) as rig:
        run = Run(rig, round_.checkpoint_bytes)
        async with run.watched():
            await run.passes(_BEGIN_S)
            await _take(run, round_)
            await run.passes(_END_S)
            if run.at_prompt:
                await run.passes(_PROMPT_S)
            verdict = await rig.settle()
    return Outcome(verdict, list(_findings(run, verdict)), int(rig.simulated_s))


async def _take(run: Run, round_: Round) -> None:
    unhealed: Fault | None = None
    for step in round_.steps:
        print(f"{run.rig.simulated_s:7.0f} s  {step}", flush=True)
        await step.fault.strike(run)
        if unhealed:
            await unhealed.heal(run)
        await run.passes(step.fault.lasts_s)
        unhealed = step.fault
        if not step.overlaps:
            await unhealed.heal(run)
            unhealed = None
            await run.passes(step.pause_s)
    if unhealed:
        await unhealed.heal(run)


def _findings(run: Run, verdict: Verdict) -> Iterator[str]:
    if not verdict.ok:
        yield str(verdict)
    if run.gateway.ended_itself and not run.damaged:
        yield f"the gateway ended by itself: {run.gateway.ended_itself}"
    folder = run.rig.folder
    # A gateway that meets damage says so with an exception, which its command would catch.
    gateway = () if run.damaged else (folder / "gateway.log",)
    for log in (*gateway, *folder.glob("*/console.log")):
        if _CRASH in log.read_bytes():
            yield f"{log.relative_to(folder)} has a traceback"
