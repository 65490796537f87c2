"""Model of the ROHM BH1750FVI ambient light sensor.

Technical note BH1750FVI, 2011.11 Rev. D. Not modelled, and so refused: the modes other than
H-resolution.
"""

from __future__ import annotations

from feltpost_tools.sim.sensors.device import Environment, I2CDevice, Nack, Observer, Readout

ADDRESS = 0x23

# Page 5, instruction set.
_POWER_DOWN = 0x00
_POWER_ON = 0x01
_RESET = 0x07
_CONTINUOUS_H_RESOLUTION = 0x10
_ONE_TIME_H_RESOLUTION = 0x20
_MEASUREMENT_TIME_HIGH = 0b01000_000
_MEASUREMENT_TIME_LOW = 0b011_00000

# Page 2, t_HR, and page 11: counts and measuring time are in proportion to the time register.
_DEFAULT_MEASUREMENT_TIME = 69
_MEASURE_US = 180_000
_COUNTS_PER_LX = 1.2

_FULL_SCALE = 0xFFFF


class Bh1750(I2CDevice):
    """A BH1750: powered down, idle, or measuring once or continuously in H-resolution mode.

    It always acknowledges, measuring or not: who reads early gets the previous measurement. When
    it is stuck it acknowledges nothing.
    """

    def __init__(
        self, environment: Environment, observer: Observer, address: int = ADDRESS
    ) -> None:
        super().__init__(environment, observer, address)
        self._lose_power()

    def _lose_power(self) -> None:
        self._powered = False
        self._measurement_time = _DEFAULT_MEASUREMENT_TIME
        self._continuous = False
        self._started_us: int | None = None
        self._count = 0
        self._illuminance = 0.0
        self._measured_us: int | None = None

    def _write(self, data: bytes, now_us: int) -> None:
        if self.stuck_busy:
            raise Nack
        self._finish_measurement(now_us)
        if not data:
            return
        # Page 10: several opcodes in one transaction are not accepted.
        if len(data) > 1:
            raise Nack
        self._execute(data[0], now_us)

    def _execute(self, opcode: int, now_us: int) -> None:
        if opcode == _POWER_DOWN:
            self._powered = False
            self._started_us = None
        elif opcode == _POWER_ON:
            self._powered = True
        elif opcode == _RESET:
            # Not accepted while powered down.
            if self._powered:
                self._count = 0
                self._measured_us = None
        elif opcode in (_CONTINUOUS_H_RESOLUTION, _ONE_TIME_H_RESOLUTION):
            # Page 7, measurement procedure: power on may be left out before these.
            self._powered = True
            self._continuous = opcode == _CONTINUOUS_H_RESOLUTION
            self._started_us = now_us
        elif opcode & 0b11111_000 == _MEASUREMENT_TIME_HIGH:
            self._measurement_time = (opcode & 0b111) << 5 | self._measurement_time & 0b11111
        elif opcode & 0b111_00000 == _MEASUREMENT_TIME_LOW:
            self._measurement_time = self._measurement_time & 0b111_00000 | opcode & 0b11111
        else:
            raise Nack

    def _read(self, length: int, now_us: int) -> bytes:
        if self.stuck_busy:
            raise Nack
        self._finish_measurement(now_us)
        # The top count says that the converter overflowed, not how bright it is.
        if self._measured_us is not None and length >= 2 and self._count != _FULL_SCALE:
            self._observer(Readout("illuminance", self._illuminance, now_us, self._measured_us))
        return self._count.to_bytes(2, "big")

    def _counts_per_lx(self) -> float:
        return _COUNTS_PER_LX * self._measurement_time / _DEFAULT_MEASUREMENT_TIME

    def _finish_measurement(self, now_us: int) -> None:
        """Bring the data register to what it holds at `now_us`."""
        if self._started_us is None:
            return
        duration_us = _MEASURE_US * self._measurement_time // _DEFAULT_MEASUREMENT_TIME
        measurements = (now_us - self._started_us) // duration_us
        if measurements == 0:
            return
        if self._continuous:
            self._started_us += measurements * duration_us
            self._measured_us = self._started_us
        else:
            self._measured_us = self._started_us + duration_us
            self._started_us = None
            self._powered = False
        illuminance = self._environment("illuminance", self._measured_us)
        count = round(max(illuminance, 0.0) * self._counts_per_lx())
        self._count = min(count, _FULL_SCALE)
        # By the sensitivity it was measured with, whatever is set by the time it is read.
        self._illuminance = self._count / self._counts_per_lx()
