"""Model of the Bosch BME280 temperature, humidity and pressure sensor.

Data sheet BST-BME280-DS002, revision 1.6. Not modelled, and so refused: normal mode, the filter,
SPI.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import astuple, dataclass

from feltpost_tools.sim.sensors.device import Environment, I2CDevice, Nack, Observer, Readout

ADDRESS = 0x76

# Section 5.3, memory map.
_CALIBRATION = 0x88
_ID = 0xD0
_RESET = 0xE0
_CALIBRATION_HUMIDITY = 0xE1
_CTRL_HUM = 0xF2
_STATUS = 0xF3
_CTRL_MEAS = 0xF4
_CONFIG = 0xF5
_PRESSURE = 0xF7
_TEMPERATURE = 0xFA
_HUMIDITY = 0xFD

_BME280_ID = 0x60
_RESET_WORD = 0xB6
_STATUS_MEASURING = 0x08
_MODE = 0x03
_MODE_NORMAL = 0x03
_FILTER_AND_SPI = 0x1D

# Table 1, t_startup.
_STARTUP_US = 2_000

# Section 5.4.3: oversampling by the code in osrs_h, osrs_p and osrs_t; 0 skips the quantity.
_OVERSAMPLING = (0, 1, 2, 4, 8, 16, 16, 16)

# Section 5.4.7: what a quantity that was skipped reads as.
_SKIPPED = 0x80000
_SKIPPED_HUMIDITY = 0x8000

# Chapter 1, operating range. For what is beyond it the model gives the nearer end.
_TEMPERATURE_RANGE = (-40.0, 85.0)
_HUMIDITY_RANGE = (0.0, 100.0)
_PRESSURE_RANGE_HPA = (300.0, 1100.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a chip was trimmed with, by the data sheet's names without "dig_" (table 16).

    The values for temperature and pressure are those of Bosch's worked example (BMP280 data sheet,
    section 3.12), whose formulas are the same; those for humidity are such as chips have.
    """

    t1: int = 27504
    t2: int = 26435
    t3: int = -1000
    p1: int = 36477
    p2: int = -10685
    p3: int = 3024
    p4: int = 2855
    p5: int = 140
    p6: int = -7
    p7: int = 15500
    p8: int = -14600
    p9: int = 6000
    h1: int = 75
    h2: int = 353
    h3: int = 0
    h4: int = 340
    h5: int = 0
    h6: int = 30

    def registers(self) -> dict[int, bytes]:
        """Return what stands in the memory map, by address."""
        values = astuple(self)
        return {
            _CALIBRATION: struct.pack("<HhhHhhhhhhhhxB", *values[:13]),
            _CALIBRATION_HUMIDITY: struct.pack(
                "<hBbBbb",
                self.h2,
                self.h3,
                self.h4 >> 4,
                self.h5 << 4 & 0xF0 | self.h4 & 0x0F,
                self.h5 >> 4,
                self.h6,
            ),
        }

    # Section 4.2.3, compensation formulas, in integers of 32 bits, for pressure of 64.

    def fine_temperature(self, raw: int) -> int:
        """Return t_fine, in 1/5120 °C, for a raw temperature of 20 bits."""
        linear = (((raw >> 3) - (self.t1 << 1)) * self.t2) >> 11
        distance = (raw >> 4) - self.t1
        return linear + ((((distance * distance) >> 12) * self.t3) >> 14)

    def temperature_cel(self, raw: int) -> float:
        """Return the temperature, to 0.01 °C."""
        return ((self.fine_temperature(raw) * 5 + 128) >> 8) / 100

    def pressure_hpa(self, raw: int, t_fine: int) -> float:
        """Return the pressure, to 1/256 Pa, for a raw pressure of 20 bits."""
        var1 = t_fine - 128000
        var2 = var1 * var1 * self.p6
        var2 += (var1 * self.p5) << 17
        var2 += self.p4 << 35
        var1 = ((var1 * var1 * self.p3) >> 8) + ((var1 * self.p2) << 12)
        var1 = (((1 << 47) + var1) * self.p1) >> 33
        p = ((((1048576 - raw) << 31) - var2) * 3125) // var1
        var1 = (self.p9 * (p >> 13) * (p >> 13)) >> 25
        var2 = (self.p8 * p) >> 19
        return (((p + var1 + var2) >> 8) + (self.p7 << 4)) / 25600

    def humidity_percent(self, raw: int, t_fine: int) -> float:
        """Return the relative humidity, to 1/1024 %RH, for a raw humidity of 16 bits."""
        v = t_fine - 76800
        offset = ((raw << 14) - (self.h4 << 20) - self.h5 * v + 16384) >> 15
        gain = ((v * self.h6) >> 10) * (((v * self.h3) >> 11) + 32768)
        v = offset * ((((gain >> 10) + 2097152) * self.h2 + 8192) >> 14)
        v -= (((v >> 15) * (v >> 15)) >> 7) * self.h1 >> 4
        return (min(max(v, 0), 419430400) >> 12) / 1024


@dataclass(frozen=True, slots=True)
class _Measurement:
    readouts: tuple[tuple[int, int, str, float], ...]
    """(register, bytes, quantity, value) of each quantity that was not skipped."""
    measured_us: int


class Bme280(I2CDevice):
    """A BME280: asleep, or measuring once (forced mode).

    It always acknowledges but for the time of a reset. Its data registers hold the previous
    measurement until the next one is complete.
    """

    chip_id = _BME280_ID
    """What it says that it is; 0x58 makes it the BMP280 that is sold as a BME280 at times."""

    calibration = Calibration()
    """Takes effect when the chip gets power or is reset."""

    def __init__(
        self, environment: Environment, observer: Observer, address: int = ADDRESS
    ) -> None:
        super().__init__(environment, observer, address)
        self._lose_power()

    def _lose_power(self) -> None:
        self._busy_until_us = 0
        self._restart()

    def _restart(self) -> None:
        self._registers = bytearray(256)
        self._registers[_ID] = self.chip_id
        self._trim = self.calibration
        for address, data in self._trim.registers().items():
            self._registers[address : address + len(data)] = data
        self._store(_SKIPPED, _SKIPPED, _SKIPPED_HUMIDITY)
        self._pointer = 0
        self._humidity_oversampling = 0
        self._started_us: int | None = None
        self._measurement: _Measurement | None = None

    def _store(self, temperature: int, pressure: int, humidity: int) -> None:
        self._registers[_PRESSURE : _PRESSURE + 3] = (pressure << 4).to_bytes(3, "big")
        self._registers[_TEMPERATURE : _TEMPERATURE + 3] = (temperature << 4).to_bytes(3, "big")
        self._registers[_HUMIDITY : _HUMIDITY + 2] = humidity.to_bytes(2, "big")

    def _write(self, data: bytes, now_us: int) -> None:
        if now_us < self._busy_until_us:
            raise Nack
        self._finish_measurement(now_us)
        if not data:
            return
        # Section 6.2.1: pairs of register and value; the last register alone is where to read.
        for index in range(0, len(data) - 1, 2):
            self._put(data[index], data[index + 1], now_us)
        if len(data) % 2:
            self._pointer = data[-1]

    def _put(self, register: int, value: int, now_us: int) -> None:
        if register == _RESET:
            # Any other value has no effect.
            if value == _RESET_WORD:
                self._restart()
                self._busy_until_us = now_us + _STARTUP_US
        elif register == _CTRL_HUM:
            self._registers[register] = value & 0x07
        elif register == _CTRL_MEAS:
            if value & _MODE == _MODE_NORMAL:
                raise Nack
            self._registers[register] = value
            self._humidity_oversampling = self._registers[_CTRL_HUM]
            if value & _MODE:
                self._started_us = now_us
        elif register == _CONFIG:
            if value & _FILTER_AND_SPI:
                raise Nack
            self._registers[register] = value
        else:
            raise Nack

    def _read(self, length: int, now_us: int) -> bytes:
        if now_us < self._busy_until_us:
            raise Nack
        self._finish_measurement(now_us)
        self._registers[_STATUS] = _STATUS_MEASURING if self._started_us is not None else 0
        start, end = self._pointer, self._pointer + length
        if self._measurement is not None:
            for register, size, quantity, value in self._measurement.readouts:
                if start <= register and register + size <= end:
                    self._observer(Readout(quantity, value, now_us, self._measurement.measured_us))
        return bytes(self._registers[start:end])

    def _oversampling(self) -> tuple[int, int, int]:
        control = self._registers[_CTRL_MEAS]
        return control >> 5, control >> 2 & 0x07, self._humidity_oversampling

    def _finish_measurement(self, now_us: int) -> None:
        """Bring the data registers to what they hold at `now_us`."""
        if self._started_us is None or self.stuck_busy:
            return
        codes = self._oversampling()
        # Section 9.1, maximum: temperature, pressure, humidity.
        times, pressures, humidities = (_OVERSAMPLING[code] for code in codes)
        duration_us = 1_250 + 2_300 * times
        duration_us += 2_300 * pressures + 575 if pressures else 0
        duration_us += 2_300 * humidities + 575 if humidities else 0
        measured_us = self._started_us + duration_us
        if now_us < measured_us:
            return
        self._started_us = None
        self._registers[_CTRL_MEAS] &= ~_MODE
        self._measure(codes, measured_us)

    def _measure(self, codes: tuple[int, int, int], measured_us: int) -> None:
        trim = self._trim
        readouts = []
        temperature = pressure = _SKIPPED
        humidity = _SKIPPED_HUMIDITY
        true_temperature = self._sense("temperature", measured_us, _TEMPERATURE_RANGE)
        digitised = _nearest(trim.temperature_cel, true_temperature, _step(codes[0]))
        fine = trim.fine_temperature(digitised)
        if codes[0]:
            temperature = digitised
            value = trim.temperature_cel(temperature)
            readouts.append((_TEMPERATURE, 3, "temperature", value))
        if codes[2]:
            true_humidity = self._sense("relativeHumidity", measured_us, _HUMIDITY_RANGE)
            humidity = _nearest(
                lambda raw: trim.humidity_percent(raw, fine), true_humidity, 1, bits=16
            )
            value = trim.humidity_percent(humidity, fine)
            readouts.append((_HUMIDITY, 2, "relativeHumidity", value))
        if codes[1]:
            true_pressure = self._sense("atmosphericPressure", measured_us, _PRESSURE_RANGE_HPA)
            # The count falls as the pressure rises.
            pressure = _nearest(
                lambda raw: -trim.pressure_hpa(raw, fine), -true_pressure, _step(codes[1])
            )
            value = trim.pressure_hpa(pressure, fine)
            readouts.append((_PRESSURE, 3, "atmosphericPressure", value))
        self._store(temperature, pressure, humidity)
        self._measurement = _Measurement(tuple(readouts), measured_us)

    def _sense(self, quantity: str, now_us: int, bounds: tuple[float, float]) -> float:
        return min(max(self._environment(quantity, now_us), bounds[0]), bounds[1])


def _step(code: int) -> int:
    """Return the step between counts: 16 bits, one more for each code above 1 (section 3.4.2)."""
    return 1 << (4 - min(max(code, 1) - 1, 4))


def _nearest(convert: Callable[[int], float], value: float, step: int, bits: int = 20) -> int:
    """Return the multiple of `step` that the rising `convert` brings nearest to `value`."""
    counts = range(0, 1 << bits, step)
    above = min(bisect_left(counts, value, key=convert), len(counts) - 1)
    below = max(above - 1, 0)
    return min(counts[above], counts[below], key=lambda raw: abs(convert(raw) - value))
