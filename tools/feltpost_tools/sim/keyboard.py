"""Ctrl-C at a simulated board's console: what micropython.kbd_intr() turns on and off."""

import asyncio
from collections.abc import Callable

_CTRL_C = 0x03
_NO_INTERRUPT = -1

# How soon a Ctrl-C that came while the file system was at work comes again.
_AGAIN_S = 0.02


class KeyboardInterrupts:
    """Takes Ctrl-C out of what is typed while it interrupts, and interrupts the board instead."""

    def __init__(self, interrupt: Callable[[], None]):
        """interrupt: lets KeyboardInterrupt be raised in what the board runs."""
        self._interrupt = interrupt
        self._character = _NO_INTERRUPT
        self._again: asyncio.TimerHandle | None = None

    def set(self, character: int) -> None:
        """Interrupt at that character from now on; -1: at none."""
        self._character = character
        # What was meant for the code that ran before is not for the next.
        self.repeat(wanted=False)

    def off(self) -> None:
        """Interrupt at nothing, as before MicroPython has started."""
        self.set(_NO_INTERRUPT)

    def take(self, data: bytes) -> bytes:
        """Return what was typed without what interrupts, having interrupted."""
        if self._character != _CTRL_C or _CTRL_C not in data:
            return data
        self._interrupt()
        return data.replace(bytes((_CTRL_C,)), b"")

    def repeat(self, wanted: bool) -> None:
        """Interrupt once more in a moment, or no more."""
        if self._again:
            self._again.cancel()
            self._again = None
        if wanted:
            self._again = asyncio.get_running_loop().call_later(_AGAIN_S, self._once_more)

    def _once_more(self) -> None:
        if self._character == _CTRL_C:
            self._interrupt()
