"""What happens to boards: power that goes at any moment, resets, bits that flip in the flash."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.system.chaos.fault import NodeFault

from feltpost_tools.sim.flash import BLOCK_BYTES, NorFlash, Torn

# A write or erase that no run comes to.
_NEVER = 1 << 60

_SLOT_BYTES = 16
_ERASED = b"\xff" * _SLOT_BYTES

# Reasons of gaps, docs/durability.md.
_CORRUPT = 2


@dataclass(frozen=True)
class PowerCut(NodeFault):
    KIND = "power cut of a node"
    KILLS = 1
    MINUTES = (0, 5)

    async def strike(self, run):
        await run.cut_power(self.node)

    async def heal(self, run):
        await run.power(self.node)


@dataclass(frozen=True)
class PowerCutInWrite(NodeFault):
    """In a write or erase of the journal, counted from the next one."""

    KIND = "power cut in a flash write"
    KILLS = 1
    MINUTES = (4, 7)

    operation: int
    torn: Torn
    seed: int

    @classmethod
    def parameters(cls, chance, links):
        return super().parameters(chance, links) | {
            "operation": chance.randint(1, 25),
            "torn": chance.choice(list(Torn)),
            "seed": chance.getrandbits(16),
        }

    async def strike(self, run):
        run.board(self.node).flash.cut_at(self.operation, self.torn, self.seed)

    async def heal(self, run):
        run.board(self.node).flash.cut_at(_NEVER, Torn.NOTHING)
        await run.power(self.node)


@dataclass(frozen=True)
class WatchdogReset(NodeFault):
    KIND = "watchdog reset of a node"
    KILLS = 1

    async def strike(self, run):
        run.interrupted(self.node)
        run.board(self.node).reset()

    async def heal(self, run):
        """It boots by itself."""


@dataclass(frozen=True)
class BrownOut(NodeFault):
    KIND = "brown-out of a node"
    KILLS = 1

    seed: int

    @classmethod
    def parameters(cls, chance, links):
        return super().parameters(chance, links) | {"seed": chance.getrandbits(16)}

    async def strike(self, run):
        run.interrupted(self.node)
        run.board(self.node).brown_out(self.seed)

    async def heal(self, run):
        """It boots by itself."""


@dataclass(frozen=True)
class JournalBits(NodeFault):
    """Bits flip while the node has no link and readings wait in the journal.

    Where something is written, that is; a cell of an erased slot has nothing to lose. restart: the
    journal is then found anew, after a power cut.
    """

    KIND = "bits flipped in a node's journal"
    MINUTES = (0, 20)

    bits: int
    seed: int
    restart: bool

    @classmethod
    def parameters(cls, chance, links):
        return super().parameters(chance, links) | {
            "bits": chance.choice((1, 4, 16)),
            "seed": chance.getrandbits(16),
            "restart": chance.random() < 0.5,
        }

    async def strike(self, run):
        run.link_down(self.node)

    async def heal(self, run):
        run.may_lose(self.node, _CORRUPT)
        flash = run.board(self.node).flash
        chance = random.Random(self.seed)
        slots = _written(flash)
        for _ in range(self.bits):
            block, slot = chance.choice(slots)
            flash.flip(block, slot + chance.randrange(_SLOT_BYTES), chance.randrange(8))
        if self.restart:
            await run.cut_power(self.node)
            await run.power(self.node)
        run.link_up(self.node)


def _written(flash: NorFlash) -> list[tuple[int, int]]:
    return [
        (block, position)
        for block in range(flash.blocks)
        for position in range(0, BLOCK_BYTES, _SLOT_BYTES)
        if flash.read(block, position, _SLOT_BYTES) != _ERASED
    ]


KINDS = (PowerCut, PowerCutInWrite, WatchdogReset, BrownOut, JournalBits)
