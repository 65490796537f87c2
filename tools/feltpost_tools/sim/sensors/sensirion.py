"""What Sensirion's chips have in common on the bus: commands, busy times, words with a CRC-8.

Data sheets SCD4x (version 1.3, sections 3.2, 3.3 and 3.11) and SHT4x (version 6, chapter 4).
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

from feltpost_tools.sim.sensors.device import Environment, I2CDevice, Nack, Observer, Readout


def crc8(data: bytes) -> int:
    """Return the CRC-8 with polynomial 0x31 and initial value 0xFF; BE EF gives 0x92."""
    remainder = 0xFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x131 if remainder & 0x80 else 0)
    return remainder


@dataclass(frozen=True, slots=True)
class Answer:
    """What the chip has ready for the host: words, and what they mean when it is a measurement."""

    words: Sequence[int]
    quantities: Sequence[tuple[str, float]] = ()
    """(quantity, value) of each value measured."""
    measured_us: int = 0


class SensirionDevice(I2CDevice, abc.ABC):
    """A chip that executes one command at a time, and acknowledges nothing while it does.

    It does not stretch the clock. An answer can be read once; without one, the read header is not
    acknowledged.
    """

    def __init__(self, environment: Environment, observer: Observer, address: int) -> None:
        super().__init__(environment, observer, address)
        self._busy_until_us = 0
        self._answer: Answer | None = None

    @abc.abstractmethod
    def _execute(self, command: bytes, now_us: int) -> None:
        """Execute `command`; Nack when the chip does not know it or refuses it as it is now."""

    def _aborts(self, command: bytes) -> bool:
        """Whether the chip takes `command` even while it is busy."""
        return False

    def _handed_out(self, answer: Answer) -> None:
        """Do what the chip does once it has handed `answer` out."""

    def _lose_power(self) -> None:
        self._busy_until_us = 0
        self._answer = None

    def _write(self, data: bytes, now_us: int) -> None:
        if now_us < self._busy_until_us and not self._aborts(data):
            raise Nack
        if data:
            self._answer = None
            self._execute(data, now_us)

    def _read(self, length: int, now_us: int) -> bytes:
        answer = self._answer
        if now_us < self._busy_until_us or answer is None:
            raise Nack
        if self.stuck_busy and answer.quantities:
            raise Nack
        self._answer = None
        self._handed_out(answer)
        data = bytearray()
        for word in answer.words:
            frame = word.to_bytes(2, "big")
            data += frame + bytes([crc8(frame)])
        if self.corrupt_next > 0:
            self.corrupt_next -= 1
            data[-1] ^= 0xFF
        elif length >= len(data):
            for quantity, value in answer.quantities:
                self._observer(Readout(quantity, value, now_us, answer.measured_us))
        return bytes(data)
