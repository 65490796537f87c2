"""What a simulated board takes for the time: by its own crystal, and a date it may forget."""

import time

from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.hardware import Hardware

_TICKS_PERIOD = 1 << 30
_MILLION = 1_000_000

# The date at which a board without battery starts, 2000-01-01, Unix time.
_POWER_ON_MS = 946_684_800_000


class BoardClock:
    """The ticks since boot and the date, against the run's own clock. Times are Unix microseconds.

    The shims add a real monotonic clock of their own, so they are told offsets to it.
    """

    def __init__(self, hardware: Hardware, clock: SharedClock):
        self._hardware = hardware
        self._clock = clock
        self._boot_us = self._power_us = 0

    def power_on(self) -> None:
        """Forget the date."""
        self._power_us = self._clock.now_us()

    def boot(self) -> None:
        """Count the ticks from here on."""
        self._boot_us = self._clock.now_us()

    def set_date(self, date_ms: int) -> None:
        """Take a date from the board, Unix milliseconds."""
        self._power_us = self._clock.now_us() - (date_ms - _POWER_ON_MS) * 1000

    def sleep_until_us(self, duration_ms: int) -> int:
        """Return when a deep sleep ends that the board takes to be so long."""
        # Its RC oscillator counts the duration, and the time of day goes by it meanwhile.
        counted_us = duration_ms * 1000
        duration_us = counted_us * _MILLION // (_MILLION + self._hardware.sleep_ppm)
        self._power_us -= counted_us - duration_us
        return self._clock.now_us() + duration_us

    def rest_until_us(self, limit_ms: int) -> int:
        """Return when a wait ends that the board takes to be so long."""
        pace = _MILLION + self._hardware.crystal_ppm
        return self._clock.now_us() + limit_ms * 1000 * _MILLION // pace

    def offsets_ms(self) -> tuple[int, int]:
        """Return what the board adds to its monotonic clock for ticks, and to its date."""
        uptime_us = self._clock.now_us() - self._boot_us
        since_boot_us = self._clock.offset_us - self._boot_us
        # What its crystal gains is told as offset.
        gained_us = uptime_us * self._hardware.crystal_ppm // _MILLION
        ticks_offset = ((since_boot_us + gained_us) // 1000) % _TICKS_PERIOD
        powered_ms = (self._clock.now_us() - self._power_us) // 1000
        return ticks_offset, powered_ms - time.time_ns() // _MILLION
