"""The ledger of one test: what the board's sensors handed out, as far as that can be known, against
what came out of the broker."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from feltpost_tools.hil.background import Background
from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger import Arrived, Ledger
from feltpost_tools.sim.ledger_verdict import Kind, Verdict
from feltpost_tools.sim.listed_gaps import ListedGap

_ARRIVE_S = 60.0
_SETTLE_S = 60.0
# What more arrivals may mend.
_MAY_COME = {
    Kind.ACKNOWLEDGED_MISSING,
    Kind.HANDED_OVER_MISSING,
    Kind.UNACCOUNTED,
    Kind.UNEXPLAINED,
}
# What only somebody can tell who saw the sensors' side.
_OF_SENSORS = {Kind.WRONG, Kind.UNEXPLAINED}


class Book:
    """Keeps a feltpost_tools.sim.ledger.Ledger in the event loop, for a test outside it.

    A real sensor tells nobody else what it hands out. With one, only numbers are accounted for:
    none missing, none twice, none out of order.
    """

    def __init__(
        self,
        loop: Background,
        node: str,
        now_us: Callable[[], int],
        gaps: Callable[[], Iterable[ListedGap]],
        sees_sensors: bool,
    ):
        """now_us: the time by which the board lives; gaps: what the gateway lists by now."""
        self._loop = loop
        self._node = node
        self._gaps = gaps
        self.ledger = Ledger()
        self._now_us = now_us
        self._sees_sensors = sees_sensors
        self._arrived = asyncio.Event()
        self._count = 0

    # For tests

    @property
    def arrived(self) -> int:
        """How many readings have come out of the broker, those of the node itself included."""
        return self._count

    def wait(self, more: int, timeout_s: float = _ARRIVE_S) -> None:
        """Wait until so many more readings have arrived. Raises TimeoutError."""
        self._loop.run(self._wait(self._count + more, timeout_s))

    def settle(self, timeout_s: float = _SETTLE_S) -> Verdict:
        """Wait until all that was sampled up to now has arrived; judge what is there then."""
        return self._loop.run(self._settle(timeout_s))

    # For whoever sees something, in the event loop

    def sampled(self, reading: Sampled) -> None:
        """Enter a value that a simulated sensor handed out."""
        self.ledger.sampled(reading, time.monotonic())

    def received(self, reading: Arrived, monotonic_s: float) -> None:
        """Enter a reading that came out of the broker."""
        self.ledger.arrived(reading, monotonic_s)
        self._count += 1
        self._arrived.set()

    def interrupted(self) -> None:
        """Enter that the board lost its power, or was reset."""
        self.ledger.interrupted(self._node, self._now_us())

    async def _wait(self, count: int, timeout_s: float) -> None:
        before = self._count
        try:
            async with asyncio.timeout(timeout_s):
                while self._count < count:
                    await self._next_arrival()
        except TimeoutError:
            raise TimeoutError(
                f"{self._count - before} readings arrived within {timeout_s:g} s instead of "
                f"{count - before}; the logs of board and gateway may tell why"
            ) from None

    async def _settle(self, timeout_s: float) -> Verdict:
        self.ledger.close(self._now_us())
        verdict = self._verdict()
        try:
            async with asyncio.timeout(timeout_s):
                while any(finding.kind in _MAY_COME for finding in verdict.findings):
                    await self._next_arrival()
                    verdict = self._verdict()
        except TimeoutError:
            # The verdict says what has not come.
            pass
        return verdict

    async def _next_arrival(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    def _verdict(self) -> Verdict:
        self.ledger.forget_gaps()
        for gap in self._gaps():
            self.ledger.gap(self._node, gap.journal, gap.first, gap.count, gap.reason)
        verdict = self.ledger.verdict()
        if self._sees_sensors:
            return verdict
        known = tuple(f for f in verdict.findings if f.kind not in _OF_SENSORS)
        return replace(verdict, findings=known)
