"""Samples one sensor as its channels ask for, and puts what comes of it into the journal."""

import asyncio
import time

from .sensor import SensorError


class Sampler:
    """One sensor, the channels kept of it, and the task that reads it.

    channels: by index into the driver's values, a channel.Channel or None.
    """

    def __init__(self, name, sensor, channels, journal, clock, log):
        self._name = name
        self._sensor = sensor
        self._channels = channels
        self._journal = journal
        self._clock = clock
        self._log = log
        self._values = [0] * len(sensor.CHANNELS)
        # By the same index: the ticks at which the channel wants its next sample.
        self._due_ms = [time.ticks_ms()] * len(channels)
        self._fault = None

    async def run(self, appended):
        """Sample for ever; set the event ``appended`` whenever readings were journalled.

        A sensor that fails is started anew when it is due next: the others have tasks of their own
        and go on.
        """
        started = False
        while True:
            due = self._due()
            try:
                if due and not started:
                    await self._sensor.start()
                    started = True
                while due:
                    await self._sensor.sample(self._values)
                    if self._take(due):
                        appended.set()
                    self._clear()
            except SensorError as error:
                started = False
                self._report(error)
                for i in due:
                    self._channels[i].forget()
                    self._plan(i)
            await asyncio.sleep_ms(self._wait_ms())

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

    def _wait_ms(self):
        now_ms = time.ticks_ms()
        waits_ms = [
            time.ticks_diff(self._due_ms[i], now_ms)
            for i, channel in enumerate(self._channels)
            if channel
        ]
        return max(0, min(waits_ms))

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
