"""Finds the message that makes a broker hang up, without holding the others back.

MQTT 3.1.1 has no way to refuse a message but to close the connection, and so do many brokers of
MQTT 5. What was on its way then is sent again one by one. A message on which alone the connection
breaks three times is left out for once: where the broker takes none next, the broker was to blame.
Where it takes another one, the message gets a last try on that same connection, since the broker
may have recovered just then; if that breaks it, the message is to blame. The three times lie apart,
since a broker that is asked to take too much too fast hangs up on any message.
"""

import time
from collections.abc import Callable, Hashable, Set

_TRIES = 3
_APART_S = 5.0


class Suspects:
    """Messages, by what tells them apart, that were on their way when a connection broke."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._losses: dict[Hashable, int] = {}
        self._counted_s = -_APART_S
        self.set_aside: Hashable | None = None
        """The message that is to be left out until another one has been taken."""
        self.is_guilty = False
        """Whether the message set aside has had its last try, and is to be given up."""

    @property
    def cautious(self) -> bool:
        """Whether one message at a time must be sent."""
        return bool(self._losses)

    def lost(self, on_their_way: Set[Hashable], acknowledged: int) -> None:
        """Note a broken connection, on which `acknowledged` messages had been taken before."""
        if self.set_aside is not None and on_their_way == {self.set_aside}:
            # Left out as it is, it goes only as the last try.
            self.is_guilty = True
            return
        if self.set_aside is not None and not acknowledged and on_their_way:
            self.clear()
            return
        for message in on_their_way:
            self._losses.setdefault(message, 0)
        if len(on_their_way) == 1 and self._now_s() - self._counted_s >= _APART_S:
            self._counted_s = self._now_s()
            (message,) = on_their_way
            self._losses[message] += 1
            if self._losses[message] >= _TRIES:
                self.set_aside = message

    def taken(self, message: Hashable, was_left_out: bool) -> bool:
        """Note that the broker answered a message; tell whether the one set aside may go.

        It may for its last try, where it was left out before this one.
        """
        self._losses.pop(message, None)
        if message == self.set_aside:
            self.set_aside = None
        return self.set_aside is not None and was_left_out

    def given_up(self) -> None:
        """Note that the message set aside will not be sent any more."""
        if self.set_aside is not None:
            self._losses.pop(self.set_aside, None)
        self.set_aside = None
        self.is_guilty = False

    def clear(self) -> None:
        """Suspect none any more."""
        self._losses.clear()
        self.set_aside = None
        self.is_guilty = False
