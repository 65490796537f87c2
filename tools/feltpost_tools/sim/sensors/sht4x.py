"""Model of the Sensirion SHT40, SHT41 and SHT45 temperature and humidity sensors.

Data sheet SHT4x, version 6. Not modelled, and so refused: the heater.
"""

from __future__ import annotations

from feltpost_tools.sim.sensors.device import Environment, Nack, Observer, Scale
from feltpost_tools.sim.sensors.sensirion import Answer, SensirionDevice

ADDRESS = 0x44

# Measurement commands with their longest durations: high, medium and low precision.
_MEASURE_US = {0xFD: 8_300, 0xF6: 4_500, 0xE0: 1_600}
_READ_SERIAL_NUMBER = 0x89
_SOFT_RESET = 0x94
_RESET_US = 1_000

_SERIAL_NUMBER = (0x0F4A, 0x1B27)

_TEMPERATURE = Scale(low=-40, high=125, zero=-45, full_scale=130)
# Section 4.6: what the chip sends may lie beyond 0 … 100 %RH, and the host crops it.
_HUMIDITY = Scale(low=-6, high=119, zero=-6, full_scale=119)


class Sht4x(SensirionDevice):
    """An SHT4x: idle, or measuring once."""

    def __init__(
        self, environment: Environment, observer: Observer, address: int = ADDRESS
    ) -> None:
        super().__init__(environment, observer, address)

    def _aborts(self, command: bytes) -> bool:
        # Chapter "Reset & Abort": a soft reset also ends what is under way.
        return command == bytes([_SOFT_RESET])

    def _execute(self, command: bytes, now_us: int) -> None:
        if len(command) != 1:
            raise Nack
        code = command[0]
        if code == _SOFT_RESET:
            self._busy_until_us = now_us + _RESET_US
        elif code == _READ_SERIAL_NUMBER:
            self._answer = Answer(_SERIAL_NUMBER)
        elif code in _MEASURE_US:
            self._busy_until_us = now_us + _MEASURE_US[code]
            self._answer = self._measurement(self._busy_until_us)
        else:
            raise Nack

    def _measurement(self, measured_us: int) -> Answer:
        temperature = _TEMPERATURE.digitise(self._environment("temperature", measured_us))
        humidity = _HUMIDITY.digitise(self._environment("relativeHumidity", measured_us))
        return Answer(
            (temperature, humidity),
            (
                ("temperature", _TEMPERATURE.restore(temperature)),
                ("relativeHumidity", min(max(_HUMIDITY.restore(humidity), 0.0), 100.0)),
            ),
            measured_us,
        )
