"""The time module of a simulated board: the run's one clock, counted as an ESP32 counts it.

time() and gmtime() count from the board's epoch, and the date at power-on is 2000-01-01.
"""

import os
import struct

import _host
import utime as _time

_POWER_ON_S = 946_684_800
_EPOCH_S = _POWER_ON_S if os.getenv("FELTPOST_EPOCH") == "2000" else 0

ticks_add = _host.ticks_add
ticks_diff = _host.ticks_diff
ticks_ms = _host.ticks_ms
sleep_ms = _host.sleep_ms


def ticks_us():
    return ticks_add(_time.ticks_us(), _host.ticks_offset * 1000)


ticks_cpu = ticks_us


def sleep(duration_s):
    sleep_ms(int(duration_s * 1000))


def sleep_us(duration_us):
    _time.sleep_us(duration_us)


def time_ns():
    date_ms = _time.time_ns() // 1_000_000 + _host.date_offset_ms
    return (date_ms + (_POWER_ON_S - _EPOCH_S) * 1000) * 1_000_000


def time():
    return time_ns() // 1_000_000_000


def set_time(seconds):
    # For machine.RTC: the time of day goes on from there, through resets and deep sleep.
    _host.call(0x74, struct.pack("<q", (seconds + _EPOCH_S) * 1000))


def gmtime(seconds=None):
    return _time.gmtime((time() if seconds is None else seconds) + _EPOCH_S)[:8]


localtime = gmtime


def mktime(when):
    # The unix port's mktime takes local time; a simulated board runs with TZ=UTC.
    return int(_time.mktime(when)) - _EPOCH_S
