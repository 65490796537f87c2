"""Samples one sensor at its interval and puts what it measured into the journal."""

import asyncio
import time

from .sensor import SensorError


class Sampler:
    """One sensor, the channels kept of it, and the task that reads it.

    channels: pairs (index into the driver's values, index into the node's channels).
    """

    def __init__(self, name, sensor, channels, interval_ms, journal, clock, log):
        self._name = name
        self._sensor = sensor
        self._channels = channels
        self._interval_ms = interval_ms
        self._journal = journal
        self._clock = clock
        self._log = log
        self._values = [0] * len(sensor.CHANNELS)
        self._fault = None

    async def run(self, appended):
        """Sample for ever; set the event ``appended`` whenever readings were journalled.

        A sensor that fails is started anew at the next interval: the others have tasks of their
        own and go on.
        """
        started = False
        due_ms = time.ticks_ms()
        while True:
            try:
                if not started:
                    await self._sensor.start()
                    started = True
                await self._sensor.sample(self._values)
                self._keep()
                appended.set()
                self._clear()
            except SensorError as error:
                started = False
                self._report(error)
            due_ms = time.ticks_add(due_ms, self._interval_ms)
            wait_ms = time.ticks_diff(due_ms, time.ticks_ms())
            if wait_ms < 0:
                # A sample took longer than the interval: skip ahead rather than run behind.
                due_ms = time.ticks_ms()
                wait_ms = 0
            await asyncio.sleep_ms(wait_ms)

    def _keep(self):
        uptime_ms = self._clock.uptime_ms()
        for i, channel in self._channels:
            digits = self._sensor.CHANNELS[i][1]
            self._journal.append(channel, self._values[i], digits, uptime_ms)

    def _report(self, error):
        # Once when it begins, once when it changes: a broken sensor must not flood the log.
        fault = str(error)
        if fault != self._fault:
            self._log("{}: {}", self._name, fault)
            self._fault = fault

    def _clear(self):
        if self._fault:
            self._log("{}: answers again", self._name)
            self._fault = None
