"""Model of the Texas Instruments ADS1115 analogue-to-digital converter.

Data sheet ADS111x, SBAS444D, January 2018. Not modelled, and so refused: continuous conversion, the
comparator and its thresholds.
"""

from __future__ import annotations

from feltpost_tools.sim.sensors.device import Environment, I2CDevice, Nack, Observer, Readout

ADDRESS = 0x48

# Section 9.6.1, address pointer register.
_CONVERSION = 0
_CONFIG = 1
_LOW_THRESHOLD = 2
_HIGH_THRESHOLD = 3

# Section 9.6.3, config register.
_CONFIG_AT_RESET = 0x8583
_START = 0x8000
_SINGLE_SHOT = 0x0100
_COMPARATOR_OFF = 0x0003

_THRESHOLDS_AT_RESET = {_LOW_THRESHOLD: 0x8000, _HIGH_THRESHOLD: 0x7FFF}

# By MUX: positive and negative input, None for ground.
_INPUTS: tuple[tuple[int, int | None], ...] = (
    (0, 1),
    (0, 3),
    (1, 3),
    (2, 3),
    (0, None),
    (1, None),
    (2, None),
    (3, None),
)
# By PGA: full scale, in volts.
_FULL_SCALE_V = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
# By DR: conversions a second; section 7.5 has them right to 10 %.
_RATE_HZ = (8, 16, 32, 64, 128, 250, 475, 860)
_SLOWEST = 0.9

# Section 9.4.2.1: out of power-down in 25 µs.
_WAKE_US = 25

_HIGHEST = 0x7FFF
_LOWEST = -0x8000


class Ads1115(I2CDevice):
    """An ADS1115: powered down, or converting once.

    The environment has the voltages of its inputs against ground as "voltage.0" to "voltage.3";
    what it reads between two of them is "voltage.0-1" and so on. It always acknowledges; who reads
    early gets the previous conversion.
    """

    def __init__(
        self, environment: Environment, observer: Observer, address: int = ADDRESS
    ) -> None:
        super().__init__(environment, observer, address)
        self._lose_power()

    def _lose_power(self) -> None:
        self._pointer = _CONVERSION
        self._config = _CONFIG_AT_RESET
        self._started_us: int | None = None
        self._converting = _CONFIG_AT_RESET
        self._count = 0
        self._readout: tuple[str, float, int] | None = None

    def _write(self, data: bytes, now_us: int) -> None:
        self._finish_conversion(now_us)
        if not data:
            return
        if data[0] > _HIGH_THRESHOLD or len(data) not in (1, 3):
            raise Nack
        self._pointer = data[0]
        if len(data) == 1:
            return
        value = int.from_bytes(data[1:], "big")
        if self._pointer != _CONFIG or value & _COMPARATOR_OFF != _COMPARATOR_OFF:
            raise Nack
        if not value & _SINGLE_SHOT:
            raise Nack
        self._config = value & ~_START
        # What is written while it converts holds for the next conversion.
        if value & _START and self._started_us is None:
            self._started_us = now_us
            self._converting = value

    def _read(self, length: int, now_us: int) -> bytes:
        self._finish_conversion(now_us)
        if self._pointer == _CONVERSION:
            if self._readout is not None and length >= 2:
                quantity, value, measured_us = self._readout
                self._observer(Readout(quantity, value, now_us, measured_us))
            return self._count.to_bytes(2, "big", signed=True)
        if self._pointer == _CONFIG:
            idle = _START if self._started_us is None else 0
            return (self._config | idle).to_bytes(2, "big")
        return _THRESHOLDS_AT_RESET[self._pointer].to_bytes(2, "big")

    def _finish_conversion(self, now_us: int) -> None:
        """Bring the conversion register to what it holds at `now_us`."""
        if self._started_us is None or self.stuck_busy:
            return
        rate_hz = _RATE_HZ[self._converting >> 5 & 0b111]
        duration_us = _WAKE_US + round(1_000_000 / (rate_hz * _SLOWEST))
        if now_us < self._started_us + duration_us:
            return
        measured_us = self._started_us + duration_us
        self._started_us = None
        self._convert(measured_us)

    def _convert(self, measured_us: int) -> None:
        positive, negative = _INPUTS[self._converting >> 12 & 0b111]
        voltage = self._environment(f"voltage.{positive}", measured_us)
        quantity = f"voltage.{positive}"
        if negative is not None:
            voltage -= self._environment(f"voltage.{negative}", measured_us)
            quantity += f"-{negative}"
        step = _FULL_SCALE_V[self._converting >> 9 & 0b111] / 0x8000
        self._count = min(max(round(voltage / step), _LOWEST), _HIGHEST)
        # At either end it says that the input is beyond, not what it is.
        clipped = self._count in (_LOWEST, _HIGHEST)
        self._readout = None if clipped else (quantity, self._count * step, measured_us)
