"""Sends what was prepared beforehand, and notes when what went out and came back.

Both contestants get their messages from here: the gateway its requests from nodes, the bridge its
publishes. A sender has one message on its way at a time, as a node has (RFC 7252 section 4.7).
"""

import select
import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feltpost_tools.errors import FeltpostError

_RESEND_S = 3.0
_RESEND_MOST = 10
_ANSWER_MAX_BYTES = 2048

NUMBER_BYTES = 4
"""How many bytes a message's number takes where its payload begins with that."""


@dataclass(frozen=True)
class Exchange:
    """A message that was answered; times are the monotonic clock's, in ns."""

    number: int
    readings: int
    sent_ns: int
    answered_ns: int


@dataclass(frozen=True)
class Prepared:
    """A message ready to be sent; number: what its arrival is known by, per sender."""

    number: int
    readings: int
    data: bytes


class Sender(ABC):
    """One peer with its socket, what it is about to send, and what was answered.

    name: what its arrivals at the subscriber are known by.
    """

    def __init__(self, name: str, connected: socket.socket):
        self.name = name
        self.socket = connected
        self.waiting: deque[Prepared] = deque()
        self.exchanges: list[Exchange] = []
        self.under_way: Prepared | None = None
        self._sent_ns = 0

    @abstractmethod
    def take(self, prepared: Prepared, answer: bytes) -> bool:
        """Return whether ``answer`` is the one to what was sent."""

    def send_next(self) -> None:
        """Send the next message that waits."""
        self.under_way = self.waiting.popleft()
        self._sent_ns = time.monotonic_ns()
        self.socket.send(self.under_way.data)

    @abstractmethod
    def send_again(self) -> None:
        """Send the message under way once more, where its transport does not do so itself."""

    def receive(self) -> bool:
        """Take what has come; return whether that ends the message's way."""
        answer = self.socket.recv(_ANSWER_MAX_BYTES)
        answered_ns = time.monotonic_ns()
        sent = self.under_way
        if sent is None or not self.take(sent, answer):
            return False
        self.exchanges.append(Exchange(sent.number, sent.readings, self._sent_ns, answered_ns))
        self.under_way = None
        return True


class Load:
    """Drives senders, which must stay the same; one call at a time."""

    def __init__(self, senders: Sequence[Sender]):
        self._senders = senders
        self._by_fd = {sender.socket.fileno(): sender for sender in senders}
        self._poll = select.epoll()
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)

    def flood(self, in_flight: int) -> None:
        """Send all that waits, with so many senders at a time waiting for their answer."""
        ready = deque(sender for sender in self._senders if sender.waiting)
        under_way = 0
        while ready or under_way:
            while ready and under_way < in_flight:
                ready.popleft().send_next()
                under_way += 1
            for sender in self._answered_or_again():
                under_way -= 1
                if sender.waiting:
                    ready.append(sender)

    def pace(self, interval_s: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Send one message each interval, the senders in turn, until all is sent or ``stop``."""
        ready = deque(sender for sender in self._senders if sender.waiting)
        next_s = time.monotonic()
        while not stop() and any(sender.waiting for sender in self._senders):
            if ready and time.monotonic() >= next_s:
                ready.popleft().send_next()
                next_s += interval_s
            left_s = max(0.0, next_s - time.monotonic())
            # Where all of them wait for an answer, an interval is late until one has it.
            answered = self._answered(left_s) if ready else self._answered_or_again()
            ready.extend(sender for sender in answered if sender.waiting)
        while any(sender.under_way for sender in self._senders):
            self._answered_or_again()

    def _answered(self, timeout_s: float) -> list[Sender]:
        events = self._poll.poll(timeout_s)
        return [sender for fd, _ in events if (sender := self._by_fd[fd]).receive()]

    def _answered_or_again(self) -> list[Sender]:
        """Wait for answers; send again what gets none (RFC 7252 section 4.2)."""
        for _ in range(_RESEND_MOST):
            again_s = time.monotonic() + _RESEND_S
            while (left_s := again_s - time.monotonic()) > 0:
                # What comes may be an empty acknowledgement, with the answer to follow.
                if answered := self._answered(left_s):
                    return answered
            for sender in self._senders:
                if sender.under_way:
                    sender.send_again()
        silent = [sender.name for sender in self._senders if sender.under_way]
        raise FeltpostError(f"no answer to {', '.join(silent[:5])} and so on, {len(silent)} in all")
