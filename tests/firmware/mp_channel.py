"""Channels: reduction, calibration, plausible range, deadband and heartbeat, faster sampling."""

import check
from feltpost.channel import IMPLAUSIBLE, Channel, Settings

MINUTE_MS = 60_000


def channel(**changes):
    settings = Settings(15 * MINUTE_MS)
    for name, value in changes.items():
        setattr(settings, name, value)
    return Channel(0, settings)


def one(made, *raw, uptime_ms=0):
    """Give the channel raw values; return (kept, value, marks)."""
    for i, value in enumerate(raw):
        check.equal(made.add(value), i == len(raw) - 1)
    kept = made.accept(uptime_ms)
    return kept, made.value, made.marks


def test_reductions():
    raw = (5, 100, 7, -3, 6)
    for reduction, expected in (("mean", 23), ("median", 6), ("min", -3), ("max", 100)):
        made = channel(samples=5, reduction=reduction)
        check.equal(one(made, *raw), (True, expected, 0), reduction)
    check.equal(one(channel(samples=4, reduction="median"), 1, 2, 3, 10)[1], 3, "half up")
    check.equal(one(channel(samples=2), -1, -2)[1], -1, "half up, also below zero")


def test_raw_values_of_a_failed_round_are_forgotten():
    made = channel(samples=2)
    made.add(1000)
    made.forget()
    check.equal(one(made, 10, 20)[1], 15)


def test_calibration():
    check.equal(one(channel(calibration=((100, 130),)), 90)[1], 120, "an offset")
    line = channel(calibration=((0, 10), (1000, 2010)))
    for raw, true in ((0, 10), (1000, 2010), (500, 1010), (-100, -190), (1, 12)):
        check.equal(one(line, raw)[1], true, raw)
    falling = channel(calibration=((1000, 0), (0, 100)))
    for raw, true in ((1000, 0), (0, 100), (250, 75), (996, 0), (995, 1)):
        check.equal(one(falling, raw)[1], true, raw)


def test_what_is_implausible_is_marked_and_kept():
    made = channel(least=-40, most=60)
    for raw in (-40, 0, 60):
        check.equal(one(made, raw), (True, raw, 0))
    for raw in (-41, 61, 10_000):
        check.equal(one(made, raw), (True, raw, IMPLAUSIBLE))


def test_deadband_is_measured_from_what_was_kept_last():
    made = channel(deadband=10)
    kept = [one(made, raw)[0] for raw in (100, 109, 91, 110, 105, 101, 100)]
    check.equal(kept, [True, False, False, True, False, False, True])


def test_heartbeat():
    made = channel(deadband=10, heartbeat_ms=60 * MINUTE_MS)
    minutes = (0, 15, 30, 45, 60, 75, 119, 120)
    kept = [one(made, 50, uptime_ms=minute * MINUTE_MS)[0] for minute in minutes]
    check.equal(kept, [True, False, False, False, True, False, False, True])


def test_faster_while_it_moves():
    made = channel(fast_interval_ms=MINUTE_MS, fast_change=5)
    intervals = []
    for raw in (0, 4, 8, 13, 14, 15, 16, 17, 10):
        one(made, raw)
        intervals.append(made.interval_ms() // MINUTE_MS)
    check.equal(intervals, [15, 15, 15, 1, 1, 1, 15, 15, 1])


if __name__ == "__main__":
    check.main(globals())
