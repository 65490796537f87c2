"""Driver for the ROHM BH1750FVI: illuminance.

Technical note BH1750FVI, 2011.11 Rev. D.
"""

import asyncio

from micropython import const

from feltpost.i2c_sensor import I2cSensor
from feltpost.sensor import NotResponding, OutOfRange

# Page 5, instruction set. Each opcode is a transaction of its own (page 10).
_POWER_ON = const(b"\x01")
_RESET = const(b"\x07")
_ONE_TIME_H_RESOLUTION = const(b"\x20")
# The measurement time register, in two parts, at its default of 69, for which 1.2 counts are 1 lx.
_TIME_REGISTER_HIGH = const(b"\x42")
_TIME_REGISTER_LOW = const(b"\x65")

# Page 2, t_HR: at most 180 ms, and one more since a wait that begins late in a tick ends early.
_MEASURE_MS = const(181)

_FULL_SCALE = const(0xFFFF)


class Bh1750(I2cSensor):
    """A BH1750 that measures once, to 1 lx, each time it is asked, and sleeps in between."""

    NAME = "bh1750"
    ADDRESS = const(0x23)
    CHANNELS = (("illuminance", 0),)

    def __init__(self, i2c, address=ADDRESS):
        super().__init__(i2c, address)
        self._buffer = bytearray(2)

    async def start(self):
        """Wake the chip, empty its data register and set its sensitivity to the default.

        The sensitivity outlives a reset of the board, and the chip can't be asked what it is.
        """
        self.write(_POWER_ON)
        self.write(_RESET)
        self.write(_TIME_REGISTER_HIGH)
        self.write(_TIME_REGISTER_LOW)

    async def sample(self, values):
        """Measure, and fill `values` with the illuminance (lx)."""
        self.write(_ONE_TIME_H_RESOLUTION)
        await asyncio.sleep_ms(_MEASURE_MS)
        try:
            self.read_into(self._buffer)
        except OSError as error:
            raise self.error(NotResponding, "vanished while measuring (errno %s)" % error.errno)
        raw = self._buffer[0] << 8 | self._buffer[1]
        # The top count is where the converter stops counting, so the light may be any amount
        # brighter. It is also what a bus reads as when nobody drives it, and this chip sends no
        # checksum that would tell the two apart. In neither case is it a measurement.
        if raw == _FULL_SCALE:
            raise self.error(OutOfRange, "brighter than it can measure (54612 lx)")
        # 1.2 counts a lux (page 10).
        values[0] = (5 * raw + 3) // 6
