"""Model of the Plantower PMS5003 particle sensor.

Data manual V2.3 (June 2016). Of what it sends only the mass concentrations are modelled, and the
fast mode, in which it sends more often while the air changes, is not. It is taken to be in active
mode whenever it wakes, which the manual leaves open.
"""

from __future__ import annotations

from feltpost_tools.sim.sensors.device import Environment, Observer, Readout
from feltpost_tools.sim.sensors.uart_device import Burst, UartDevice

# Page 5: the real interval of active mode, when the concentration changes little.
_PERIOD_US = 2_300_000
# Page 6: stable data at least 30 seconds after it was woken, because of the fan.
_STABLE_US = 30_000_000
# It boots before it takes commands; not specified.
_BOOT_US = 900_000
# Page 3: the longest single response.
_ANSWER_US = 1_000_000

# Appendix II. Start bytes, command, two bytes of data, sum of all before.
_START = b"\x42\x4d"
_COMMAND_BYTES = 7
_MODE = 0xE1
_READ = 0xE2
_SLEEP = 0xE4

# Appendix I: frame length, that is 13 words and the sum.
_LENGTH = 28
_METRICS = ("pm1", "pm25", "pm10")
_MOST = 0xFFFF


class Pms5003(UartDevice):
    """A PMS5003: asleep, or awake and sending unasked (active) or when asked (passive).

    Until its values are stable they are too low, and none of them counts as read out. While
    stuck_busy is set it sends no values. Concentrations are in whole µg/m³.
    """

    def __init__(self, environment: Environment, observer: Observer) -> None:
        super().__init__(environment, observer)
        self.awake_us = 0
        """For how long it had been awake, in all, when it was last put to sleep."""

    def _lose_power(self) -> None:
        # It has no power, and so no time, until somebody looks.
        self._woken_us: int | None = None
        self._asleep = False
        self._active = True
        self._next_us = 0
        self._answers: list[Burst] = []

    def _power_up(self, now_us: int) -> int:
        if self._woken_us is None:
            self._wake(now_us)
            return now_us
        return self._woken_us

    def _wake(self, now_us: int) -> None:
        self._woken_us = now_us
        self._asleep = False
        self._active = True
        self._next_us = now_us + _PERIOD_US

    def _write(self, data: bytes, now_us: int) -> None:
        woken_us = self._power_up(now_us)
        checked = int.from_bytes(data[-2:], "big") == sum(data[:-2])
        if len(data) != _COMMAND_BYTES or data[:2] != _START or not checked:
            return
        command, value = data[2], data[4]
        if self._asleep:
            if (command, value) == (_SLEEP, 1):
                self._wake(now_us)
            return
        if now_us < woken_us + _BOOT_US:
            return
        if command == _MODE:
            self._active = value == 1
            self._next_us = now_us + _PERIOD_US
            self._acknowledge(command, value, now_us)
        elif command == _SLEEP and value == 0:
            self._asleep = True
            self.awake_us += now_us - woken_us
            self._acknowledge(command, value, now_us)
        elif command == _READ and not self._active and not self.stuck_busy:
            self._answers.append(self._measured(now_us + _ANSWER_US))

    def _send(self, now_us: int) -> list[Burst]:
        self._power_up(now_us)
        bursts = [answer for answer in self._answers if answer.start_us <= now_us]
        self._answers = self._answers[len(bursts) :]
        while self._active and not self._asleep and self._next_us <= now_us:
            if not self.stuck_busy:
                bursts.append(self._measured(self._next_us))
            self._next_us += _PERIOD_US
        return bursts

    def _acknowledge(self, command: int, value: int, now_us: int) -> None:
        self._answers.append(Burst(now_us, _framed(4, bytes((command, value)))))

    def _measured(self, at_us: int) -> Burst:
        assert self._woken_us is not None
        stable = at_us >= self._woken_us + _STABLE_US
        values = [self._concentration(metric, at_us, stable) for metric in _METRICS]
        # Three under standard conditions ("CF=1"), three under those of the air around it.
        words = [*(round(value * 1.5) for value in values), *values, *[0] * 7]
        data = b"".join(min(word, _MOST).to_bytes(2, "big") for word in words)
        readouts = [
            Readout(metric, value, at_us, at_us)
            for metric, value in zip(_METRICS, values, strict=True)
        ]
        return Burst(at_us, _framed(_LENGTH, data), readouts if stable else ())

    def _concentration(self, metric: str, at_us: int, stable: bool) -> int:
        value = round(self._environment(metric, at_us))
        return value if stable else value // 2


def _framed(length: int, data: bytes) -> bytes:
    frame = _START + length.to_bytes(2, "big") + data
    return frame + sum(frame).to_bytes(2, "big")
