"""Samples one sensor as its channels ask for, and puts what comes of it into the journal."""

import asyncio

from micropython import const

from .sensor import SensorError
from .watchdog import UNWATCHED

# A sensor that fails is tried again soon, so that a disturbance costs no reading, and then ever
# less often.
_RETRY_FIRST_MS = const(1_000)
_RETRY_MOST_MS = const(300_000)

# All samples that make one value are taken within this, the slowest sensor's many times over.
_ROUND_MS = const(600_000)

# Of its interval, a sample may be so much early and stand for the one that is due.
_EARLY_SHIFT = const(4)


class Sampler:
    """One sensor, the channels kept of it, and the task that reads it.

    channels: by index into the driver's values, a channel.Channel or None. fault: the number of the
    channel that tells of the sensor's faults. ``retry_most_ms``: the longest pause before a sensor
    that failed is tried again out of turn.
    """

    # Of the class until it differs, and takes no heap till then. What was told of the sensor: the
    # code of its fault, and how often it failed in a row.
    _code = 0
    _failures = 0
    _started = False
    retry_most_ms = _RETRY_MOST_MS

    def __init__(self, name, sensor, channels, fault, journal, clock, log):
        self.name = name
        self._sensor = sensor
        self._channels = channels
        self._journal = journal
        self._clock = clock
        self._log = log
        self._values = [0] * len(sensor.CHANNELS)
        # By the same index: the uptime at which the channel wants its next sample.
        self._due_ms = [clock.uptime_ms()] * len(channels)
        self._fault = fault

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
        dues_ms = [self._due_ms[i] for i, channel in enumerate(self._channels) if channel]
        return min(dues_ms) - self._clock.uptime_ms()

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

    def _due(self):
        # Which channels want a sample now.
        now_ms = self._clock.uptime_ms()
        return [
            i for i, channel in enumerate(self._channels) if channel and self._due_ms[i] <= now_ms
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
                self._plan(i, uptime_ms)
                continue
            if channel.add(self._values[i]):
                due.remove(i)
                if channel.accept(uptime_ms):
                    form = self._sensor.CHANNELS[i][1] | channel.marks << 4
                    self._journal.append(channel.index, channel.value, form, uptime_ms)
                    kept = True
                self._plan(i, uptime_ms)
        return kept

    def _plan(self, i, now_ms):
        # The next multiple of the interval after it was due, in uptime: so intervals don't stretch,
        # and channels are sampled together again after one had a fault or was followed faster.
        # Unless it is late by more than one interval, which is then left out.
        interval_ms = self._channels[i].interval_ms()
        # A timer may have been a little early.
        due_ms = self._due_ms[i] + (interval_ms >> _EARLY_SHIFT)
        self._due_ms[i] = max(now_ms, due_ms - due_ms % interval_ms + interval_ms)

    def _put_off(self):
        # All channels of the sensor: what one of them can't have the others can't either.
        pause_ms = min(_RETRY_FIRST_MS << min(self._failures, 10), _RETRY_MOST_MS)
        self._failures += 1
        now_ms = self._clock.uptime_ms()
        again_ms = now_ms + pause_ms
        for i, channel in enumerate(self._channels):
            if channel:
                channel.forget()
                if self._due_ms[i] >= again_ms:
                    continue
                if pause_ms > self.retry_most_ms:
                    # There is nothing to follow at a fast interval.
                    channel.calm()
                    self._plan(i, now_ms)
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
