"""What a node on a battery does while it is awake: sample, journal, send when it is time, sleep.

Everything that has to outlast a deep sleep goes into RTC memory before it. The radio is on only
while there is something to send: when the send interval is over, or while a value moves. A gateway
that does not answer is tried ever less often, and never a reason to stay awake.
"""

import asyncio
import random
import struct

import machine
from micropython import const

from . import sampling_sleep
from .retained import CHANNELS, CLOCK, WAKE

# A sleep that is shorter than this costs more than it saves: booting takes some 0.6 s.
_SLEEP_LEAST_MS = const(5_000)
# A sensor that failed is tried again out of turn while the node would be awake anyway.
_RETRY_MOST_MS = const(2_000)
# After a boot that isn't a wake, of which uptime goes on, a technician may want the prompt.
_GRACE_MS = const(15_000)
# A pause grows by doubling from one send interval.
_PAUSE_MOST_MS = const(21_600_000)
# Sending may be so much of its interval early: with samples that are taken, not by a wake of its
# own right after.
_EARLY_SHIFT = const(4)
# All samples of a round are taken within this, the slowest sensor's many times over.
_ROUND_MS = const(600_000)

# when to send next (uptime in ms: high, low), failures in a row, whether the report is delivered,
# when all this was written (uptime), readings lost and retries since boot, in how many answers word
# of mail is passed over; the links' state follows
_WAKE = "<HIBBHIIIB"
_WAKE_BYTES = const(23)
# Of RTC memory's section for channels.
_CHANNELS_BYTES = const(464)


class Battery:
    """Lives from one deep sleep to the next. The arguments are the node's own parts."""

    def __init__(self, samplers, uplink, links, clock, retained, boots, send_interval_ms):
        self._samplers = samplers
        self._uplink = uplink
        self._links = links
        self._clock = clock
        self._retained = retained
        self._boots = boots
        self._send_interval_ms = send_interval_ms
        self._send_at_ms = 0
        self._failures = 0
        for sampler in samplers:
            sampler.retry_most_ms = _RETRY_MOST_MS

    def resume(self):
        """Take over what was kept when the node went to sleep; the section WAKE must be there."""
        uplink = self._uplink
        data = self._retained.get(WAKE)
        high, low, self._failures, reported, slept_high, slept_low, *counts = struct.unpack_from(
            _WAKE, data
        )
        uplink.lost, uplink.retries, uplink.mail_rest = counts
        self._send_at_ms = high << 32 | low
        elapsed_ms = self._clock.uptime_ms() - (slept_high << 32 | slept_low)
        if reported:
            uplink.report = None
        self._links.restore(data[_WAKE_BYTES:], elapsed_ms)
        channels = self._retained.get(CHANNELS)
        for sampler in self._samplers:
            if not channels:
                break
            channels = sampling_sleep.restore(sampler, channels, elapsed_ms)

    async def run(self, word):
        """Do what is due, and go to deep sleep. word: a watchdog.Word."""
        appended = asyncio.Event()
        while True:
            word.within(_ROUND_MS)
            await asyncio.gather(*[sampler.round(appended) for sampler in self._samplers])
            if self._is_time():
                await self._send(word)
            sleep_ms = self._sleep_ms()
            grace_ms = _GRACE_MS - self._clock.uptime_ms()
            if sleep_ms > _SLEEP_LEAST_MS and grace_ms <= 0:
                break
            word.resting()
            await asyncio.sleep_ms(min(sleep_ms, grace_ms) if grace_ms > 0 else sleep_ms)
        for sampler in self._samplers:
            await sampler.stop()
        self._links.sleep()
        self._keep()
        if not self._boots.safe:
            # A boot that comes so far is a good one.
            self._boots.forgive()
        machine.deepsleep(max(1, self._sleep_ms()))

    def _is_time(self):
        if not self._uplink.waiting():
            return False
        early_ms = self._send_interval_ms >> _EARLY_SHIFT
        if self._clock.uptime_ms() + early_ms >= self._send_at_ms:
            return True
        return not self._failures and any(sampler.moving() for sampler in self._samplers)

    async def _send(self, word):
        pause_ms = await self._uplink.flush(word, self._is_due)
        now_ms = self._clock.uptime_ms()
        if pause_ms:
            interval_ms = self._send_interval_ms
            wait_ms = min(interval_ms << min(self._failures, 10), _PAUSE_MOST_MS)
            wait_ms = max(wait_ms, interval_ms)
            # Not all nodes of a gateway that was away at the same moment.
            wait_ms -= random.randint(0, wait_ms // 4)
            self._send_at_ms = now_ms + max(wait_ms, pause_ms)
            self._failures = min(self._failures + 1, 255)
        else:
            self._failures = 0
            # With a long backlog samples come due meanwhile; the rest follows after them.
            self._send_at_ms = now_ms
            if self._uplink.waiting():
                return
            self._send_at_ms += self._send_interval_ms
        self._links.sleep()

    def _is_due(self):
        # Tell whether a sample is due.
        return any(sampler.wait_ms() <= 0 for sampler in self._samplers)

    def _sleep_ms(self):
        waits_ms = [sampler.wait_ms() for sampler in self._samplers]
        if self._uplink.waiting():
            waits_ms.append(self._send_at_ms - self._clock.uptime_ms())
        return max(0, min(waits_ms)) if waits_ms else self._send_interval_ms

    def _keep(self):
        now_ms = self._clock.uptime_ms()
        uplink = self._uplink
        head = struct.pack(
            _WAKE,
            self._send_at_ms >> 32,
            self._send_at_ms & 0xFFFFFFFF,
            self._failures,
            uplink.report is None,
            now_ms >> 32,
            now_ms & 0xFFFFFFFF,
            uplink.lost,
            uplink.retries + self._links.client.retransmissions,
            uplink.mail_rest,
        )
        self._retained.put(WAKE, head + self._links.state())
        self._retained.put(CLOCK, self._clock.state())
        channels = b""
        for sampler in self._samplers:
            state = sampling_sleep.state(sampler)
            if len(channels) + len(state) > _CHANNELS_BYTES:
                # Those that don't fit are sampled at every wake.
                break
            channels += state
        self._retained.put(CHANNELS, channels)
