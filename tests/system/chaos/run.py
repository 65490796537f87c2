"""What faults act on: the rig, its parts by place, and what the ledger is told of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from tests.system.chaos.consoles import Console
from tests.system.chaos.service import Service
from tests.system.chaos.store_files import StoreFiles

from feltpost_tools.faults.disturbance import Disturbance
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.rig import Rig

# How finely a run looks whether noise brought a board to its prompt, which the ledger wants to know
# soon; and for how long after the noise, when frames are whole again.
_LOOK_S = 5.0
_NOISE_S = 120.0


class Run:
    """A rig under faults.

    rig: a tapped one; gateway: its process, kept running; store: that one's files. damaged: whether
    the store was.
    """

    def __init__(self, rig: Rig, checkpoint_bytes: int):
        self.rig = rig
        self.gateway = Service(rig.gateway, checkpoint_bytes)
        self.store = StoreFiles(rig.folder / "feltpost.db")
        self.damaged = False
        self._noisy_until_s = 0.0
        self._consoles = [Console(rig.folder / node.name / "console.log") for node in rig.nodes]

    @property
    def now_us(self) -> int:
        """Simulated Unix time."""
        return self.rig.clock.now_us()

    async def passes(self, duration_s: float) -> None:
        """Let simulated time pass."""
        end_s = self.rig.simulated_s + duration_s
        while self.rig.simulated_s < end_s:
            looked_s = self.rig.simulated_s
            await self.rig.until(min(end_s, looked_s + _LOOK_S) if self._is_noisy() else end_s)
            # In noise on a line may be a 0x03 outside a frame, which stops the application.
            for node, console in enumerate(self._consoles):
                if console.has_come_to_prompt():
                    self.interrupted(node)

    def _is_noisy(self) -> bool:
        if any(node.board.line.disturbance for node in self.rig.nodes):
            self._noisy_until_s = self.rig.simulated_s + _NOISE_S
        return self.rig.simulated_s < self._noisy_until_s

    @property
    def at_prompt(self) -> bool:
        """Whether any node was stopped and waits for somebody to type."""
        return any(console.at_prompt for console in self._consoles)

    def board(self, node: int) -> Board:
        """Return a node's board, by its place."""
        return self.rig.nodes[node].board

    async def cut_power(self, node: int) -> None:
        """Take a board's power, whatever it is doing."""
        self.interrupted(node)
        await self.board(node).power_off()

    async def power(self, node: int) -> None:
        """See that a board has power."""
        if not self.board(node).running:
            await self.board(node).power_on()

    def link_down(self, node: int) -> None:
        """Take a node's link away."""
        board = self.board(node)
        if board.air:
            board.air.up = False
        else:
            board.line.unplug()

    def link_up(self, node: int) -> None:
        """Give a node its link back."""
        board = self.board(node)
        if board.air:
            board.air.up = True
        else:
            board.line.plug()

    def disturb(self, node: int, disturbance: Disturbance | None) -> None:
        """Have a node's link garble what it carries, or with None carry it as it is."""
        board = self.board(node)
        (board.air or board.line).disturbance = disturbance

    async def broker_up(self) -> None:
        """See that the broker runs."""
        if not self.rig.broker.running:
            await self.rig.broker.start()

    # What the ledger is told

    def interrupted(self, node: int) -> None:
        """Tell that what a node samples now may not come as far as its journal."""
        self.rig.ledger.interrupted(self.rig.nodes[node].name, self.now_us)

    def may_lose(self, node: int, reason: int) -> None:
        """Tell that readings of a node may truly be lost, for that reason."""
        self.rig.ledger.expect_loss(self.rig.nodes[node].name, reason)

    def store_damaged(self, *reasons: int) -> None:
        """Tell of damage that may cost readings of any node, for those reasons."""
        self.damaged = True
        for node in range(len(self.rig.nodes)):
            for reason in reasons:
                self.may_lose(node, reason)

    def set_gateway_clock(self, error_s: int) -> None:
        """Set the gateway's clock wrong, or with 0 right."""
        self.rig.clock.gateway_error_us = error_s * 1_000_000
        self.rig.ledger.clock_step(self.now_us, error_s)

    def reset_gateway_clock(self) -> None:
        """Have the gateway's clock begin in 1970, of which it tells nobody, until it is set."""
        self.rig.clock.gateway_error_us = -self.now_us

    # What ends by itself

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Inside, the gateway is kept running, and the ledger told of each board that dies.

        Raises what a watcher met.
        """
        nodes = range(len(self.rig.nodes))
        watches = (self.gateway.watch(), *(self._watch_board(node) for node in nodes))
        async with _cancelled_at_the_end(*watches):
            yield

    async def _watch_board(self, node: int) -> None:
        # A cut in a write of the journal comes when it is written.
        died = self.board(node).died
        while True:
            await died.wait()
            self.interrupted(node)
            died.clear()


@contextlib.asynccontextmanager
async def _cancelled_at_the_end(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in work]
        yield
        for task in tasks:
            task.cancel()
