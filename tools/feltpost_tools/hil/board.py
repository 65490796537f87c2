"""The board as tests see it: plain functions that return when what they do is done."""

import re
from collections.abc import Coroutine, Mapping
from typing import Any

from feltpost_tools.flashing.selftest import Check
from feltpost_tools.hil.backend import Backend
from feltpost_tools.hil.background import Background
from feltpost_tools.hil.book import Book
from feltpost_tools.hil.identity import Identity

_WAIT_S = 60.0


class Board:
    """A board that runs the firmware under test, simulated or real; the fixture `board` gives it.

    What the board does not do raises a DeviceError, which marks it as broken for the tests after
    this one; what it does not say raises TimeoutError.
    """

    def __init__(self, loop: Background, backend: Backend, book: Book):
        self._loop = loop
        self._backend = backend
        self._book = book

    @property
    def name(self) -> str:
        """Its name in the inventory, which its node has, too."""
        return self._backend.entry.name

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return self._backend.identity

    @property
    def sensors(self) -> list[str]:
        """The drivers of its sensors."""
        return self._backend.entry.sensors

    def has(self, need: str) -> bool:
        """Tell whether it has what a test may need, as the marker `needs` asks."""
        return self._backend.entry.lacks(need) is None

    # Its console

    def wait_for(self, pattern: str, timeout_s: float = _WAIT_S) -> re.Match[str]:
        """Wait until its console says something, a regular expression; see Console.wait_for()."""
        return self._loop.run(self._backend.console.wait_for(pattern, timeout_s))

    def wait_until_started(self) -> int:
        """Wait until the application says that it runs; return how many readings it holds."""
        return int(self._loop.run(self._backend.started())[3])

    def type(self, data: bytes) -> None:
        """Put bytes on its serial line."""
        self._loop.call(lambda: self._backend.relay.send(data))

    def sample(self, rounds: int) -> None:
        """Let time pass in which each of its sensors is read so many times."""
        self._loop.run(self._backend.pass_time(rounds * self._backend.interval_s))

    # Its prompt, at which it stays

    def execute(self, script: str) -> str:
        """Stop what runs and run a script at the prompt; return what it printed."""
        return self._loop.run(self._backend.execute(script))

    def selftest(self) -> list[Check]:
        """Let the firmware test the board's sensors, links and flash."""
        return self._loop.run(self._backend.selftest())

    def flash(self) -> None:
        """Put the firmware under test on it once more, as `feltpost flash` does; start it."""
        self._anew(self._backend.flash())

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What its feltpost.json holds."""
        return self._backend.configuration

    def configure(self, **sections: Any) -> None:
        """Give it other sections of feltpost.json, such as health={"interval_s": 60}; start it."""
        self._anew(self._backend.configure(sections))

    def _anew(self, work: Coroutine[Any, Any, None]) -> None:
        self._loop.call(self._book.interrupted)
        self._loop.run(work)
        self.reset()
        self.wait_until_started()

    # Resets and power

    def reset(self) -> None:
        """Reset the chip; the application starts again."""
        self._loop.call(self._book.interrupted)
        self._loop.run(self._backend.reset())

    def power_off(self) -> None:
        """Cut its power, whatever it is doing. Needs "power"."""
        self._loop.call(self._book.interrupted)
        self._loop.run(self._backend.power_off())

    def power_on(self) -> None:
        """Give it power. Needs "power"."""
        self._loop.run(self._backend.power_on())

    def expect_interruption(self) -> None:
        """Tell the ledger that the board is about to be reset by itself, as by its watchdog."""
        self._loop.call(self._book.interrupted)
