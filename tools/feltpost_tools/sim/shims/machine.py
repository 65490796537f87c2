"""The machine module of a simulated board: pins and buses that end at the simulator's models."""

import struct
import time

import _host

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
TIMER_WAKE = 4


_RTC_BYTES = 2048
_RTC_PIECE_BYTES = 512
_WDT_LEAST_MS = 1000


# What leads to a part of the board, each in a module of its own: most boards use few of them.
_PARTS = {
    "ADC": "_machine_adc",
    "I2C": "_machine_i2c",
    "Pin": "_machine_pin",
    "UART": "_machine_uart",
    "time_pulse_us": "_machine_pulse",
}


def __getattr__(name):
    if name not in _PARTS:
        raise AttributeError(name)
    value = globals()[name] = getattr(__import__(_PARTS[name]), name)
    return value


def unique_id():
    return _host.call(0x75)


def reset_cause():
    return _host.call(0x63)[0]


def wake_reason():
    return _host.call(0x63)[1]


class RTC:
    def datetime(self, when=None):
        if when is None:
            year, month, day, hour, minute, second, weekday, _ = time.gmtime()
            return year, month, day, weekday, hour, minute, second, 0
        year, month, day, _, hour, minute, second, _ = when
        time.set_time(time.mktime((year, month, day, hour, minute, second, 0, 0)))
        return None

    def memory(self, data=None):
        if data is None:
            return _host.call(0x71)
        if len(data) > _RTC_BYTES:
            raise ValueError("buffer too long")
        # In pieces: a board needs no heap for this, and the simulated one should need little.
        view = memoryview(data)
        for start in range(0, max(1, len(data)), _RTC_PIECE_BYTES):
            head = struct.pack("<HH", len(data), start)
            _host.call(0x51, head + view[start : start + _RTC_PIECE_BYTES])
        return None


class WDT:
    def __init__(self, id=0, timeout=5000):
        if id != 0 or timeout < _WDT_LEAST_MS:
            raise ValueError("WDT timeout too short")
        self._timeout_ms = timeout
        self.feed()

    def feed(self):
        _host.call(0x77, struct.pack("<I", self._timeout_ms))


# The simulator ends this process in the middle of the next two, as a chip stops: nothing that
# would be done on the way out is done.


def reset():
    _host.call(0x78)


def deepsleep(time_ms=0):
    _host.call(0x7A, struct.pack("<I", time_ms))


def soft_reset():
    raise SystemExit(64)
