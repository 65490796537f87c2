"""Driver for the Sensirion SCD41: CO2, temperature and relative humidity, every five seconds.

Data sheet SCD4x, version 1.3, September 2022; later versions define the same commands.
"""

import asyncio

from micropython import const

from feltpost.sensirion import SensirionSensor, hundredths
from feltpost.sensor import NotReady, NotResponding

# Table 9: commands, most significant byte first, and how long they take at most.
_START_PERIODIC_MEASUREMENT = const(b"\x21\xb1")
_READ_MEASUREMENT = const(b"\xec\x05")
_STOP_PERIODIC_MEASUREMENT = const(b"\x3f\x86")
_GET_DATA_READY_STATUS = const(b"\xe4\xb8")
_GET_SERIAL_NUMBER = const(b"\x36\x82")
_POWER_DOWN = const(b"\x36\xe0")
_WAKE_UP = const(b"\x36\xf6")
_EXECUTION_MS = const(1)
_STOP_MS = const(500)
_WAKE_UP_MS = const(30)

# Section 3.8.2: the sensor has a measurement when any of these bits is set.
_READY_MASK = const(0x07FF)

# A measurement comes every five seconds (section 3.5.1), by a clock whose tolerance the data sheet
# does not give; seven seconds leave ample room for it.
_POLL_MS = const(250)
_POLLS = const(28)


class Scd41(SensirionSensor):
    """An SCD41 in periodic measurement mode."""

    NAME = "scd41"
    ADDRESS = const(0x62)
    CHANNELS = (("co2", 0), ("temperature", 2), ("relativeHumidity", 2))

    def __init__(self, i2c, address=ADDRESS):
        super().__init__(i2c, address, 3)

    async def start(self):
        """Stop whatever the sensor is doing, check that it can be read, and start measuring.

        The chip keeps measuring through a reset of the board, and refuses most commands meanwhile.
        """
        try:
            self.write(_WAKE_UP)
        except NotResponding:
            # Section 3.10.4: it is never acknowledged, least of all by a chip that is awake.
            pass
        await asyncio.sleep_ms(_WAKE_UP_MS + 1)
        await self.command(_STOP_PERIODIC_MEASUREMENT, _STOP_MS)
        await self.command(_GET_SERIAL_NUMBER, _EXECUTION_MS)
        self.read_words(3)
        self.write(_START_PERIODIC_MEASUREMENT)

    async def stop(self):
        """Stop measuring, which takes some 15 mA, and power down to below 1 µA."""
        await self.command(_STOP_PERIODIC_MEASUREMENT, _STOP_MS)
        await self.command(_POWER_DOWN, _EXECUTION_MS)

    async def sample(self, values):
        """Fill `values` with CO2 (ppm), temperature (0.01 °C) and humidity (0.01 %RH).

        Takes the measurement that waits in the sensor, which is up to five seconds old, or else
        waits for the next one.
        """
        await self._data_ready()
        await self.command(_READ_MEASUREMENT, _EXECUTION_MS)
        self.read_words(3)
        # Section 3.5.2, with 2**16 - 1 as divisor, as data sheets from version 1.4 on have it.
        values[0] = self.word(0)
        values[1] = hundredths(self.word(1), 175) - 4500
        values[2] = hundredths(self.word(2), 100)

    async def _data_ready(self):
        for _ in range(_POLLS):
            await self.command(_GET_DATA_READY_STATUS, _EXECUTION_MS)
            self.read_words(1)
            if self.word(0) & _READY_MASK:
                return
            await asyncio.sleep_ms(_POLL_MS)
        raise self.error(
            NotReady,
            "no measurement within %d s; it may have lost power since it was started"
            % (_POLLS * _POLL_MS // 1000),
        )
