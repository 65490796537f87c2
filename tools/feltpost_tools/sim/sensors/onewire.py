"""What 1-Wire devices have in common: being found, being addressed, taking commands bit by bit.

Maxim, "Book of iButton Standards" (application note 937), chapter 5; the DS18B20's data sheet,
19-7487, revision 6, has the same under "1-Wire Bus System" and "ROM Commands".
"""

from __future__ import annotations

import abc
from collections.abc import Generator

from feltpost_tools.sim.sensors.device import Device, Environment, Observer

_SEARCH_ROM = 0xF0
_READ_ROM = 0x33
_MATCH_ROM = 0x55
_SKIP_ROM = 0xCC

Talk = Generator[int | None, int, None]
"""What a device does from one reset to the next. In each time slot it yields the level that it lets
the line have, 1 (it lets go) or 0 (it holds it low), or None for 0 as long as it is busy; and is
sent the level that the line had, with which a master writes."""


def crc8(data: bytes) -> int:
    """Return the 1-Wire CRC-8, polynomial X8 + X5 + X4 + 1; over data and its CRC it is 0."""
    crc = 0
    for byte in data:
        for bit in range(8):
            mixed = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ (0x8C if mixed else 0)
    return crc


def receive(count: int) -> Generator[int | None, int, bytes]:
    """Take `count` bytes from the master, the least significant bit of each first."""
    taken = bytearray(count)
    for position in range(8 * count):
        taken[position // 8] |= (yield 1) << position % 8
    return bytes(taken)


def send(data: bytes) -> Talk:
    """Give the master `data`, the least significant bit of each byte first."""
    for position in range(8 * len(data)):
        yield data[position // 8] >> position % 8 & 1


class OneWireDevice(Device):
    """A device on a 1-Wire bus. rom: its address, eight bytes, the last of which is their CRC."""

    def __init__(self, environment: Environment, observer: Observer, rom: bytes) -> None:
        super().__init__(environment, observer)
        self.rom = rom
        self._now_us = 0
        self._talk: Talk | None = None
        self._level: int | None = 1

    def reset(self, now_us: int) -> bool:
        """Take a reset pulse; return whether it answers with a presence pulse."""
        self._now_us = now_us
        self._talk = None
        if self._unplugged:
            return False
        self._talk = self._addressed()
        self._level = next(self._talk)
        return True

    def drive(self, now_us: int) -> int:
        """Return the level that it lets the line have in a time slot that begins."""
        self._now_us = now_us
        if self._talk is None or self._unplugged:
            return 1
        return int(not self._busy()) if self._level is None else self._level

    def sense(self, level: int, now_us: int) -> None:
        """Take the level that the line had in that slot."""
        if self._talk is None or self._unplugged:
            return
        try:
            self._level = self._talk.send(level)
        except StopIteration:
            # It waits for the next reset.
            self._talk = None

    @abc.abstractmethod
    def _execute(self, command: int) -> Talk:
        """Do what a function command asks for; what the chip does not know it passes over."""

    @abc.abstractmethod
    def _busy(self) -> bool:
        """Whether what was begun has not ended at `_now_us`."""

    def _addressed(self) -> Talk:
        (command,) = yield from receive(1)
        if command == _READ_ROM:
            yield from send(self.rom)
        elif command == _MATCH_ROM:
            if (yield from receive(8)) != self.rom:
                return
        elif command == _SEARCH_ROM:
            # A device whose bit is not the one that the master chose drops out.
            for position in range(64):
                bit = self.rom[position // 8] >> position % 8 & 1
                yield bit
                yield 1 - bit
                if (yield 1) != bit:
                    return
        elif command != _SKIP_ROM:
            return
        (function,) = yield from receive(1)
        yield from self._execute(function)
