"""Driver for the Plantower PMS5003: particulate matter.

Data manual V2.3 (June 2016), pages 5 and 6 and appendices I and II.
"""

import asyncio

from micropython import const

from feltpost.sensor import NotReady
from feltpost.uart_sensor import UartSensor

# Appendix II. Passive: it measures all the time, and sends when it is asked.
_SLEEP = const(b"\x42\x4d\xe4\x00\x00\x01\x73")
_WAKE = const(b"\x42\x4d\xe4\x00\x01\x01\x74")
_PASSIVE = const(b"\x42\x4d\xe1\x00\x00\x01\x70")
_READ = const(b"\x42\x4d\xe2\x00\x00\x01\x71")

# Appendix I: header, length of what follows, 13 words, sum of all bytes before.
_HEADER = const(b"\x42\x4d\x00\x1c")
_SUM_AT = const(30)
# Data 4 to 6, concentrations "under atmospheric environment".
_PM1_AT = const(10)

# Page 6: stable data 30 seconds after it was woken, because of the fan. It takes no command in the
# first of them.
_WAKE_MS = const(1_000)
_STABLE_MS = const(29_100)


class Pms5003(UartSensor):
    """A PMS5003 that is awake for a sample, and asleep, laser and fan off, in a long pause."""

    NAME = "pms5003"
    # Page 3: laser and fan have a mean of three years to failure, awake. Sampled every five minutes
    # it is awake for half a minute of them. In a shorter pause the fan would hardly stop.
    STOP_FROM_MS = const(120_000)
    UNITS = {"pm1": "ug/m3", "pm25": "ug/m3", "pm10": "ug/m3"}
    CHANNELS = (("pm1", 0), ("pm25", 0), ("pm10", 0))
    FRAME_BYTES = const(32)
    # Page 3: a single response takes less than a second; the frame, 33 ms.
    FRAME_MS = const(1_100)

    async def start(self):
        """Wake it, let it send when asked only, and wait until its values are stable."""
        self.send(_WAKE)
        await asyncio.sleep_ms(_WAKE_MS)
        self.send(_PASSIVE)
        await asyncio.sleep_ms(_STABLE_MS)
        # It has acknowledged, and sent a few frames before.
        self.discard()

    async def sample(self, values):
        """Ask for the latest values; fill `values` with PM1, PM2.5 and PM10 (µg/m³)."""
        if self.discard():
            raise self.error(NotReady, "sends unasked: it has lost power, and must warm up again")
        self.send(_READ)
        await self.receive()
        for i in range(3):
            values[i] = self._word(_PM1_AT + 2 * i)

    async def stop(self):
        """Let it sleep."""
        self.send(_SLEEP)

    def is_whole(self):
        """Tell whether `frame` has header and checksum."""
        total = 0
        for i in range(_SUM_AT):
            total += self.frame[i]
        for i, byte in enumerate(_HEADER):
            if self.frame[i] != byte:
                return False
        return self._word(_SUM_AT) == total

    def _word(self, at):
        return self.frame[at] << 8 | self.frame[at + 1]
