"""What a bad link does to what it carries: loss, duplication, reordering, delay, corruption.

Nothing but decisions: whoever carries the bytes asks what becomes of each piece, a datagram or
what was read of a serial line at once, and passes on what comes out. All of it follows from a seed.
"""

import asyncio
import enum
import functools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

# Of the datagrams that are corrupted, how many are cut short; in the others bits flip.
_CUT_SHORT = 0.2
_FLIPS_MOST = 3


class Done(enum.Enum):
    """What can be done to a piece."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    DELAYED = "delayed"
    CORRUPTED = "corrupted"


@dataclass(frozen=True)
class Passed:
    """A piece that comes out at the other end, so much later than it went in."""

    data: bytes
    delay_ms: int = 0


class Way:
    """One direction of a link. done: how often it did what."""

    def __init__(
        self,
        chance: random.Random,
        shares: dict[Done, float],
        delay_ms: int,
        corrupt: Callable[[bytes, random.Random], bytes],
    ):
        """shares: how often what happens, 0 to 1; delay_ms: the most; corrupt: damages a piece."""
        self._chance = chance
        self._shares = shares
        self._delay_ms = delay_ms
        self._corrupt = corrupt
        self._held: bytes | None = None
        self.done: Counter[Done] = Counter()

    def take(self, data: bytes) -> list[Passed]:
        """Return what comes out for a piece that goes in, in order."""
        # All are drawn in any case, so that one share changes nothing of what the others do.
        happens = {what: self._chance.random() < share for what, share in self._shares.items()}
        if happens[Done.LOST]:
            self.done[Done.LOST] += 1
            return []
        if happens[Done.REORDERED] and self._held is None:
            # It is lost if nothing comes that could overtake it.
            self.done[Done.REORDERED] += 1
            self._held = data
            return []
        if happens[Done.CORRUPTED] and data:
            self.done[Done.CORRUPTED] += 1
            data = self._corrupt(data, self._chance)
        passed = [Passed(data, self._delay(happens[Done.DELAYED]))]
        if happens[Done.DUPLICATED]:
            self.done[Done.DUPLICATED] += 1
            passed.append(Passed(data))
        if self._held is not None:
            passed.append(Passed(self._held))
            self._held = None
        return passed

    def _delay(self, happens: bool) -> int:
        if not happens or not self._delay_ms:
            return 0
        self.done[Done.DELAYED] += 1
        return self._chance.randint(1, self._delay_ms)


class Disturbance:
    """A bad link, both directions of it.

    seed: what repeats it. loss, duplicate, reorder, delay, corrupt: the share of the pieces that
    each happens to, 0 to 1; one that is delayed comes up to delay_ms later. serial: the pieces are
    parts of a stream of bytes, so that corruption loses and makes up bytes as well.
    """

    def __init__(
        self,
        seed: int,
        *,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay: float = 1.0,
        delay_ms: int = 0,
        corrupt: float = 0.0,
        serial: bool = False,
    ):
        shares = {
            Done.LOST: loss,
            Done.DUPLICATED: duplicate,
            Done.REORDERED: reorder,
            Done.DELAYED: delay,
            Done.CORRUPTED: corrupt,
        }
        damage = _corrupt_stream if serial else _corrupt_datagram
        chance = random.Random(seed)
        self.from_node = Way(random.Random(chance.getrandbits(64)), shares, delay_ms, damage)
        self.to_node = Way(random.Random(chance.getrandbits(64)), shares, delay_ms, damage)

    @property
    def done(self) -> Counter[Done]:
        """How often it did what, both directions together."""
        return self.from_node.done + self.to_node.done


def carry(
    way: Way | None,
    data: bytes,
    put: Callable[[bytes], object],
    later: Callable[[int, Callable[[], object]], object],
) -> bool:
    """Pass a piece on by put, as the way has it (None: as it is).

    later: calls a function after so many milliseconds. Return whether it went on at once and whole.
    """
    if way is None:
        put(data)
        return True
    prompt = False
    for passed in way.take(data):
        if passed.delay_ms:
            later(passed.delay_ms, functools.partial(put, passed.data))
        else:
            put(passed.data)
            prompt = prompt or passed.data == data
    return prompt


def later(delay_ms: int, call: Callable[[], object]) -> None:
    """Call a function after so many milliseconds of real time: for carry()."""
    asyncio.get_running_loop().call_later(delay_ms / 1000, call)


def _corrupt_datagram(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < _CUT_SHORT:
        return data[: chance.randrange(len(data))]
    for _ in range(chance.randint(1, _FLIPS_MOST)):
        data = _flip_bit(data, chance)
    return data


def _corrupt_stream(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    match chance.randrange(3):
        case 0:
            return _flip_bit(data, chance)
        case 1:
            return data[:place] + data[place + 1 :]
        case _:
            return data[:place] + chance.randbytes(1) + data[place:]


def _flip_bit(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes((data[place] ^ 1 << chance.randrange(8),)) + data[place + 1 :]
