"""Model of the STMicroelectronics VL53L1X time-of-flight ranging sensor.

Data sheet DocID031281 revision 3 (November 2018) for ranges and times. It has no registers: these
are those of ST's Ultra Lite Driver (STSW-IMG009, user manual UM2510), addresses and values. Not
modelled, and so refused: timing budgets that ST does not list, short distance mode, thresholds.
"""

from __future__ import annotations

from feltpost_tools.sim.sensors.device import Environment, I2CDevice, Nack, Observer, Readout

ADDRESS = 0x29

_SOFT_RESET = 0x0000
_VHV_LOOP_BOUND = 0x0008
_CONFIGURATION = 0x002D
_INTERRUPT_MUX = 0x0030
_INTERRUPT_LINE = 0x0031
_INTERRUPT_CONFIG = 0x0046
_TIMEOUT_A = 0x005E
_TIMEOUT_B = 0x0061
_INTERRUPT_CLEAR = 0x0086
_MODE_START = 0x0087
_RESULT = 0x0089
_RESULT_DISTANCE = 0x0096
_SYSTEM_STATUS = 0x00E5
_MODEL_ID = 0x010F
_LAST_REGISTER = 0x01FF

_VL53L1X_ID = 0xEACC
_BOOTED = 0x03
_NEW_SAMPLE_READY = 0x20
_ACTIVE_LOW = 0x10

_STOP = 0x00
_ONCE = 0x10
_CONTINUOUS = 0x40

# The configuration block from 0x2d on that ST's driver writes first.
_ST_CONFIGURATION = bytes.fromhex(
    "0000000102000208000810010100000000ff000f0000000000200b0000020a2100000500000000c8"
    "000038ff010008000001db0f01f10d0168008008b8000000000f89000000000000000"
    "10f0d0e0e000002c7ff9b0000000101"
)
# What a user may change in it: pull-ups, interrupt, timing, thresholds, region of interest.
_USER_REGISTERS = frozenset(
    {0x2D, 0x2E, 0x2F, 0x30, 0x31, 0x46, 0x5E, 0x5F, 0x61, 0x62}
    | set(range(0x64, 0x68))
    | set(range(0x6C, 0x70))
    | set(range(0x72, 0x76))
    | {0x7F, 0x80, 0x86}
)

# Long distance mode: timeouts A and B, and the timing budget in ms that they make.
_BUDGETS_MS = {
    (0x001E, 0x0022): 20,
    (0x0060, 0x006E): 33,
    (0x00AD, 0x00C6): 50,
    (0x01CC, 0x01EA): 100,
    (0x01DB, 0x01F1): 100,
    (0x02D9, 0x02F8): 200,
    (0x048F, 0x04A4): 500,
}
# UM2510: from one ranging to the next there must be 4 ms more than the budget.
_OVERHEAD_US = 4_000

# Data sheet, power-up and boot sequence.
_BOOT_US = 1_200

# The chip's own numbers for how a ranging ended.
_RANGE_VALID = 9
_SIGNAL_FAIL = 4

# Data sheet, features: the furthest target, in the dark.
_FURTHEST_M = 4.0


class Vl53l1x(I2CDevice):
    """A VL53L1X: held in reset, booting, in standby, or ranging once or continuously.

    It ranges only with ST's configuration. The next of continuous rangings begins when the
    interrupt of the one before is cleared.
    """

    model_id = _VL53L1X_ID
    """What it says that it is, from the next time it gets power or is reset."""

    range_status: int | None = None
    """While set, every ranging ends with this status of the chip's instead of the true one."""

    def __init__(
        self, environment: Environment, observer: Observer, address: int = ADDRESS
    ) -> None:
        super().__init__(environment, observer, address)
        self._lose_power()

    def _lose_power(self) -> None:
        self._booted_us = 0
        self._restart()

    def _restart(self) -> None:
        self._registers = bytearray(_LAST_REGISTER + 1)
        self._registers[_SOFT_RESET] = 1
        self._registers[_SYSTEM_STATUS] = _BOOTED
        self._registers[_MODEL_ID : _MODEL_ID + 2] = self.model_id.to_bytes(2, "big")
        self._pointer = 0
        self._ends_us: int | None = None
        self._interrupt = False
        self._calibrated = False
        self._readout: tuple[float, int] | None = None

    @property
    def _in_reset(self) -> bool:
        return not self._registers[_SOFT_RESET]

    def _write(self, data: bytes, now_us: int) -> None:
        if now_us < self._booted_us:
            raise Nack
        self._finish_ranging(now_us)
        if not data:
            return
        if len(data) < 2:
            raise Nack
        self._pointer = int.from_bytes(data[:2], "big")
        if self._pointer + len(data) - 2 > _LAST_REGISTER:
            raise Nack
        for offset, value in enumerate(data[2:]):
            self._put(self._pointer + offset, value, now_us)

    def _put(self, register: int, value: int, now_us: int) -> None:
        if register == _SOFT_RESET:
            if self._in_reset and value & 1:
                self._booted_us = now_us + _BOOT_US
                self._registers[_SOFT_RESET] = 1
            elif not value & 1:
                self._restart()
                self._registers[_SOFT_RESET] = 0
            return
        if self._in_reset:
            raise Nack
        self._registers[register] = value
        if register == _INTERRUPT_CLEAR and value & 1:
            self._interrupt = False
            if self._registers[_MODE_START] == _CONTINUOUS and self._ends_us is None:
                self._begin(now_us)
        elif register == _MODE_START:
            if value not in (_STOP, _ONCE, _CONTINUOUS):
                raise Nack
            self._ends_us = None
            if value != _STOP:
                self._begin(now_us)

    def _begin(self, now_us: int) -> None:
        if not self._configured():
            return
        # Two rounds of calibration start from the one before. Without one the chip would measure
        # wrong and not say so.
        if self._registers[_VHV_LOOP_BOUND] and not self._calibrated:
            raise Nack
        a = int.from_bytes(self._registers[_TIMEOUT_A : _TIMEOUT_A + 2], "big")
        b = int.from_bytes(self._registers[_TIMEOUT_B : _TIMEOUT_B + 2], "big")
        if (a, b) not in _BUDGETS_MS:
            raise Nack
        self._ends_us = now_us + _BUDGETS_MS[a, b] * 1000 + _OVERHEAD_US

    def _read(self, length: int, now_us: int) -> bytes:
        if now_us < self._booted_us or self._in_reset:
            raise Nack
        self._finish_ranging(now_us)
        active_low = self._registers[_INTERRUPT_MUX] & _ACTIVE_LOW != 0
        self._registers[_INTERRUPT_LINE] = 0x02 | (self._interrupt != active_low)
        start, end = self._pointer, self._pointer + length
        if self._readout and start <= _RESULT and end >= _RESULT_DISTANCE + 2:
            self._observer(Readout("distance", self._readout[0], now_us, self._readout[1]))
        return bytes(self._registers[start:end])

    def _configured(self) -> bool:
        written = enumerate(_ST_CONFIGURATION, start=_CONFIGURATION)
        return self._registers[_INTERRUPT_CONFIG] == _NEW_SAMPLE_READY and all(
            self._registers[register] == value
            for register, value in written
            if register not in _USER_REGISTERS
        )

    def _finish_ranging(self, now_us: int) -> None:
        """Bring the result to what it is at `now_us`."""
        measured_us = self._ends_us
        if measured_us is None or self.stuck_busy or now_us < measured_us:
            return
        self._ends_us = None
        self._interrupt = True
        self._calibrated = True
        distance_m = max(self._environment("distance", measured_us), 0.0)
        status = _RANGE_VALID if distance_m <= _FURTHEST_M else _SIGNAL_FAIL
        if self.range_status is not None:
            status = self.range_status
        distance_mm = round(distance_m * 1000) if status == _RANGE_VALID else 0
        self._registers[_RESULT] = status
        self._registers[_RESULT_DISTANCE : _RESULT_DISTANCE + 2] = distance_mm.to_bytes(2, "big")
        self._readout = (distance_mm / 1000, measured_us) if status == _RANGE_VALID else None
