"""What happens between a node and the gateway: cables, networks, and links that garble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.system.chaos.fault import NodeFault

from feltpost_tools.faults.disturbance import Disturbance

# Reasons of gaps, docs/durability.md.
_JOURNAL_FULL = 1


@dataclass(frozen=True)
class CablePulled(NodeFault):
    """The cable comes out after so many more bytes from the board, mostly in mid-frame."""

    KIND = "serial cable pulled in mid-frame"
    LINK = "serial"
    MINUTES = (1, 5)

    after_bytes: int

    @classmethod
    def parameters(cls, chance, links):
        return super().parameters(chance, links) | {"after_bytes": chance.randint(0, 300)}

    async def strike(self, run):
        run.board(self.node).line.unplug_after(self.after_bytes)

    async def heal(self, run):
        run.board(self.node).line.plug()


@dataclass(frozen=True)
class NetworkAway(NodeFault):
    """Gone from the air, or there and carrying nothing."""

    KIND = "Wi-Fi away"
    LINK = "udp"
    MINUTES = (1, 6)

    what: Literal["up", "carries"]

    @classmethod
    def parameters(cls, chance, links):
        return super().parameters(chance, links) | {"what": chance.choice(("up", "carries"))}

    async def strike(self, run):
        self._set(run, False)

    async def heal(self, run):
        self._set(run, True)

    def _set(self, run, value):
        for point in run.board(self.node).air.radio.reach:
            setattr(point, self.what, value)


@dataclass(frozen=True)
class LongOutage(NodeFault):
    """A node without its link for about as long as its journal lasts."""

    KIND = "link away until the journal is full"
    MINUTES = (110, 150)

    async def strike(self, run):
        run.may_lose(self.node, _JOURNAL_FULL)
        run.link_down(self.node)

    async def heal(self, run):
        run.link_up(self.node)


@dataclass(frozen=True)
class _Garbling(NodeFault):
    MINUTES = (3, 7)

    seed: int
    loss: float
    duplicate: float
    reorder: float
    corrupt: float
    delay_ms: int

    @classmethod
    def parameters(cls, chance, links):
        shares = dict.fromkeys(("loss", "duplicate", "reorder", "corrupt"), 0.0)
        for name in chance.sample(sorted(shares), chance.randint(1, 3)):
            shares[name] = chance.choice((0.1, 0.3))
        return {
            **super().parameters(chance, links),
            **shares,
            "seed": chance.getrandbits(16),
            "delay_ms": chance.choice((0, 0, 20, 1000)),
        }

    async def strike(self, run):
        disturbance = Disturbance(
            self.seed,
            loss=self.loss,
            duplicate=self.duplicate,
            reorder=self.reorder,
            corrupt=self.corrupt,
            delay_ms=self.delay_ms,
            serial=self.LINK == "serial",
        )
        run.disturb(self.node, disturbance)

    async def heal(self, run):
        run.disturb(self.node, None)


@dataclass(frozen=True)
class GarbledNetwork(_Garbling):
    KIND = "UDP loses, doubles, reorders, delays, corrupts"
    LINK = "udp"


@dataclass(frozen=True)
class GarbledLine(_Garbling):
    KIND = "serial loses, doubles, reorders, delays, corrupts"
    LINK = "serial"


KINDS = (CablePulled, NetworkAway, LongOutage, GarbledNetwork, GarbledLine)
