"""Where a destination is: what it has, what is on its way to it, what waits.

Packs go out along lanes. A lane walks the packs of one range of ids in order. There is one for
what comes now, and one for each backlog that an outage has left behind it, so that new readings
need not wait until the old ones are out.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

# Packs that make a backlog. Fewer are sent in order, since they are through in a moment.
BACKLOG_PACKS = 500

# Each backlog is a row in the store. With so many of them, more would help nobody.
_BACKLOGS_MAX = 64


@dataclass(frozen=True)
class Position:
    """What a destination has: every pack up to `cursor`, and those of the ranges `ahead` of it.

    A range (a, b) stands for the ids after a up to b.
    """

    cursor: int
    ahead: tuple[tuple[int, int], ...] = ()

    def without(self, pack_ids: Iterable[int]) -> "Position":
        """Return the position of a destination that lacks these packs, too."""
        ranges = [(0, self.cursor), *self.ahead]
        for pack_id in sorted(set(pack_ids)):
            for index, (after_id, upto_id) in enumerate(ranges):
                if after_id < pack_id <= upto_id:
                    ranges[index : index + 1] = [(after_id, pack_id - 1), (pack_id, upto_id)]
        return Position(ranges[0][1], tuple((a, b) for a, b in ranges[1:] if a < b))


@dataclass(frozen=True)
class Handover:
    """What a destination has, and what it may have or get.

    `taken` are ranges of ids, as those of a position, of packs that were taken from the store to be
    sent, on this connection or an earlier one, and that it is not known to have.
    """

    position: Position
    taken: tuple[tuple[int, int], ...] = ()


class Lane:
    """The packs after `cursor`, up to `upto` or, where that is None, without end."""

    def __init__(self, cursor: int, upto: int | None = None) -> None:
        self.cursor = cursor
        """The destination has every pack of the lane up to here."""
        self.position = cursor
        """The last pack that was begun."""
        self.upto = upto
        self.taken_upto = cursor
        """The last pack that was ever taken from the store."""
        self._left: OrderedDict[int, int] = OrderedDict()
        self._had: set[int] = set()

    @property
    def done(self) -> bool:
        """Whether the destination has the whole lane."""
        return self.upto is not None and self.cursor >= self.upto

    def begin(self, pack_id: int, messages: int) -> None:
        """Take up a pack, of which `messages` are to be acknowledged; 0 means that it is passed."""
        self.position = pack_id
        self._left[pack_id] = messages
        self._advance()

    def take(self, pack_id: int) -> None:
        """Note that the packs up to this one, or `upto`, are taken from the store."""
        last = pack_id if self.upto is None else min(pack_id, self.upto)
        self.taken_upto = max(last, self.taken_upto)

    def acknowledged(self, pack_id: int, messages: int = 1) -> None:
        """Note that the destination has so many messages of a pack."""
        self._left[pack_id] -= messages
        self._advance()

    def end(self) -> None:
        """Note that no more packs are left to begin before `upto`."""
        assert self.upto is not None
        if self.position < self.upto:
            self.begin(self.upto, 0)

    def restart(self) -> None:
        """Begin again after what the destination has; what was on its way is not."""
        self._had |= {pack_id for pack_id, left in self._left.items() if not left}
        self._left.clear()
        self.position = self.cursor

    def has(self, pack_id: int) -> bool:
        """Tell whether the destination has a pack beyond the cursor, from before a restart."""
        return pack_id in self._had

    def _advance(self) -> None:
        while self._left:
            pack_id, left = next(iter(self._left.items()))
            if left:
                break
            del self._left[pack_id]
            self._had.discard(pack_id)
            self.cursor = pack_id


class Progress:
    """The lanes of one destination."""

    def __init__(self, position: Position) -> None:
        self.backlogs: list[Lane] = []
        """Lanes with an end, the oldest first."""
        cursor = position.cursor
        for after_id, upto_id in position.ahead:
            self.backlogs.append(Lane(cursor, after_id))
            cursor = upto_id
        self.live = Lane(cursor)

    def position(self) -> Position:
        """Return what the destination has, to be stored."""
        lanes = [*(lane for lane in self.backlogs if not lane.done), self.live]
        return Position(
            lanes[0].cursor,
            tuple(
                (lane.upto, after.cursor)
                for lane, after in zip(lanes, lanes[1:], strict=False)
                if lane.upto is not None and after.cursor > lane.upto
            ),
        )

    def handover(self) -> Handover:
        """Return what the destination has, and what it may have or get."""
        return Handover(
            self.position(),
            tuple(
                (lane.cursor, lane.taken_upto)
                for lane in (*self.backlogs, self.live)
                if lane.taken_upto > lane.cursor
            ),
        )

    def restart(self, newest: int) -> None:
        """Begin again; what waits is a backlog where there is much of it.

        `newest` is the id of the last pack in the store.
        """
        for lane in (*self.backlogs, self.live):
            lane.restart()
        if newest - self.live.cursor > BACKLOG_PACKS and len(self.backlogs) < _BACKLOGS_MAX:
            self.live.upto = newest
            self.backlogs.append(self.live)
            self.live = Lane(newest)

    def backlog(self) -> Lane | None:
        """Return the lane of the oldest backlog; those that the destination has are dropped."""
        while self.backlogs and self.backlogs[0].done:
            self.backlogs.pop(0)
        return self.backlogs[0] if self.backlogs else None
