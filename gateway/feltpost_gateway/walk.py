"""Walks a lane: takes packs from the store and makes them into messages."""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from feltpost_gateway import formats
from feltpost_gateway.accounts import Accounts
from feltpost_gateway.clock import Clock
from feltpost_gateway.delivery import DeadLetter, format_ranges, note_refused
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.directory import Directory
from feltpost_gateway.errors import ClockNotSetError, PackError
from feltpost_gateway.formats.base import NodeDescription
from feltpost_gateway.logs import EventLog
from feltpost_gateway.mqtt import Outgoing
from feltpost_gateway.progress import Lane
from feltpost_gateway.selection import Selection
from feltpost_gateway.store import Store, Taken
from feltpost_gateway.topics import fill
from feltpost_gateway.transaction import StoredPack, Transaction

# What is taken at a time, so that a backlog takes no memory.
_TAKE_PACKS = 64


@dataclass(frozen=True)
class Item:
    """A message, and what it carries: numbers of a pack, as ranges."""

    pack_id: int
    node: NodeDescription
    seqs: str
    message: Outgoing

    @property
    def key(self) -> tuple[int, str]:
        """What tells it from all other messages of a destination."""
        return self.pack_id, self.seqs


class Office:
    """Makes messages for one destination, and writes down what can't be sent."""

    def __init__(
        self,
        config: DestinationConfig,
        accounts: Accounts,
        store: Store,
        directory: Directory,
        clock: Clock,
        note_progress: Callable[[], None],
    ) -> None:
        """`note_progress` tells the store how far the lanes are."""
        self._config = config
        self._accounts = accounts
        self._format = formats.load(config.format)
        self._selection = Selection(config, accounts, directory)
        self._store = store
        self._clock = clock
        self._note_progress = note_progress
        self._log = EventLog("forwarder")
        self.refused = 0
        """How many messages the destination did not take for good."""

    async def take(self, lane: Lane) -> Taken:
        """Take the next packs of a lane from the store, which gives none of them up from now on."""

        def hold(pack_id: int) -> None:
            lane.take(pack_id)
            self._note_progress()

        return await self._store.take_packs(lane.position, _TAKE_PACKS, hold)

    async def compose(self, pack: StoredPack) -> list[Item]:
        """Return what of a pack the destination is to have, as messages."""
        node = self._selection.describe(pack)
        if node is None:
            return []
        try:
            readings = self._selection.readings(pack)
        except (PackError, ClockNotSetError) as error:
            # It was read when it came, so the store has gone bad or the rules have changed. One
            # such pack must not hold up all others; it is accounted for as a gap.
            await self._note_unreadable(pack, error)
            return []
        topic = fill(self._config.topic, self._accounts.fields(node))
        try:
            messages = self._format.messages(node, pack.journal, readings)
        except PackError as error:
            seqs = format_ranges(reading.seq for reading in readings)
            await self.note_refused(pack.id, seqs, topic, str(error))
            return []
        return [
            Item(
                pack.id,
                node,
                seqs := format_ranges(message.seqs),
                Outgoing(
                    topic,
                    message.payload,
                    self._format.CONTENT_TYPE,
                    {"node": node.urn, "journal": str(pack.journal), "seq": seqs},
                ),
            )
            for message in messages
        ]

    async def note_refused(self, pack_id: int, seqs: str, topic: str, reason: str) -> None:
        """Write down what the destination does not take, unless its pack is gone meanwhile."""
        name = self._config.name
        letter = DeadLetter(name, pack_id, seqs, topic, reason, self._clock.now_ms())

        def note(transaction: Transaction) -> bool:
            return note_refused(transaction.connection, letter)

        if not await self._store.write(note):
            return
        self.refused += 1
        self._log.limited(
            (name, reason),
            "refused-for-good",
            destination=name,
            topic=topic,
            pack=pack_id,
            seq=seqs,
            reason=reason,
        )

    async def _note_unreadable(self, pack: StoredPack, error: Exception) -> None:
        self._log.error(
            "unreadable",
            node=pack.node.name,
            journal=pack.journal,
            seq=pack.first,
            count=pack.count,
            reason=error,
        )
        noted_ms = self._clock.now_ms()

        def note(transaction: Transaction) -> None:
            transaction.note_unreadable(pack.id, noted_ms)

        await self._store.write(note)


class Walk:
    """The messages of one lane that have not gone out yet."""

    def __init__(self, lane: Lane, office: Office) -> None:
        self.lane = lane
        self._office = office
        self._packs: deque[StoredPack] = deque()
        self._items: deque[Item] = deque()
        self._may_have_more = True
        self.aside: list[Item] = []
        """What was left out: no more than one message."""

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be sent, as far as is known."""
        return not self._items and not self._packs and not self._may_have_more

    def woken(self) -> None:
        """Note that the store may have new packs."""
        self._may_have_more = True

    async def next(self, set_aside: Hashable | None) -> Item | None:
        """Return the next message, again until `pop`; None where more steps may be needed.

        A step takes up one pack at most. The message whose key is `set_aside` is left out.
        """
        if not self._items:
            await self._take_up(set_aside)
        return self._items[0] if self._items else None

    def send_aside(self) -> None:
        """Send what was left out next."""
        self._items.extendleft(reversed(self.aside))
        self.aside = []

    def pop(self) -> None:
        """Go on to the message after the next one."""
        self._items.popleft()

    async def _take_up(self, set_aside: Hashable | None) -> None:
        if not self._packs and self._may_have_more:
            # Before the reading: what is stored during it wakes the walk again.
            self._may_have_more = False
            taken = await self._office.take(self.lane)
            self._packs.extend(taken.packs)
            self._may_have_more |= taken.may_have_more
        if not self._packs:
            if self.lane.upto is not None and not self._may_have_more:
                self.lane.end()
            return
        pack = self._packs.popleft()
        if self.lane.upto is not None and pack.id > self.lane.upto:
            self._packs.clear()
            self._may_have_more = False
            self.lane.end()
            return
        items = [] if self.lane.has(pack.id) else await self._office.compose(pack)
        self.lane.begin(pack.id, len(items))
        for item in items:
            (self.aside if item.key == set_aside else self._items).append(item)
