"""Runs the jobs of many boards at once: of those that are there, or as they are plugged in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from feltpost_tools.device import ports
from feltpost_tools.device.ports import Port
from feltpost_tools.flashing.job import Job, Report
from feltpost_tools.flashing.nodes import Listed, Nodes
from feltpost_tools.flashing.order import Order
from feltpost_tools.flashing.view import View

_LOOK_S = 0.5
# A board that has just been plugged in may not be allowed to this user yet; udev sees to that.
_SETTLE_S = 1.0

Done = Callable[[Report], None]


class Bench:
    """The boards of a run. done is told each report as soon as it is there."""

    def __init__(self, order: Order, nodes: Nodes, view: View, done: Done) -> None:
        self._order = order
        self._nodes = nodes
        self._view = view
        self._done = done
        self.reports: list[Report] = []

    async def flash(self, chosen: Sequence[Port]) -> None:
        """Flash these boards at once. Cancelled, it ends when every board has been reported."""
        await self._finish([asyncio.create_task(self._flash(port)) for port in chosen])

    async def flash_as_they_come(self, listed: Listed) -> None:
        """Flash each board that is plugged in, until every row of the list is done."""
        tasks: list[asyncio.Task[None]] = []
        try:
            async for port in _as_they_come():
                if port:
                    tasks.append(asyncio.create_task(self._flash(port)))
                elif not listed.left and all(task.done() for task in tasks):
                    return
        finally:
            await self._finish(tasks)

    async def _flash(self, port: Port) -> None:
        with self._view.board(port) as progress:
            report = await Job(port.path, self._order, self._nodes, progress).run()
        self.reports.append(report)
        self._done(report)

    async def _finish(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            # Each of them has been cancelled, too, and reports what it had done.
            await asyncio.wait(tasks)
            raise


async def _as_they_come() -> AsyncIterator[Port | None]:
    # Give each port when it comes, those that are there at first too; None where none is new.
    known: set[Port] = set()
    while True:
        present = set(ports.plugged_in())
        new = sorted(present - known, key=lambda port: port.path)
        if new and known:
            await asyncio.sleep(_SETTLE_S)
        for port in new:
            yield port
        # One that was unplugged is another board when it comes again.
        known = present
        yield None
        await asyncio.sleep(_LOOK_S)
