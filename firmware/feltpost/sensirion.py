"""Sensirion's way of talking over I2C, common to SCD4x and SHT4x: 16-bit words, each with a CRC-8.

Data sheets SCD4x (version 1.3, September 2022) sections 3.2, 3.3 and 3.11, and SHT4x (version 6)
chapter 4.
"""

import asyncio

from micropython import const

from feltpost.i2c_sensor import I2cSensor
from feltpost.sensor import BadChecksum, NotReady

_CRC_POLYNOMIAL = const(0x31)
_CRC_START = const(0xFF)

_WORD_BYTES = const(3)


def crc8(data, start, end):
    """Return the CRC-8 of data[start:end]: polynomial 0x31, start value 0xFF; 0xBEEF gives 0x92."""
    crc = _CRC_START
    for index in range(start, end):
        crc ^= data[index]
        for _ in range(8):
            crc <<= 1
            if crc & 0x100:
                crc ^= 0x100 | _CRC_POLYNOMIAL
    return crc


def hundredths(raw, span):
    """Return span × raw / 65535 in hundredths, rounded half up; `span` at most 400.

    65535 and 100 are both divided by 5, so that the product stays a 31-bit small integer, which
    needs no heap.
    """
    return (40 * span * raw + 13107) // 26214


class SensirionSensor(I2cSensor):
    """A Sensirion chip, with a buffer for answers of up to `words` words."""

    def __init__(self, i2c, address, words):
        super().__init__(i2c, address)
        self._buffer = bytearray(_WORD_BYTES * words)
        whole = memoryview(self._buffer)
        # One view for each length of answer, so that reading needs no heap.
        self._views = [whole[: _WORD_BYTES * count] for count in range(words + 1)]

    async def command(self, command, execution_ms):
        """Send `command` and wait until the chip must have executed it.

        One millisecond is added, since a wait that begins late in a tick ends that much early.
        """
        self.write(command)
        await asyncio.sleep_ms(execution_ms + 1)

    def read_words(self, count):
        """Read `count` words and check each one's CRC; `word` gives them afterwards."""
        try:
            self.read_into(self._views[count])
        except OSError as error:
            # A command was acknowledged just before. A Sensirion chip that does not acknowledge the
            # read after it is still executing, or has nothing to hand out.
            raise self.error(NotReady, "still busy or no data (errno %s)" % error.errno)
        for start in range(0, _WORD_BYTES * count, _WORD_BYTES):
            end = start + _WORD_BYTES - 1
            if crc8(self._buffer, start, end) != self._buffer[end]:
                raise self.error(
                    BadChecksum,
                    "word %d of its answer fails its CRC; check the cable" % (start // _WORD_BYTES),
                )

    def word(self, index):
        """Return word `index` of the last answer, 0 to 65535."""
        start = _WORD_BYTES * index
        return self._buffer[start] << 8 | self._buffer[start + 1]
