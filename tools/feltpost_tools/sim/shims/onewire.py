"""The onewire module of a simulated board, whose time slots the simulator's 1-Wire bus answers.

Frozen into MicroPython for the ESP32; see parts.OneWireBus for what is asked.
"""

import _part


class OneWireError(Exception):
    pass


class OneWire:
    SEARCH_ROM = 0xF0
    MATCH_ROM = 0x55
    SKIP_ROM = 0xCC

    def __init__(self, pin):
        self.pin = pin
        self._place = "pin{}".format(pin.id)

    def _slots(self, data):
        try:
            return _part.ask(self._place, b"s" + data)
        except OSError:
            # Nothing but the pull-up is on this line.
            return data

    def reset(self, required=False):
        try:
            present = _part.ask(self._place, b"p")[0] == 1
        except OSError:
            present = False
        if required and not present:
            raise OneWireError
        return present

    def readbit(self):
        return self._slots(b"\x01")[0]

    def writebit(self, value):
        self._slots(bytes((value,)))

    def readbyte(self):
        value = 0
        for i, bit in enumerate(self._slots(b"\x01" * 8)):
            value |= bit << i
        return value

    def writebyte(self, value):
        self._slots(bytes([value >> i & 1 for i in range(8)]))

    def readinto(self, buf):
        for i in range(len(buf)):
            buf[i] = self.readbyte()

    def write(self, buf):
        for value in buf:
            self.writebyte(value)

    def select_rom(self, rom):
        self.reset()
        self.writebyte(self.MATCH_ROM)
        self.write(rom)

    def scan(self):
        # At a fork, where both an address with 0 and one with 1 go on, each pass takes 1 at the
        # last fork of the pass before at which it had taken 0.
        found = []
        rom, fork = bytearray(8), 64
        while fork is not None and self.reset():
            self.writebyte(self.SEARCH_ROM)
            last = None
            following = bytearray(8)
            for i in range(64):
                zeros, ones = self.readbit(), self.readbit()
                if zeros and ones:
                    return found
                if zeros != ones:
                    bit = zeros
                else:
                    bit = 1 if i == fork else rom[i >> 3] >> (i & 7) & 1 if i < fork else 0
                    if not bit:
                        last = i
                self.writebit(bit)
                following[i >> 3] |= bit << (i & 7)
            rom, fork = following, last
            found.append(rom)
        return found

    def crc8(self, data):
        crc = 0
        for value in data:
            crc ^= value
            for _ in range(8):
                crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
        return crc
