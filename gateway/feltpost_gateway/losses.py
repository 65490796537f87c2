"""Each range of numbers that got no further: of which node, why, and when it was measured.

A gap has no readings that could tell their times, so the readings next to it tell between which
times its own were measured, as long as those are stored.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from feltpost_gateway.errors import ClockNotSetError, PackError
from feltpost_gateway.stored_readings import readings_of
from feltpost_gateway.transaction import GapReason, read_packs


@dataclass(frozen=True)
class Loss:
    """`count` numbers of a journal, from `first` on, noted as missing at `noted_ms`.

    They were measured after the time `after_ms` and before `before_ms`, by the node's clock; None
    is what the store can't tell any more.
    """

    node_id: int
    journal: int
    first: int
    count: int
    reason: GapReason
    noted_ms: int
    after_ms: int | None
    before_ms: int | None


@dataclass
class _Journal:
    # The gaps of a journal in order, and for each the nearest packs beside it, as (number, id).
    gaps: list[tuple[int, int, int, int]] = field(default_factory=list)
    below: list[tuple[int, int] | None] = field(default_factory=list)
    above: list[tuple[int, int] | None] = field(default_factory=list)

    def add(self, gap: tuple[int, int, int, int]) -> None:
        self.gaps.append(gap)
        self.below.append(None)
        self.above.append(None)

    def note(self, pack_id: int, first: int, count: int) -> None:
        after = bisect_left(self.gaps, (first + count,))
        if after < len(self.gaps):
            self.below[after] = max(self.below[after] or (-1, 0), (first, pack_id))
        before = bisect_right(self.gaps, (first,)) - 1
        if before >= 0:
            nearest = self.above[before]
            pack = (first, pack_id)
            self.above[before] = pack if nearest is None else min(nearest, pack)

    def carry(self) -> None:
        # Gaps with nothing stored between them have the same neighbours.
        for place in range(1, len(self.gaps)):
            self.below[place] = self.below[place] or self.below[place - 1]
        for place in reversed(range(len(self.gaps) - 1)):
            self.above[place] = self.above[place] or self.above[place + 1]


def read_losses(connection: sqlite3.Connection, days: int, nodes: Collection[int]) -> list[Loss]:
    """Return what was noted as missing in the last `days` days of these nodes, oldest first.

    It goes through all packs once, however many there are, since they have no index by number.
    """
    rows = connection.execute(
        "SELECT node_id, journal, first, count, reason, noted_ms FROM gaps WHERE noted_ms >="
        " 1000 * strftime('%s', date('now', 'localtime', ?), 'utc') ORDER BY 1, 2, 3",
        (f"-{days - 1} days",),
    )
    journals: dict[tuple[int, int], _Journal] = defaultdict(_Journal)
    for node_id, journal, *gap in rows:
        if node_id in nodes:
            journals[node_id, journal].add((gap[0], gap[1], gap[2], gap[3]))
    if journals:
        packs = connection.execute("SELECT id, node_id, journal, first, count FROM packs")
        for pack_id, node_id, journal, first, count in packs:
            if (node_id, journal) in journals:
                journals[node_id, journal].note(pack_id, first, count)
    losses = []
    for (node_id, journal), found in journals.items():
        found.carry()
        for (first, count, reason, noted_ms), below, above in zip(
            found.gaps, found.below, found.above, strict=True
        ):
            losses.append(
                Loss(
                    node_id=node_id,
                    journal=journal,
                    first=first,
                    count=count,
                    reason=GapReason(reason),
                    noted_ms=noted_ms,
                    after_ms=_time_in(connection, below, last=True),
                    before_ms=_time_in(connection, above, last=False),
                )
            )
    return sorted(losses, key=lambda loss: loss.noted_ms)


def _time_in(
    connection: sqlite3.Connection, neighbour: tuple[int, int] | None, *, last: bool
) -> int | None:
    """Return the time of the last or the first reading of a pack, None where it can't be read."""
    if neighbour is None:
        return None
    pack_id = neighbour[1]
    try:
        readings = readings_of(read_packs(connection, pack_id - 1, 1)[0])
    except (PackError, ClockNotSetError):
        return None
    return readings[-1 if last else 0].record.time_ms
