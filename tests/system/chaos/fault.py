"""What every kind of fault has: how it is drawn, struck, healed and told."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from feltpost_tools.sim.rig import LinkKind

if TYPE_CHECKING:
    from tests.system.chaos.run import Run

MINUTE_S = 60


@dataclass(frozen=True)
class Fault(ABC):
    """One fault; its fields are all that decides what it does. lasts_s: simulated seconds."""

    KIND: ClassVar[str]
    """What the table of a run calls it."""
    KILLS: ClassVar[int] = 0
    """How many processes or boards it ends on the spot."""
    MINUTES: ClassVar[tuple[int, int]] = (0, 0)
    """How long it lasts, at least and at most, in simulated time."""

    lasts_s: int

    @classmethod
    def draw(cls, chance: random.Random, links: Sequence[LinkKind]) -> Self:
        """Return one for nodes with such links."""
        return cls(minutes(chance, *cls.MINUTES), **cls.parameters(chance, links))

    @classmethod
    def parameters(cls, chance: random.Random, links: Sequence[LinkKind]) -> dict[str, Any]:
        """Return what it has beside its duration."""
        return {}

    @abstractmethod
    async def strike(self, run: Run) -> None:
        """Do the harm, and tell the ledger what loss it may truly cause."""

    @abstractmethod
    async def heal(self, run: Run) -> None:
        """Mend what does not mend by itself, be it broken or not."""

    def __str__(self) -> str:
        values = (f"{field.name} {getattr(self, field.name)}" for field in fields(self))
        return f"{self.KIND}: {', '.join(values)}"


@dataclass(frozen=True)
class NodeFault(Fault):
    """One of a node, by its place, or of its link; LINK: only of a node that has this one."""

    LINK: ClassVar[LinkKind | None] = None

    node: int

    @classmethod
    def parameters(cls, chance: random.Random, links: Sequence[LinkKind]) -> dict[str, Any]:
        """Choose the node."""
        places = [place for place, link in enumerate(links) if cls.LINK in (None, link)]
        return {"node": chance.choice(places)}


def minutes(chance: random.Random, least: int, most: int) -> int:
    """Return some time between so many minutes, in seconds."""
    return chance.randint(least * MINUTE_S, most * MINUTE_S)
