"""Runs the demo: a rig for a while, an outage if wanted, the drain, and the verdict."""

import asyncio
import contextlib
import enum
import json
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from feltpost_tools.demo.display import Display
from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.ledger import Outcome
from feltpost_tools.sim.rig import Plan, Rig, default_links, shared_recording
from feltpost_tools.sim.trace import Trace

# A node that has met an outage may pause for four minutes of its own time before it tries again,
# and at speed 1 that is real time.
_DRAIN_S = 330.0
_REFRESH_S = 0.25

_EXIT_MISSING = 1
_EXIT_INTERRUPTED = 130


class LinkChoice(enum.StrEnum):
    """What ``--link`` takes."""

    SERIAL = "serial"
    UDP = "udp"
    BOTH = "both"


@dataclass(frozen=True)
class Address:
    """Where a broker listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Options:
    """What the command line says; seconds are real ones."""

    seconds: float
    nodes: int
    link: LinkChoice
    speed: float
    trace: Path | None
    broker: Address | None
    outage: bool
    json_file: Path | None


def run(options: Options) -> int:
    """Run the demo; return the exit code: 0 only when nothing is missing after the drain."""
    return asyncio.run(_Demo(options).run())


class _Demo:
    def __init__(self, options: Options):
        self._options = options
        self._console = Console()
        self._interrupted = asyncio.Event()

    async def run(self) -> int:
        options = self._options
        recording = options.trace or shared_recording()
        plan = Plan(
            trace=Trace.load(recording),
            links=default_links(options.nodes, options.link.value),
            speed=options.speed,
            broker=(options.broker.host, options.broker.port) if options.broker else None,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupted.set)
        self._console.print(f"Replaying {recording.name} on {options.nodes} simulated boards.")
        with tempfile.TemporaryDirectory(prefix="feltpost-demo-") as folder:
            work = asyncio.create_task(self._run_rig(plan, Path(folder)))
            stop = asyncio.create_task(self._interrupted.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not work.done():
                self._console.print("Stopping.")
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work
                return _EXIT_INTERRUPTED
            return work.result()

    async def _run_rig(self, plan: Plan, folder: Path) -> int:
        async with Rig(plan, folder) as rig, self._shown(rig) as display:
            if self._options.outage:
                await self._sample_with_outage(rig, display)
            else:
                display.phase = "sampling"
                await asyncio.sleep(self._options.seconds)
            display.phase = "draining"
            await rig.drain(_DRAIN_S)
            display.phase = "done"
            outcome = rig.ledger.outcome()
            simulated_s = rig.simulated_s
        return self._conclude(outcome, simulated_s)

    async def _sample_with_outage(self, rig: Rig, display: Display) -> None:
        third_s = self._options.seconds / 3
        display.phase = "sampling"
        await asyncio.sleep(third_s)
        lines = [node.board.line for node in rig.nodes if node.link == "serial"][:1]
        parts = ["the broker"] * bool(rig.broker) + ["a serial line"] * bool(lines)
        if not parts:
            raise FeltpostError("--outage needs a broker of the demo's own or a node on serial")
        display.phase = f"outage: {' and '.join(parts)} gone"
        if rig.broker:
            await rig.broker.stop()
        for line in lines:
            line.unplug()
        await asyncio.sleep(third_s)
        display.phase = "sampling again"
        if rig.broker:
            await rig.broker.start()
        for line in lines:
            line.plug()
        await asyncio.sleep(third_s)

    @contextlib.asynccontextmanager
    async def _shown(self, rig: Rig) -> AsyncIterator[Display]:
        with Display(self._console, rig) as display:

            async def refresh() -> None:
                while True:
                    display.refresh()
                    await asyncio.sleep(_REFRESH_S)

            task = asyncio.create_task(refresh())
            try:
                yield display
                display.refresh()
            finally:
                task.cancel()

    def _conclude(self, outcome: Outcome, simulated_s: float) -> int:
        p50_ms, p99_ms = outcome.percentile_ms(50), outcome.percentile_ms(99)
        latency = f"p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms" if p50_ms and p99_ms else "none"
        self._console.print(
            f"{simulated_s / 3600:.1f} simulated hours: {outcome.sampled} sampled, "
            f"{outcome.delivered} delivered, {outcome.missing} missing, "
            f"{outcome.duplicates} duplicates, {outcome.wrong} wrong. Latency {latency}."
        )
        if self._options.json_file:
            counts = {
                "sampled": outcome.sampled,
                "delivered": outcome.delivered,
                "missing": outcome.missing,
                "duplicates": outcome.duplicates,
                "wrong": outcome.wrong,
                "p50_ms": p50_ms and round(p50_ms, 1),
                "p99_ms": p99_ms and round(p99_ms, 1),
                "nodes": self._options.nodes,
                "simulated_s": round(simulated_s),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            self._options.json_file.write_text(json.dumps(counts, indent=1) + "\n")
        return _EXIT_MISSING if outcome.missing or outcome.wrong or not outcome.sampled else 0
