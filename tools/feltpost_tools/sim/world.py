"""Decides when simulated time may jump: when nothing in the run has anything to do before then.

A jump needs every board to be at rest (asleep, off, or waiting for input that is not there) and no
answer to be on its way over a link. Everything else takes real time, so that a fast run sees no
time-out that a slow one would not.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from feltpost_tools.sim.clock import SharedClock, monotonic_us

# How long a frame that a board has sent keeps the clock from jumping while nothing comes back. It
# is as long as the first wait of a CoAP client (RFC 7252: 2 s, times 1.5 at most).
ANSWER_WAIT_US = 3_000_000


class Participant(Protocol):
    """What the world must know of a board, and may tell it."""

    @property
    def at_rest(self) -> bool:
        """Whether the board does nothing until its time comes or input arrives."""

    @property
    def due_us(self) -> int | None:
        """Until when it rests, simulated Unix microseconds; None: until input arrives."""

    @property
    def answer_awaited_until_us(self) -> int:
        """Until which monotonic time an answer to the board may be on its way; 0: none is."""

    def collect_output(self) -> None:
        """Take in all that the board has sent up to now."""

    def wake(self) -> None:
        """Tell the board that its time has come."""


class Alarm:
    """A participant that is no board: all it does is to ring when its time has come."""

    at_rest = True
    answer_awaited_until_us = 0

    def __init__(self, due_us: int):
        """due_us: when to ring, simulated Unix microseconds."""
        self.due_us: int | None = due_us
        self.rung = asyncio.Event()

    def collect_output(self) -> None:
        """Have none."""

    def wake(self) -> None:
        """Ring, once."""
        self.due_us = None
        self.rung.set()


class World:
    """The boards of a run and their clock, at ``speed`` times real time (infinite: as fast as
    the machine can)."""

    def __init__(self, clock: SharedClock, speed: float = math.inf):
        if speed < 1:
            raise ValueError("a simulation can't run slower than the wall clock")
        self.clock = clock
        # Whether anybody is there who could answer a board; where not, no answer is waited for.
        self.listening: Callable[[], bool] = lambda: True
        self.speed = speed
        self._participants: list[Participant] = []
        self._timer: asyncio.Handle | None = None
        self._all_rest_since_us: int | None = None
        self._waits: set[asyncio.Task[None]] = set()

    def add(self, participant: Participant) -> None:
        """Let a board take part."""
        self._participants.append(participant)
        self.changed()

    def remove(self, participant: Participant) -> None:
        """Let a board leave; the clock no longer waits for it."""
        self._participants.remove(participant)
        self.changed()

    def later(self, delay_ms: int, call: Callable[[], object]) -> None:
        """Call a function once so much simulated time has passed."""
        alarm = Alarm(self.clock.now_us() + delay_ms * 1000)

        async def wait() -> None:
            await alarm.rung.wait()
            self.remove(alarm)
            self._waits.discard(waiting)
            call()

        self.add(alarm)
        waiting = asyncio.get_running_loop().create_task(wait())
        # The loop itself keeps no task alive.
        self._waits.add(waiting)

    def changed(self) -> None:
        """Note that a board has gone to rest, or has come or gone: the clock may move on."""
        self._schedule(0)

    def before_input(self) -> None:
        """Bring the clock up to date before a resting board gets input.

        At a limited speed time passes between jumps too; it is made up for here.
        """
        earliest_us = self._earliest_us()
        if self._all_rest_since_us is None or earliest_us is None:
            return
        passed_us = monotonic_us() - self._all_rest_since_us
        ahead_us = earliest_us - self.clock.now_us()
        skipped_us = min(passed_us * (self.speed - 1), ahead_us)
        if skipped_us > 0:
            self._jump(int(skipped_us))
        self._all_rest_since_us = None

    def _earliest_us(self) -> int | None:
        return min(
            (p.due_us for p in self._participants if p.at_rest and p.due_us is not None),
            default=None,
        )

    def _schedule(self, delay_us: int) -> None:
        if self._timer:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        if delay_us <= 0:
            self._timer = loop.call_soon(self._step)
        else:
            self._timer = loop.call_later(delay_us / 1e6, self._step)

    def _step(self) -> None:
        self._timer = None
        for participant in self._participants:
            participant.collect_output()
        earliest_us = self._earliest_us()
        if earliest_us is None:
            self._all_rest_since_us = None
            return
        now_us = self.clock.now_us()
        gap_us = earliest_us - now_us
        if gap_us > 0:
            delay_us = self._delay_us(gap_us)
            if delay_us > 0:
                self._schedule(delay_us)
                return
            self._jump(gap_us)
        self._all_rest_since_us = None
        self._wake_due()
        self._schedule(0)

    def _delay_us(self, gap_us: int) -> int:
        # How much real time must pass before the next gap_us of simulated time are over; 0: jump.
        monotonic = monotonic_us()
        if not all(p.at_rest for p in self._participants):
            self._all_rest_since_us = None
            return gap_us
        awaited_us = max(p.answer_awaited_until_us for p in self._participants) - monotonic
        if awaited_us > 0 and self.listening():
            self._all_rest_since_us = None
            return min(gap_us, awaited_us)
        if self._all_rest_since_us is None:
            self._all_rest_since_us = monotonic
        # gap_us has shrunk by the real time that has passed since all came to rest.
        passed_us = monotonic - self._all_rest_since_us
        return max(0, int((gap_us + passed_us) / self.speed) - passed_us)

    def _jump(self, duration_us: int) -> None:
        # Whole milliseconds, which is what boards count in.
        self.clock.jump(math.ceil(duration_us / 1000) * 1000)

    def _wake_due(self) -> None:
        now_us = self.clock.now_us()
        for participant in self._participants:
            due_us = participant.due_us
            if participant.at_rest and due_us is not None and due_us <= now_us:
                participant.wake()
