"""Readings of the node itself, sampled like those of a sensor."""

import gc


class Health:
    """A sensor, as far as sampling goes (sensor.Sensor), that can't fail.

    journal: has a length and a ``capacity``. uplink: has the counts ``lost`` and ``retries``.
    cause: machine.reset_cause(). rssi: called for the signal strength in dBm, None where there is
    none; or None for a node without Wi-Fi.
    """

    CHANNELS = (
        ("uptime", 0),
        ("freeHeap", 0),
        ("rssi", 0),
        ("journalFill", 0),
        ("readingsLost", 0),
        ("retries", 0),
        ("resetCause", 0),
    )
    # By the same index: the metrics have no short name on the wire, and so aren't in metrics.py.
    UNITS = ("s", "B", "dBm", "%", "count", "count", "/")
    STOP_FROM_MS = 0

    def __init__(self, clock, journal, uplink, cause, rssi=None):
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
        """Fill values; None stands for what there is nothing to tell about just now."""
        gc.collect()
        values[:] = (
            self._clock.uptime_ms() // 1000,
            gc.mem_free(),
            self._rssi() if self._rssi else None,
            len(self._journal) * 100 // self._journal.capacity,
            self._uplink.lost,
            self._uplink.retries,
            self._cause,
        )
        # Told once: it is the same until the next boot.
        self._cause = None
