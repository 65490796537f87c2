"""Driver for the Texas Instruments ADS1115: voltages at four inputs, and between two pairs of them.

Data sheet ADS111x, SBAS444D, January 2018.
"""

import asyncio

from micropython import const

from feltpost.i2c_sensor import I2cSensor
from feltpost.sensor import NotReady, OutOfRange, WrongChip

# Section 9.6: registers, most significant byte first.
_CONVERSION = const(b"\x00")
_CONFIG = const(b"\x01")

# Section 9.6.3, config register: bit 15 starts a conversion, and reads as 1 when there is none
# under way; then input, range ±4.096 V, single-shot; 128 conversions a second, no comparator. That
# range reaches further than an input may when the chip has the board's 3.3 V.
_IDLE = const(0x80)
_SINGLE_SHOT = const(b"\x01\x43\x83")
_CONVERT = (
    b"\x01\xc3\x83",  # input 0 against ground
    b"\x01\xd3\x83",  # input 1
    b"\x01\xe3\x83",  # input 2
    b"\x01\xf3\x83",  # input 3
    b"\x01\x83\x83",  # input 0 against input 1
    b"\x01\xb3\x83",  # input 2 against input 3
)

# Section 7.5: the data rate is right to 10 %, so a conversion takes 8.7 ms at most, and one that
# another program began, at the lowest rate, 139 ms. A wait may be a millisecond short, as it may
# begin late in a tick.
_CONVERT_MS = const(10)
_IDLE_POLLS = const(17)

# Section 9.5.4: where the converter clips.
_HIGHEST = const(0x7FFF)
_LOWEST = const(-0x8000)


class Ads1115(I2cSensor):
    """An ADS1115 that converts each of its inputs once when it is asked, and is off in between."""

    NAME = "ads1115"
    ADDRESS = const(0x48)
    CHANNELS = (
        ("voltage.0", 4),
        ("voltage.1", 4),
        ("voltage.2", 4),
        ("voltage.3", 4),
        ("voltage.0-1", 4),
        ("voltage.2-3", 4),
    )

    def __init__(self, i2c, address=ADDRESS):
        super().__init__(i2c, address)
        self._buffer = bytearray(2)
        self._counts = [0] * len(_CONVERT)

    async def start(self):
        """Set the chip to single conversions and wait until one that is under way has ended.

        The chip has no identity to read: that it keeps its configuration must do.
        """
        self.write(_SINGLE_SHOT)
        for _ in range(_IDLE_POLLS):
            self.read_from(_CONFIG, self._buffer)
            if self._buffer[0] & ~_IDLE != _SINGLE_SHOT[1] or self._buffer[1] != _SINGLE_SHOT[2]:
                raise self.error(WrongChip, "does not keep its configuration; is it an ADS1115?")
            if self._buffer[0] & _IDLE:
                return
            await asyncio.sleep_ms(_CONVERT_MS)
        raise self.error(NotReady, "a conversion does not end")

    async def sample(self, values):
        """Convert every input, and fill `values` with voltages (0.1 mV)."""
        for index in range(len(_CONVERT)):
            self._counts[index] = await self._convert(index)
        for index in range(len(_CONVERT)):
            # One count is 125 µV (section 9.3.3).
            values[index] = (5 * self._counts[index] + 2) >> 2

    async def _convert(self, index):
        command = _CONVERT[index]
        self.write(command)
        await asyncio.sleep_ms(_CONVERT_MS)
        self.read_from(_CONFIG, self._buffer)
        if not self._buffer[0] & _IDLE:
            raise self.error(NotReady, "still converting after %d ms" % _CONVERT_MS)
        if self._buffer[0] != command[1] or self._buffer[1] != command[2]:
            raise self.error(NotReady, "lost its configuration; it may have lost power")
        self.read_from(_CONVERSION, self._buffer)
        count = self._buffer[0] << 8 | self._buffer[1]
        if count > _HIGHEST:
            count -= 0x10000
        if count == _HIGHEST or count == _LOWEST:
            name = self.CHANNELS[index][0]
            raise self.error(OutOfRange, "%s is beyond 4.096 V; use a divider" % name)
        return count
