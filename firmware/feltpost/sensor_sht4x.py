"""Driver for the Sensirion SHT40, SHT41 and SHT45: temperature and relative humidity.

Data sheet SHT4x, version 6.
"""

from micropython import const

from feltpost.sensirion import SensirionSensor, hundredths

# Section 4.5, command overview.
_MEASURE_HIGH_PRECISION = const(b"\xfd")
_READ_SERIAL_NUMBER = const(b"\x89")
_SOFT_RESET = const(b"\x94")

# Section 3.2, maximum times: 8.3 ms for a high-precision measurement, 1 ms after a reset. The
# serial number has no time of its own, and is there as soon as the chip acknowledges.
_MEASURE_MS = const(9)
_RESET_MS = const(1)
_SERIAL_MS = const(1)


class Sht4x(SensirionSensor):
    """An SHT4x that measures once, with high precision, each time it is asked."""

    NAME = "sht4x"
    ADDRESS = const(0x44)
    CHANNELS = (("temperature", 2), ("relativeHumidity", 2))

    def __init__(self, i2c, address=ADDRESS):
        super().__init__(i2c, address, 2)

    async def start(self):
        """Reset the sensor, which also ends a measurement under way, and check it can be read."""
        await self.command(_SOFT_RESET, _RESET_MS)
        await self.command(_READ_SERIAL_NUMBER, _SERIAL_MS)
        self.read_words(2)

    async def sample(self, values):
        """Measure, and fill `values` with temperature (0.01 °C) and humidity (0.01 %RH)."""
        await self.command(_MEASURE_HIGH_PRECISION, _MEASURE_MS)
        self.read_words(2)
        # Section 4.6. The humidity scale goes beyond what is physical at both ends, and the data
        # sheet asks the host to crop it.
        values[0] = hundredths(self.word(0), 175) - 4500
        values[1] = min(max(hundredths(self.word(1), 125) - 600, 0), 10000)
