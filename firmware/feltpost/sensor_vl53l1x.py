"""Driver for the STMicroelectronics VL53L1X: the distance to what is in front of it, up to 4 m.

Data sheet DocID031281 revision 3 (November 2018); it has no registers. Their addresses, the values
that the configuration block must have, and the order of the steps are those of ST's Ultra Lite
Driver (STSW-IMG009, user manual UM2510), where most of the block is "not user-modifiable".
"""

import asyncio

from micropython import const

from feltpost.i2c_sensor import I2cSensor
from feltpost.sensor import NotReady, OutOfRange, SensorError, WrongChip

# Registers have 16-bit addresses, most significant byte first. Reads and writes go on to the next.
_SYSTEM_STATUS = const(b"\x00\xe5")
_MODEL_ID = const(b"\x01\x0f")
_INTERRUPT_LINE = const(b"\x00\x31")
_RESULT = const(b"\x00\x89")
_RESET_BEGIN = const(b"\x00\x00\x00")
_RESET_END = const(b"\x00\x00\x01")
_CLEAR_INTERRUPT = const(b"\x00\x86\x01")
_STOP = const(b"\x00\x87\x00")
_RANGE_CONTINUOUSLY = const(b"\x00\x87\x40")
_RANGE_ONCE = const(b"\x00\x87\x10")

# Registers 0x2d to 0x87. They differ from ST's defaults in that the bus is pulled up to the chip's
# own 2.8 V, as on breakout boards (0x2e, 0x2f), the timing budget is 100 ms in long distance mode
# (0x5e, 0x5f and 0x61, 0x62), and ranging does not begin by itself (0x87).
_CONFIGURE = const(
    b"\x00\x2d"
    b"\x00\x01\x01\x01\x02\x00\x02\x08\x00\x08\x10\x01\x01"  # 0x2d
    b"\x00\x00\x00\x00\xff\x00\x0f\x00\x00\x00\x00\x00\x20"  # 0x3a
    b"\x0b\x00\x00\x02\x0a\x21\x00\x00\x05\x00\x00\x00\x00"  # 0x47
    b"\xc8\x00\x00\x38\xff\x01\x00\x08\x00\x00\x01\xcc\x0f"  # 0x54
    b"\x01\xea\x0d\x01\x68\x00\x80\x08\xb8\x00\x00\x00\x00"  # 0x61
    b"\x0f\x89\x00\x00\x00\x00\x00\x00\x00\x01\x0f\x0d\x0e"  # 0x6e
    b"\x0e\x00\x00\x02\xc7\xff\x9b\x00\x00\x00\x01\x01\x00"  # 0x7b
)

# The first ranging calibrates the supply of the receiver (VHV). Once it has been done, and only
# then, later ones may start from its result: two rounds are enough, and the temperature was known.
_VHV_TWO_ROUNDS = const(b"\x00\x08\x09")
_VHV_FROM_PREVIOUS = const(b"\x00\x0b\x00")

_VL53L1X_ID = const(0xEACC)
_BOOTED = const(0x01)
_DATA_READY = const(0x01)

# The data sheet gives 1.2 ms for booting. A ranging takes the timing budget and up to 4 ms more
# (UM2510). One tick more each, as a wait may begin late in one.
_RESET_MS = const(2)
_BOOT_MS = const(3)
_RANGE_MS = const(105)
_POLL_MS = const(10)
_POLLS = const(10)

# Result block: range status in the low bits of byte 0, distance in mm in bytes 13 and 14. These are
# the chip's own numbers, which ST's driver translates to 0 (valid), 2 (signal), 4 (out of bounds),
# 1 (sigma), 7 (wrapped around) and 3 (too near).
_STATUS_MASK = const(0x1F)
_VALID = const(9)
_NO_TARGET = const(b"\x04\x05\x06\x07\x08")


class Vl53l1x(I2cSensor):
    """A VL53L1X that ranges once, for 100 ms, each time it is asked."""

    NAME = "vl53l1x"
    ADDRESS = const(0x29)
    CHANNELS = (("distance", 3),)

    def __init__(self, i2c, address=ADDRESS):
        super().__init__(i2c, address)
        self._buffer = bytearray(15)
        whole = memoryview(self._buffer)
        self._byte = whole[:1]
        self._word = whole[:2]

    async def start(self):
        """Check that it is a VL53L1X, reset and configure it, and let it calibrate itself."""
        self.read_from(_MODEL_ID, self._word)
        model = self._buffer[0] << 8 | self._buffer[1]
        if model != _VL53L1X_ID:
            raise self.error(
                WrongChip, "model id 0x%04x, a VL53L1X has 0x%04x" % (model, _VL53L1X_ID)
            )
        self.write(_RESET_BEGIN)
        await asyncio.sleep_ms(_RESET_MS)
        self.write(_RESET_END)
        await asyncio.sleep_ms(_BOOT_MS)
        self.read_from(_SYSTEM_STATUS, self._byte)
        if not self._buffer[0] & _BOOTED:
            raise self.error(NotReady, "does not boot")
        self.write(_CONFIGURE)
        await self._range(_RANGE_CONTINUOUSLY)
        self.write(_STOP)
        self.write(_CLEAR_INTERRUPT)
        self.write(_VHV_TWO_ROUNDS)
        self.write(_VHV_FROM_PREVIOUS)

    async def sample(self, values):
        """Range, and fill `values` with the distance (mm)."""
        await self._range(_RANGE_ONCE)
        self.read_from(_RESULT, self._buffer)
        self.write(_CLEAR_INTERRUPT)
        status = self._buffer[0] & _STATUS_MASK
        if status in _NO_TARGET:
            raise self.error(
                OutOfRange, "nothing that it can range within 4 m (status %d)" % status
            )
        if status != _VALID:
            raise self.error(SensorError, "ranging failed in the chip (status %d)" % status)
        values[0] = self._buffer[13] << 8 | self._buffer[14]

    async def _range(self, command):
        self.write(_CLEAR_INTERRUPT)
        self.write(command)
        await asyncio.sleep_ms(_RANGE_MS)
        for _ in range(_POLLS):
            self.read_from(_INTERRUPT_LINE, self._byte)
            if self._buffer[0] & _DATA_READY:
                return
            await asyncio.sleep_ms(_POLL_MS)
        raise self.error(
            NotReady,
            "no measurement within %d ms; it may have lost power since it was started"
            % (_RANGE_MS + _POLLS * _POLL_MS),
        )
