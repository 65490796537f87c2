"""What a simulated chip runs when it comes out of a reset: the code in its ROM."""

import asyncio
from collections.abc import Callable

from feltpost_tools.sim.chipflash import ChipFlash, NotBootable
from feltpost_tools.sim.rom import WATCHDOG_START, Loader

# How soon a chip that can't start tries again; its watchdog takes that long.
_LOOP_S = 0.3


class BootRom:
    """Starts what is in the flash, or its loader, or, where nothing can be started, over and over.

    say is given what it prints; reset is called when its loader was asked to start what is in the
    flash, erased when that has erased NVS's place in it.
    """

    def __init__(
        self,
        chip: ChipFlash,
        mac: bytes,
        say: Callable[[bytes], None],
        reset: Callable[[], None],
        erased: Callable[[], None],
    ):
        self._chip = chip
        self._mac = mac
        self._say = say
        self._reset = reset
        self._erased = erased
        self._loader: Loader | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_loader(self) -> bool:
        """Whether it runs its loader."""
        return self._loader is not None

    @property
    def in_loop(self) -> bool:
        """Whether it starts over and over."""
        return self._timer is not None

    @property
    def running(self) -> bool:
        """Whether it runs, and nothing else does."""
        return self.in_loader or self.in_loop

    def start(self, boot_held: bool) -> str | None:
        """Come out of a reset; return the release of MicroPython that starts, None where it stays.

        boot_held: whether the button BOOT is pressed, which asks for the loader.
        """
        if boot_held:
            self._loader = Loader(self._chip.chip, self._mac, self._say, self._reset, self._erased)
            return None
        try:
            version = self._chip.micropython()
            self._chip.locate()
            return version
        except NotBootable as error:
            self._start_over(str(error))
            return None

    def feed(self, data: bytes) -> None:
        """Give it what came on the line, which only its loader reads. Raises PowerCut."""
        if self._loader:
            self._loader.feed(data)

    def leave(self) -> None:
        """End what it runs."""
        self._loader = None
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _start_over(self, message: str) -> None:
        self._say(WATCHDOG_START + message.encode())
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOP_S, self._start_over, message)
