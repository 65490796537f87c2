"""Driver for the Bosch BME280: temperature, relative humidity and atmospheric pressure.

Data sheet BST-BME280-DS002, revision 1.6.
"""

import asyncio
import struct

from micropython import const

from feltpost.i2c_sensor import I2cSensor
from feltpost.sensor import BadChecksum, NotReady, OutOfRange, WrongChip

# Section 5.3, memory map. Writes are pairs of register and value; reads go on by themselves.
_CALIBRATION = const(b"\x88")
_CALIBRATION_HUMIDITY = const(b"\xe1")
_CHIP_ID = const(b"\xd0")
_CONTROL = const(b"\xf2")
_STATUS = const(b"\xf3")
_DATA = const(b"\xf7")
_RESET = const(b"\xe0\xb6")

_BME280_ID = const(0x60)
_BMP280_ID = const(0x58)

# Section 5.4.4: the chip measures; it copies its calibration from its non-volatile memory.
_MEASURING = const(0x08)
_COPYING = const(0x01)

# Section 3.5.1, weather monitoring: each quantity measured once, no filter, asleep in between.
# What is set for humidity takes effect with the next write to ctrl_meas (section 5.4.3).
_HUMIDITY_ONCE = const(0x01)
_OTHERS_ONCE = const(0x24)
_FORCED = const(0x01)
_SET_HUMIDITY = const(b"\xf2\x01")
_MEASURE = const(b"\xf4\x25")

# Table 1, t_startup: 2 ms at most. Section 9.1: 1.25 + 2.3 + (2.3 + 0.575) + (2.3 + 0.575) = 9.3 ms
# at most. One more each, since a wait that begins late in a tick ends that much early.
_STARTUP_MS = const(3)
_MEASURE_MS = const(11)
_COPY_POLLS = const(5)

# Chapter 1: the range that the chip is made for, in Pa, and one step of its 16 bits more.
_PRESSURE_LOW_PA = const(30_000 - 3)
_PRESSURE_HIGH_PA = const(110_000 + 3)


class Bme280(I2cSensor):
    """A BME280 that measures once each time it is asked, and sleeps in between."""

    NAME = "bme280"
    ADDRESS = const(0x76)
    CHANNELS = (("temperature", 2), ("relativeHumidity", 2), ("atmosphericPressure", 2))

    def __init__(self, i2c, address=ADDRESS):
        super().__init__(i2c, address)
        self._buffer = bytearray(26)
        whole = memoryview(self._buffer)
        self._byte = whole[:1]
        self._control = whole[:3]
        self._humidity_calibration = whole[:7]
        self._data = whole[:8]
        self._t = self._p = self._h = None

    async def start(self):
        """Check that it is a BME280, reset it, and read its calibration."""
        self.read_from(_CHIP_ID, self._byte)
        chip = self._buffer[0]
        if chip == _BMP280_ID:
            raise self.error(WrongChip, "this is a BMP280, which measures no humidity")
        if chip != _BME280_ID:
            raise self.error(WrongChip, "chip id 0x%02x, a BME280 has 0x%02x" % (chip, _BME280_ID))
        self.write(_RESET)
        await asyncio.sleep_ms(_STARTUP_MS)
        await self._copied()
        self._read_calibration()
        self.write(_SET_HUMIDITY)

    async def sample(self, values):
        """Measure, and fill `values` with 0.01 °C, 0.01 %RH and 0.01 hPa."""
        self.write(_MEASURE)
        await asyncio.sleep_ms(_MEASURE_MS)
        self.read_from(_CONTROL, self._control)
        # The chip sends no checksums, and its values for "not measured" are also possible counts.
        # That its settings are still those that were made tells that it has measured all three.
        if self._buffer[0] != _HUMIDITY_ONCE or self._buffer[2] & ~_FORCED != _OTHERS_ONCE:
            raise self.error(NotReady, "lost its settings; it may have lost power")
        if self._buffer[1] & _MEASURING:
            raise self.error(NotReady, "still measuring after %d ms" % _MEASURE_MS)
        self.read_from(_DATA, self._data)
        data = self._buffer
        fine = fine_temperature(data[3] << 12 | data[4] << 4 | data[5] >> 4, self._t)
        pressure_pa = (
            pressure(data[0] << 12 | data[1] << 4 | data[2] >> 4, fine, self._p) + 128
        ) >> 8
        # Where the data were disturbed on their way this is likely to be far off.
        if not _PRESSURE_LOW_PA <= pressure_pa <= _PRESSURE_HIGH_PA:
            raise self.error(OutOfRange, "%d Pa is not within 300 to 1100 hPa" % pressure_pa)
        values[0] = (fine * 5 + 128) >> 8
        values[1] = (humidity(data[6] << 8 | data[7], fine, self._h) * 25 + 128) >> 8
        values[2] = pressure_pa

    async def _copied(self):
        for _ in range(_COPY_POLLS):
            self.read_from(_STATUS, self._byte)
            if not self._buffer[0] & _COPYING:
                return
            await asyncio.sleep_ms(_STARTUP_MS)
        raise self.error(NotReady, "does not finish its reset")

    def _read_calibration(self):
        # Section 4.2.2, table 16: dig_T1 … dig_T3, dig_P1 … dig_P9, one reserved byte, dig_H1.
        self._read_twice(_CALIBRATION, self._buffer)
        words = struct.unpack_from("<HhhHhhhhhhhh", self._buffer)
        self._t = words[:3]
        self._p = words[3:]
        h1 = self._buffer[25]
        # dig_H4 and dig_H5 have twelve bits each and share a byte.
        self._read_twice(_CALIBRATION_HUMIDITY, self._humidity_calibration)
        h2, h3, h4, shared, h5, h6 = struct.unpack_from("<hBbBbb", self._buffer)
        self._h = (h1, h2, h3, h4 << 4 | shared & 0x0F, h5 << 4 | shared >> 4, h6)

    def _read_twice(self, register, buffer):
        # The chip sends no checksums, and what is wrong here is wrong in every measurement.
        self.read_from(register, buffer)
        first = bytes(buffer)
        self.read_from(register, buffer)
        if bytes(buffer) != first:
            raise self.error(BadChecksum, "its calibration reads differently now; check the cable")


# Section 4.2.3, compensation formulas. They shift negative numbers, too, and want that rounded
# down, as Python does. On a 32-bit board some intermediate results, and most of the pressure's,
# which is computed in 64 bits, are beyond small integers and take some heap for a moment.


def fine_temperature(raw, t):
    """Return t_fine, in 1/5120 °C, for a raw temperature of 20 bits and (dig_T1 … dig_T3)."""
    coarse = (raw >> 4) - t[0]
    return (((raw >> 3) - (t[0] << 1)) * t[1] >> 11) + ((coarse * coarse >> 12) * t[2] >> 14)


def pressure(raw, fine, p):
    """Return the pressure in 1/256 Pa for a raw value of 20 bits, t_fine, and (dig_P1 … dig_P9).

    0 where a calibration that can't be has made it undefined.
    """
    x = fine - 128_000
    offset = x * x * p[5] + (x * p[4] << 17) + (p[3] << 35)
    scale = ((1 << 47) + (x * x * p[2] >> 8) + (x * p[1] << 12)) * p[0] >> 33
    if scale <= 0:
        return 0
    first = ((1_048_576 - raw << 31) - offset) * 3125 // scale
    second = (p[8] * (first >> 13) * (first >> 13) >> 25) + (p[7] * first >> 19)
    return (first + second >> 8) + (p[6] << 4)


def humidity(raw, fine, h):
    """Return the humidity in 1/1024 %RH for a raw value of 16 bits, t_fine, (dig_H1 … dig_H6)."""
    x = fine - 76_800
    slope = ((x * h[5] >> 10) * ((x * h[2] >> 11) + 32_768) >> 10) + 2_097_152
    linear = (((raw << 14) - (h[3] << 20) - h[4] * x + 16_384) >> 15) * (slope * h[1] + 8_192 >> 14)
    bent = linear - (((linear >> 15) * (linear >> 15) >> 7) * h[0] >> 4)
    return min(max(bent, 0), 419_430_400) >> 12
