"""Readings of the node itself, sampled like those of a sensor."""

import gc


class Health:
    """A sensor, as far as sampling goes (sensor.Sensor), that can't fail.

    Its sampler keeps the uptime, and has no other channel: what is taken with it goes straight into
    the journal, as seven channels with states of their own would take heap for nothing. numbers:
    those of freeHeap, rssi, journalFill, readingsLost, retries and resetCause among the node's
    channels. journal: a journal.Journal. uplink: has the counts ``lost`` and ``retries``. cause:
    machine.reset_cause(), None where there is no restart to tell of. rssi: called for the signal
    strength in dBm, None where there is none.
    """

    CHANNELS = (("uptime", 0),)
    STOP_FROM_MS = 0

    def __init__(self, numbers, clock, journal, uplink, cause, rssi):
        self._numbers = bytes(numbers)
        self._clock = clock
        self._journal = journal
        self._uplink = uplink
        self._cause = cause
        self._rssi = rssi

    async def start(self):
        """There is nothing to start."""

    async def stop(self):
        """There is nothing to stop."""

    async def sample(self, values):
        """Fill values; of the others, what there is nothing to tell about just now is left out."""
        gc.collect()
        uptime_ms = self._clock.uptime_ms()
        journal = self._journal
        others = (
            gc.mem_free(),
            self._rssi(),
            # What a journal keeps before the oldest go, it may exceed until they do.
            min(100, len(journal) * 100 // journal.capacity),
            self._uplink.lost,
            self._uplink.retries,
            self._cause,
        )
        # Told once: it is the same until the next boot.
        self._cause = None
        for i, value in enumerate(others):
            if value is not None:
                journal.append(self._numbers[i], value, 0, uptime_ms)
        values[0] = uptime_ms // 1000
