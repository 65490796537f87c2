"""One channel: what becomes of a sensor's raw values before they are readings.

Several raw values are reduced to one, calibrated, checked against what is plausible, and kept if
they changed enough or it has been long enough. All values are integers, in the last of the digits
that the driver keeps.
"""

from micropython import const

# Marks, docs/protocol.md.
IMPLAUSIBLE = const(4)

# A value that moved is followed at the fast interval until it has stood still for so many.
_CALM_SAMPLES = const(3)


def _mean(values):
    # Half up, as drivers round.
    return (2 * sum(values) + len(values)) // (2 * len(values))


def _median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) & 1 else _mean(ordered[middle - 1 : middle + 1])


REDUCTIONS: dict = {"mean": _mean, "median": _median, "min": min, "max": max}


class Settings:
    """How a channel treats its values; all but interval_ms may be left as they are.

    interval_ms: between two samples; fast_interval_ms and fast_change: the interval while
    successive samples differ by fast_change or more (0: never). samples, reduction: how many raw
    values make one, and by which of REDUCTIONS. deadband: a change below it is not kept unless
    heartbeat_ms are over (0: for ever). least, most: the plausible range, None for no bound.
    calibration: pairs (raw, true), none, one (an offset) or two (a line).
    """

    # Of the class, as most channels have them: one that sets none of them takes little heap.
    fast_change = 0
    samples = 1
    reduction = "mean"
    deadband = 0
    heartbeat_ms = 0
    least = None
    most = None
    calibration: tuple = ()

    def __init__(self, interval_ms):
        self.interval_ms = interval_ms
        self.fast_interval_ms = interval_ms


class Channel:
    """A channel's state between samples. index: its place among the node's channels."""

    # What only some settings need is of the class until then, and takes no heap.
    _last: "int | None" = None
    _kept: "int | None" = None
    _kept_ms = 0
    _calm = _CALM_SAMPLES
    # Raw values, where several make one.
    _raw: list = []
    # After accept(), the marks of the value to journal.
    marks = 0

    def __init__(self, index, settings):
        self.index = index
        self.settings = settings
        # After accept(), the value to journal.
        self.value = 0
        if settings.samples != 1:
            self._raw = []

    def add(self, raw):
        """Take one raw value in; return whether there are as many as make one, for accept()."""
        samples = self.settings.samples
        if samples == 1:
            self.value = raw
            return True
        self._raw.append(raw)
        return len(self._raw) >= samples

    def forget(self):
        """Drop raw values that did not become one: the sensor failed in between."""
        self._raw.clear()

    def calm(self):
        """Follow the value at its usual interval, until it is seen to move again."""
        self._calm = _CALM_SAMPLES

    def accept(self, uptime_ms):
        """Make one value of the raw ones; return whether it is to be kept as a reading."""
        settings = self.settings
        value = self.value
        if settings.samples != 1:
            value = REDUCTIONS[settings.reduction](self._raw)
        self.forget()
        value = _calibrated(value, settings.calibration)
        self._watch(value)
        self.value = value
        marks = 0
        if (settings.least is not None and value < settings.least) or (
            settings.most is not None and value > settings.most
        ):
            marks = IMPLAUSIBLE
        if marks != self.marks:
            self.marks = marks
        if settings.deadband:
            if self._kept is not None and abs(value - self._kept) < settings.deadband:
                silent_ms = uptime_ms - self._kept_ms
                if not settings.heartbeat_ms or silent_ms < settings.heartbeat_ms:
                    return False
            self._kept = value
            self._kept_ms = uptime_ms
        return True

    def interval_ms(self):
        """Return how long until the next sample."""
        return self.settings.fast_interval_ms if self.moving() else self.settings.interval_ms

    def moving(self):
        """Tell whether the value moved of late."""
        return self._calm < _CALM_SAMPLES

    def _watch(self, value):
        change = self.settings.fast_change
        if change:
            if self._last is not None:
                moved = abs(value - self._last) >= change
                self._calm = 0 if moved else min(self._calm + 1, _CALM_SAMPLES)
            self._last = value


def _calibrated(value, points):
    if not points:
        return value
    raw, true = points[0]
    if len(points) == 1:
        return value + true - raw
    span = points[1][0] - raw
    rise = points[1][1] - true
    if span < 0:
        span = -span
        rise = -rise
    return true + (2 * (value - raw) * rise + span) // (2 * span)
