"""What a round of chaos will do, all of it decided by a seed before it begins."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from tests.system.chaos import (
    broker_faults,
    clock_faults,
    gateway_faults,
    link_faults,
    node_faults,
    store_faults,
)
from tests.system.chaos.fault import Fault, minutes

from feltpost_tools.sim.rig import LinkKind

KINDS: tuple[type[Fault], ...] = (
    *node_faults.KINDS,
    *link_faults.KINDS,
    *gateway_faults.KINDS,
    *store_faults.KINDS,
    *broker_faults.KINDS,
    *clock_faults.KINDS,
)

FAULTS_PER_ROUND = 12

_LINKS: tuple[tuple[LinkKind, ...], ...] = (
    ("serial", "udp"),
    ("udp", "serial"),
    ("serial", "udp", "serial"),
)
# Three are the least that the journal works with. Marks take room too, so that one that is emptied
# all the time also comes round within hours.
_JOURNAL_BLOCKS = (3, 3, 5)

# Short enough that within a round the log is put into the database, now and then or all the time.
_CHECKPOINT_BYTES = (1 << 13, 1 << 16, 1 << 18)

# How often the next fault comes before this one is healed.
_OVERLAPS = 0.3


@dataclass(frozen=True)
class Step:
    """A fault, and the simulated time before the next one; overlaps: that is not waited for."""

    fault: Fault
    pause_s: int
    overlaps: bool

    def __str__(self) -> str:
        after = "healed after the next" if self.overlaps else f"then {self.pause_s} s in peace"
        return f"{self.fault}; {after}"


@dataclass(frozen=True)
class Round:
    """A rig and what happens to it.

    keeps_days: how long the gateway keeps what it delivered. checkpoint_bytes: how long its log
    gets before it is put into the database.
    """

    seed: str
    links: Sequence[LinkKind]
    journal_blocks: int
    keeps_days: int
    checkpoint_bytes: int
    steps: Sequence[Step]

    def __str__(self) -> str:
        return (
            f"round {self.seed}: nodes on {', '.join(self.links)}; {self.journal_blocks} blocks for"
            f" each journal; {self.keeps_days} days kept at the gateway, whose log gets"
            f" {self.checkpoint_bytes >> 10} KiB long"
        )


def rounds(faults: int) -> int:
    """Return how many rounds so many faults take."""
    return math.ceil(faults / FAULTS_PER_ROUND)


def draw(seed: int, number: int, faults: int) -> Round:
    """Return a round, counted from 0, of a run with so many faults in all."""
    own = f"{seed}/{number}"
    chance = random.Random(own)
    links = chance.choice(_LINKS)
    first = number * FAULTS_PER_ROUND
    kinds = _dealt(seed, first, min(first + FAULTS_PER_ROUND, faults))
    return Round(
        seed=own,
        links=links,
        journal_blocks=chance.choice(_JOURNAL_BLOCKS),
        keeps_days=chance.choice((0, 30)),
        checkpoint_bytes=chance.choice(_CHECKPOINT_BYTES),
        steps=[
            Step(kind.draw(chance, links), minutes(chance, 1, 5), chance.random() < _OVERLAPS)
            for kind in kinds
        ],
    )


def _dealt(seed: int, first: int, after: int) -> list[type[Fault]]:
    # All kinds in some order, again and again: as often as any other, whatever the round.
    decks = range(first // len(KINDS), (after - 1) // len(KINDS) + 1)
    cards = chain.from_iterable(
        random.Random(f"{seed}/deck {deck}").sample(KINDS, len(KINDS)) for deck in decks
    )
    skipped = first - decks.start * len(KINDS)
    return list(cards)[skipped : skipped + after - first]
