"""Model of the Maxim DS18B20 temperature sensor, bit by bit on its 1-Wire bus.

Data sheet DS18B20, 19-7487, revision 6, July 2019. Not modelled, and so passed over: alarm search,
copying to the EEPROM.
"""

from __future__ import annotations

from feltpost_tools.sim.sensors.device import Environment, Observer, Readout
from feltpost_tools.sim.sensors.onewire import OneWireDevice, Talk, crc8, receive, send

_FAMILY = b"\x28"
ROM = _FAMILY + bytes.fromhex("ff641e0f3c5a")

# DS18B20 Function Commands.
_CONVERT = 0x44
_WRITE_SCRATCHPAD = 0x4E
_READ_POWER_SUPPLY = 0xB4
_RECALL = 0xB8
_READ_SCRATCHPAD = 0xBE

# Memory: T_H, T_L and configuration in the EEPROM of a new chip; the reserved bytes.
_EEPROM = bytes((0x4B, 0x46, 0x7F))
_RESERVED_FIRST = 0xFF
_RESERVED_LAST = 0x10

# Table "Temperature/Data Relationship": what the register holds after power-on is 85 °C. The byte
# that is "reserved" between the two above is 0x0c then, and after a measurement 0x10 less the
# lowest four bits of it; and a conversion whose power broke down gives 0x07ff. The data sheet does
# not say so; chips do it.
_POWER_ON = 85 * 16
_POWER_ON_RESERVED = 0x0C
_BROKEN_DOWN = 0x07FF

# Table "Thermometer Resolution Configuration": maxima, by bits R1 and R0.
_CONVERSION_US = (93_750, 187_500, 375_000, 750_000)
_RANGE_CEL = (-55.0, 125.0)


class Ds18b20(OneWireDevice):
    """A DS18B20: idle, or converting once."""

    parasite: bool = False
    """While set, its VDD is connected to ground, and it lives on what the data line gives it."""

    underpowered: bool = False
    """While set, its supply breaks down under a conversion, which then gives 127.94 °C."""

    def __init__(
        self, environment: Environment, observer: Observer, serial: bytes = ROM[1:]
    ) -> None:
        """serial: six bytes that tell it from others."""
        rom = _FAMILY + serial
        super().__init__(environment, observer, rom + bytes((crc8(rom),)))
        self._lose_power()

    def _lose_power(self) -> None:
        self._talk = None
        self._count = _POWER_ON
        self._reserved = _POWER_ON_RESERVED
        self._settings = _EEPROM
        self._started_us: int | None = None
        self._measured_us: int | None = None

    def _execute(self, command: int) -> Talk:
        if command == _CONVERT:
            if self._started_us is None or not self._busy():
                self._started_us = self._now_us
            while True:
                yield None
        elif command == _READ_SCRATCHPAD:
            yield from self._hand_out()
        elif command == _WRITE_SCRATCHPAD:
            high, low, configuration = yield from receive(3)
            # Only R1 and R0 can be written.
            self._settings = bytes((high, low, configuration & 0x60 | 0x1F))
        elif command == _RECALL:
            self._settings = _EEPROM
        elif command == _READ_POWER_SUPPLY:
            yield int(not self.parasite)

    def _busy(self) -> bool:
        self._finish_conversion()
        return self._started_us is not None

    def _hand_out(self) -> Talk:
        self._finish_conversion()
        data = self._count.to_bytes(2, "little", signed=True) + self._settings
        data += bytes((_RESERVED_FIRST, self._reserved, _RESERVED_LAST))
        crc = crc8(data)
        spoilt = self.corrupt_next > 0
        if spoilt:
            self.corrupt_next -= 1
            crc ^= 0xFF
        yield from send(data + bytes((crc,)))
        # A measurement is handed out once, as far as anybody counts them.
        if self._measured_us is not None and not spoilt and self._count != _BROKEN_DOWN:
            value = self._count / 16
            self._observer(Readout("temperature", value, self._now_us, self._measured_us))
        self._measured_us = None

    def _finish_conversion(self) -> None:
        """Bring the temperature register to what it holds at `_now_us`."""
        if self._started_us is None or self.stuck_busy:
            return
        resolution = self._settings[2] >> 5
        ends_us = self._started_us + _CONVERSION_US[resolution]
        if self._now_us < ends_us:
            return
        self._started_us = None
        self._measured_us = ends_us
        low, high = _RANGE_CEL
        count = round(min(max(self._environment("temperature", ends_us), low), high) * 16)
        # What a lower resolution does not have is undefined; here it is 0.
        self._count = count & -1 << 3 - resolution
        if self.underpowered:
            self._count = _BROKEN_DOWN
        self._reserved = 0x10 - (self._count & 0x0F)
