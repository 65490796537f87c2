"""Driver for the Maxim DS18B20: temperature, by 1-Wire, with power on a wire of its own.

Data sheet DS18B20, 19-7487, revision 6, July 2019; sections are named as there. Through the module
onewire that is frozen into MicroPython for the ESP32. Its ds18x20 computes in floats, and does not
tell a chip that is measuring from one that is not.
"""

import asyncio
from binascii import hexlify, unhexlify

import machine
from micropython import const

from feltpost.sensor import BadChecksum, NotReady, NotResponding, OutOfRange, Sensor, WrongChip

_FAMILY = const(0x28)

# DS18B20 Function Commands.
_CONVERT = const(0x44)
_WRITE_SCRATCHPAD = const(0x4E)
_READ_POWER_SUPPLY = const(0xB4)
_RECALL = const(0xB8)
_READ_SCRATCHPAD = const(0xBE)

# Memory: the scratchpad has temperature, T_H, T_L, configuration, three reserved bytes, and a CRC.
_SCRATCHPAD_BYTES = const(9)
_T_H = const(2)
_T_L = const(3)
_RESERVED = const(5)
_TWELVE_BITS = const(0x7F)

# Table "Thermometer Resolution Configuration": 750 ms at most. One more, since a wait that begins
# late in a tick ends that much early.
_CONVERT_MS = const(751)

# Features: -55 to 125 °C, in sixteenths.
_LOWEST = const(-880)
_HIGHEST = const(2000)


class Wire:
    """The 1-Wire bus on a pin. Who talks on it holds ``lock``."""

    def __init__(self, pin):
        # What only a board has is loaded where it is needed.
        from onewire import OneWire

        self.bus = OneWire(machine.Pin(pin))
        self.lock = asyncio.Lock()


class Ds18b20(Sensor):
    """A DS18B20 that measures once each time it is asked.

    The temperature reads as 85 °C after power-on, which is a possible measurement as well, and
    which some of the chips sold as DS18B20 replace by others. So `start` puts into T_H and T_L,
    the limits of an alarm that nobody uses, the complement of what the chip has for them in its
    EEPROM. A chip that lost its power has its own there again; one that still has ours, and said
    that it was measuring and then that it had done, holds a measurement, 85 °C or not.
    """

    NAME = "ds18b20"
    CHANNELS = (("temperature", 2),)

    def __init__(self, wire, place, rom=None):
        super().__init__(place)
        self._lock = wire.lock
        self._bus = wire.bus
        self._rom = rom
        self._alone = rom is None
        self._scratchpad = bytearray(_SCRATCHPAD_BYTES)
        self._settings = b""

    @classmethod
    def connect(cls, ports, options):
        """Take ``pin``, and where several are on one wire ``address``, sixteen hex digits."""
        pin = ports.pin(options, "pin")
        text = options.take("address", str, "")
        wire = ports.shared(pin, Wire)
        if not text:
            return cls(wire, "on pin %d" % pin)
        try:
            rom = unhexlify(text)
        except ValueError:
            rom = b""
        if len(rom) != 8 or rom[0] != _FAMILY or wire.bus.crc8(rom):
            raise options.error("address", "is not a DS18B20's, such as 28ff641e0f3c5af1")
        return cls(wire, "%s on pin %d" % (text, pin), rom)

    async def start(self):
        """Find it, check its power supply, and set it to twelve bits."""
        async with self._lock:
            if self._alone:
                self._rom = self._find()
            self._command(_RECALL)
            self._read()
            self._command(_READ_POWER_SUPPLY)
            if not self._bus.readbit():
                raise self.error(NotReady, "has no power but its data line's; connect its VDD")
            high, low = self._scratchpad[_T_H], self._scratchpad[_T_L]
            self._settings = bytes((high ^ 0xFF, low ^ 0xFF, _TWELVE_BITS))
            self._command(_WRITE_SCRATCHPAD)
            self._bus.write(self._settings)

    async def sample(self, values):
        """Measure, and fill `values` with the temperature (0.01 °C)."""
        async with self._lock:
            self._command(_CONVERT)
            if self._bus.readbit():
                self._read()
                raise self.error(NotReady, "did not begin to measure")
            await asyncio.sleep_ms(_CONVERT_MS)
            done = self._bus.readbit()
            self._read()
        if not done:
            raise self.error(NotReady, "still measuring after %d ms" % _CONVERT_MS)
        data = self._scratchpad
        if data[_T_H:_RESERVED] != self._settings:
            raise self.error(NotReady, "lost its settings; it may have lost power")
        count = data[1] << 8 | data[0]
        if count & 0x8000:
            count -= 0x10000
        # 127.94 °C is what it gives when its power did not suffice for a measurement.
        if not _LOWEST <= count <= _HIGHEST:
            raise self.error(OutOfRange, "%d sixteenths is not within -55 to 125 °C" % count)
        values[0] = (25 * count + 2) >> 2

    def _find(self):
        # The address of the only sensor on the wire.
        found = self._bus.scan()
        if not found:
            raise self._absent()
        if len(found) > 1:
            names = ", ".join([hexlify(rom).decode() for rom in found])
            raise self.error(WrongChip, "shares its wire: give it one of the addresses " + names)
        rom = found[0]
        if self._bus.crc8(rom):
            raise self.error(BadChecksum, "its address fails its CRC; check its wiring")
        if rom[0] != _FAMILY:
            raise self.error(WrongChip, "family 0x%02x, a DS18B20 has 0x%02x" % (rom[0], _FAMILY))
        return rom

    def _command(self, code):
        if not self._bus.reset():
            raise self._absent()
        self._bus.writebyte(self._bus.MATCH_ROM)
        self._bus.write(self._rom)
        self._bus.writebyte(code)

    def _read(self):
        # Fill the scratchpad, or say what is wrong with what was read instead.
        data = self._scratchpad
        self._command(_READ_SCRATCHPAD)
        self._bus.readinto(data)
        # Nobody pulls the line down; or something always does, of which the CRC is right.
        if min(data) == 0xFF:
            raise self._absent()
        if not any(data):
            raise self.error(NotResponding, "its data line is held low; check its wiring")
        if self._bus.crc8(data):
            raise self.error(BadChecksum, "what was read fails its CRC; check its wiring")

    def _absent(self):
        return self.error(NotResponding, "does not answer; check its wiring, pull-up and power")
