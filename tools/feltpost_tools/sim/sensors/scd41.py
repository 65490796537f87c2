"""Model of the Sensirion SCD41 CO2 sensor in periodic measurement mode.

Data sheet SCD4x, version 1.3, September 2022; conversions with 2**16 - 1 as divisor, as later
versions have it. Not modelled, and so refused: single shots, low-power measurement,
calibration, settings.
"""

from __future__ import annotations

import enum

from feltpost_tools.sim.sensors.device import Environment, Nack, Observer, Scale
from feltpost_tools.sim.sensors.sensirion import Answer, SensirionDevice

ADDRESS = 0x62

_INTERVAL_US = 5_000_000
_EXECUTION_US = 1_000
_STOP_US = 500_000
_REINIT_US = 20_000
_WAKE_UP_US = 30_000

# The data sheet's examples of get_data_ready_status: only the lowest eleven bits count.
_NOT_READY_WORD = 0x8000
_READY_WORD = 0x8006

_SERIAL_NUMBER = (0xF896, 0x9F07, 0x3BBE)

_CO2_HIGH_PPM = 40_000
_TEMPERATURE = Scale(low=-10, high=60, zero=-45, full_scale=130)
_HUMIDITY = Scale(low=0, high=100, zero=0, full_scale=100)


class Command(enum.IntEnum):
    """The commands modelled, by their names in table 9."""

    START_PERIODIC_MEASUREMENT = 0x21B1
    READ_MEASUREMENT = 0xEC05
    STOP_PERIODIC_MEASUREMENT = 0x3F86
    GET_DATA_READY_STATUS = 0xE4B8
    GET_SERIAL_NUMBER = 0x3682
    REINIT = 0x3646
    POWER_DOWN = 0x36E0
    WAKE_UP = 0x36F6


_WHILE_MEASURING = frozenset(
    {
        Command.READ_MEASUREMENT,
        Command.STOP_PERIODIC_MEASUREMENT,
        Command.GET_DATA_READY_STATUS,
    }
)


class Scd41(SensirionDevice):
    """An SCD41: idle after power-up, measuring every five seconds, or powered down.

    A measurement waits in a buffer of one until it is read or the next one replaces it.
    """

    def __init__(
        self, environment: Environment, observer: Observer, address: int = ADDRESS
    ) -> None:
        super().__init__(environment, observer, address)
        self._started_us: int | None = None
        self._emptied_us = 0
        self.powered_down = False

    def _lose_power(self) -> None:
        super()._lose_power()
        self._started_us = None
        self.powered_down = False

    def _execute(self, command: bytes, now_us: int) -> None:
        if len(command) != 2:
            raise Nack
        code = int.from_bytes(command, "big")
        if self.powered_down and code == Command.WAKE_UP:
            self.powered_down = False
            self._busy_until_us = now_us + _WAKE_UP_US
        if code == Command.WAKE_UP or self.powered_down:
            # Waking up is not acknowledged, and nothing else is understood in that state.
            raise Nack
        if self._started_us is not None and code not in _WHILE_MEASURING:
            raise Nack
        match code:
            case Command.START_PERIODIC_MEASUREMENT:
                self._started_us = now_us
                self._emptied_us = now_us
            case Command.STOP_PERIODIC_MEASUREMENT:
                self._started_us = None
                self._busy_until_us = now_us + _STOP_US
            case Command.POWER_DOWN:
                self.powered_down = True
                self._busy_until_us = now_us + _EXECUTION_US
            case Command.REINIT:
                self._busy_until_us = now_us + _REINIT_US
            case Command.GET_SERIAL_NUMBER:
                self._reply(Answer(_SERIAL_NUMBER), now_us)
            case Command.GET_DATA_READY_STATUS:
                ready = self._unread_us(now_us) is not None
                self._reply(Answer([_READY_WORD if ready else _NOT_READY_WORD]), now_us)
            case Command.READ_MEASUREMENT:
                measured_us = self._unread_us(now_us)
                self._busy_until_us = now_us + _EXECUTION_US
                # With an empty buffer there is no answer, and the read is not acknowledged.
                if measured_us is not None:
                    self._answer = self._measurement(measured_us)
            case _:
                raise Nack

    def _reply(self, answer: Answer, now_us: int) -> None:
        self._answer = answer
        self._busy_until_us = now_us + _EXECUTION_US

    def _unread_us(self, now_us: int) -> int | None:
        """Return the time of the measurement that waits in the buffer, None when it is empty."""
        if self._started_us is None or self.stuck_busy:
            return None
        latest_us = now_us - (now_us - self._started_us) % _INTERVAL_US
        return latest_us if latest_us > self._emptied_us else None

    def _measurement(self, measured_us: int) -> Answer:
        co2 = round(min(max(self._environment("co2", measured_us), 0), _CO2_HIGH_PPM))
        temperature = _TEMPERATURE.digitise(self._environment("temperature", measured_us))
        humidity = _HUMIDITY.digitise(self._environment("relativeHumidity", measured_us))
        return Answer(
            (co2, temperature, humidity),
            (
                ("co2", float(co2)),
                ("temperature", _TEMPERATURE.restore(temperature)),
                ("relativeHumidity", _HUMIDITY.restore(humidity)),
            ),
            measured_us,
        )

    def _handed_out(self, answer: Answer) -> None:
        if answer.quantities:
            self._emptied_us = answer.measured_us
