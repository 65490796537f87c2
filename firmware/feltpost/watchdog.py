"""Feeds the hardware watchdog while every task of the node makes progress.

Each task gives its word when it will be heard of next. When one breaks it, that is kept for the
next report (crash.py) and the watchdog is fed no more: it resets the board. A task that waits for
what need not come, such as the gateway's answer after an outage, is resting and never late.
"""

import asyncio
import time

import machine
from micropython import const

# The ESP32's watchdog takes any timeout from a second up. Nothing keeps the event loop for longer
# than looking up a name where no server answers, some 30 s.
_TIMEOUT_MS = const(180_000)
_LOOK_MS = const(60_000)
# At the prompt nobody feeds it, and it can't be stopped; on the ESP32 it can be given a new
# timeout. Long enough to work on the node; one that is forgotten there goes back to its task.
_PROMPT_MS = const(3_600_000)


class Word:
    """When a task will be heard of next, by its own word; resting at first."""

    def __init__(self, name):
        self.name = name
        self._until_ms = None

    def within(self, duration_ms):
        """Promise to be heard of again within so long, six days at most."""
        self._until_ms = time.ticks_add(time.ticks_ms(), duration_ms)

    def resting(self):
        """Wait for something that need not come."""
        self._until_ms = None

    def broken(self):
        """Tell whether the time is over."""
        until_ms = self._until_ms
        return until_ms is not None and time.ticks_diff(until_ms, time.ticks_ms()) < 0


UNWATCHED = Word("")
"""For a task that runs where there is no watchdog."""


class Watchdog:
    """The hardware watchdog, which it starts, and the words that keep it fed.

    boots: a boots.Boots. What is done before run() must be done within three minutes.
    """

    def __init__(self, boots, log):
        self._boots = boots
        self._log = log
        self._words = []
        self._set(_TIMEOUT_MS)

    def watch(self, name):
        """Return the Word of a task; name: for people."""
        word = Word(name)
        self._words.append(word)
        return word

    async def run(self):
        """Feed the watchdog; return once a word is broken, after which the board is reset."""
        while True:
            for word in self._words:
                if word.broken():
                    from . import crash

                    text = "watchdog: {} makes no progress; the board is reset".format(word.name)
                    self._log(text)
                    crash.keep(text, self._boots)
                    return
            self._wdt.feed()
            await asyncio.sleep_ms(_LOOK_MS)

    def release(self):
        """Leave the technician an hour at the prompt."""
        self._set(_PROMPT_MS)

    def _set(self, timeout_ms):
        # There is only one, which takes a new timeout.
        self._wdt = machine.WDT(timeout=timeout_ms)
        self._wdt.feed()
