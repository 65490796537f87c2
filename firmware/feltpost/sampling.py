"""Samples one sensor as its channels ask for, and puts what comes of it into the journal."""

import asyncio
import struct
import time

from micropython import const

from .sensor import SensorError
from .watchdog import UNWATCHED

# A sensor that fails is tried again soon, so that a disturbance costs no reading, and then ever
# less often.
_RETRY_FIRST_MS = const(1_000)
_RETRY_MOST_MS = const(300_000)

# All samples that make one value are taken within this, the slowest sensor's many times over.
_ROUND_MS = const(600_000)

# What is kept through deep sleep: fault code and failures, then for each channel when it is due.
_STATE = "<BB"
_STATE_BYTES = const(2)
_DUE = "<i"
_DUE_BYTES = const(4)


class Sampler:
    """One sensor, the channels kept of it, and the task that reads it.

    channels: by index into the driver's values, a channel.Channel or None. fault: the number of the
    channel that tells of the sensor's faults. ``retry_most_ms``: the longest pause before a sensor
    that failed is tried again out of turn.
    """

    def __init__(self, name, sensor, channels, fault, journal, clock, log):
        self.name = name
        self._sensor = sensor
        self._channels = channels
        self._journal = journal
        self._clock = clock
        self._log = log
        self._values = [0] * len(sensor.CHANNELS)
        # By the same index: the ticks at which the channel wants its next sample.
        self._due_ms = [time.ticks_ms()] * len(channels)
        self._fault = fault
        self._started = False
        # What was told of the sensor: the code of its fault, and how often it failed in a row.
        self._code = 0
        self._failures = 0
        self.retry_most_ms = _RETRY_MOST_MS

    async def run(self, appended, word=UNWATCHED):
        """Sample for ever; set the event ``appended`` whenever readings were journalled.

        word: a watchdog.Word, to which the sampler keeps.
        """
        while True:
            word.within(_ROUND_MS)
            await self.round(appended)
            wait_ms = self.wait_ms()
            if self._sensor.STOP_FROM_MS and wait_ms >= self._sensor.STOP_FROM_MS:
                await self.stop()
            word.within(max(0, wait_ms) + _ROUND_MS)
            await asyncio.sleep_ms(max(0, wait_ms))

    async def round(self, appended):
        """Sample what is due.

        A sensor that fails is started anew after a pause: the others have tasks of their own and
        go on.
        """
        due = self._due()
        try:
            if due and not self._started:
                await self._sensor.start()
                self._started = True
            while due:
                await self._sensor.sample(self._values)
                if self._take(due):
                    appended.set()
                if self._failures:
                    self._failures = 0
                    self._tell(0, "answers again", appended)
        except SensorError as error:
            self._started = False
            self._tell(error.code, error, appended)
            self._put_off()
            self._sensor.recover()

    def wait_ms(self):
        """Return in how many milliseconds the next channel is due; below 0: so long ago."""
        now_ms = time.ticks_ms()
        waits_ms = [
            time.ticks_diff(self._due_ms[i], now_ms)
            for i, channel in enumerate(self._channels)
            if channel
        ]
        return min(waits_ms)

    def moving(self):
        """Tell whether a channel is followed at its fast interval."""
        return any(channel and channel.moving() for channel in self._channels)

    async def stop(self):
        """Bring the sensor to its lowest power."""
        if self._started:
            self._started = False
            try:
                await self._sensor.stop()
            except SensorError:
                # It will be noticed, and told, when the sensor is started again.
                pass

    def state(self):
        """Return what restore() needs after a deep sleep."""
        now_ms = time.ticks_ms()
        data = bytearray(struct.pack(_STATE, self._code, min(self._failures, 255)))
        for i, channel in enumerate(self._channels):
            if channel:
                data += struct.pack(_DUE, time.ticks_diff(self._due_ms[i], now_ms))
                data += channel.state()
        return data

    def restore(self, data, elapsed_ms):
        """Take over what state() gave so long ago, from the start of data; return the rest."""
        self._code, self._failures = struct.unpack_from(_STATE, data)
        data = data[_STATE_BYTES:]
        for i, channel in enumerate(self._channels):
            if channel:
                (wait_ms,) = struct.unpack_from(_DUE, data)
                self._due_ms[i] = time.ticks_add(time.ticks_ms(), wait_ms - elapsed_ms)
                data = channel.restore(data[_DUE_BYTES:])
        return data

    def _due(self):
        # Which channels want a sample now.
        now_ms = time.ticks_ms()
        return [
            i
            for i, channel in enumerate(self._channels)
            if channel and time.ticks_diff(self._due_ms[i], now_ms) <= 0
        ]

    def _take(self, due):
        # Give the channels that are due what was just measured; return whether a reading was kept.
        # A channel that has all its raw values is due no more.
        uptime_ms = self._clock.uptime_ms()
        kept = False
        for i in list(due):
            channel = self._channels[i]
            if self._values[i] is None:
                due.remove(i)
                self._plan(i)
                continue
            channel.add(self._values[i])
            if channel.full():
                due.remove(i)
                if channel.accept(uptime_ms):
                    form = self._sensor.CHANNELS[i][1] | channel.marks << 4
                    self._journal.append(channel.index, channel.value, form, uptime_ms)
                    kept = True
                self._plan(i)
        return kept

    def _plan(self, i):
        # From when it was due, not from now, so that intervals don't stretch; unless it is late by
        # more than one, which is then left out.
        now_ms = time.ticks_ms()
        due_ms = time.ticks_add(self._due_ms[i], self._channels[i].interval_ms())
        self._due_ms[i] = due_ms if time.ticks_diff(due_ms, now_ms) > 0 else now_ms

    def _put_off(self):
        # All channels of the sensor: what one of them can't have the others can't either.
        pause_ms = min(_RETRY_FIRST_MS << min(self._failures, 10), _RETRY_MOST_MS)
        self._failures += 1
        again_ms = time.ticks_add(time.ticks_ms(), pause_ms)
        for i, channel in enumerate(self._channels):
            if channel:
                channel.forget()
                if time.ticks_diff(self._due_ms[i], again_ms) >= 0:
                    continue
                if pause_ms > self.retry_most_ms:
                    # There is nothing to follow at a fast interval.
                    channel.calm()
                    self._plan(i)
                else:
                    self._due_ms[i] = again_ms

    def _tell(self, code, text, appended):
        # Once when a fault begins, changes, or ends: a broken sensor must not flood anything.
        if code == self._code:
            return
        self._code = code
        self._log("{}: {}", self.name, text)
        self._journal.append(self._fault, code, 0, self._clock.uptime_ms())
        appended.set()
