"""The clock of a node that sleeps: uptime over deep sleeps, and times by an RC oscillator."""

import sys


class Time:
    # Stands where the time module stands. What the chip counts, and what time it really is.
    counted_ms = 77_000_000
    true_ms = 1_795_000_000_000

    def ticks_ms(self):
        # They start anew with each wake.
        return 635

    def time_ns(self):
        return self.counted_ms * 1_000_000

    def pass_ms(self, duration_ms, ppm=0):
        self.true_ms += duration_ms
        self.counted_ms += duration_ms + duration_ms * ppm // 1_000_000


now = Time()
sys.modules["time"] = now

import check  # noqa: E402
from feltpost.clock_sleep import SleepClock  # noqa: E402

HOUR_MS = 3_600_000
ROUND_TRIP_MS = 40


def contact(clock, step_ms=0):
    now.pass_ms(ROUND_TRIP_MS)
    return clock.set(now.true_ms + step_ms - ROUND_TRIP_MS // 2, ROUND_TRIP_MS)


def days(clock, count, ppm, every_ms=HOUR_MS, step_ms=0):
    """Sample a quarter, send each interval; return clock and by how much times were off, ms."""
    off_ms = []
    for _ in range(count * 24 * HOUR_MS // every_ms):
        sampled = []
        for _ in range(4):
            now.pass_ms(every_ms // 4, ppm)
            clock = SleepClock(clock.state())
            sampled.append((clock.uptime_ms(), now.true_ms))
        contact(clock, step_ms)
        off_ms += [abs(clock.unix_s(at) * 1000 - true - step_ms) for at, true in sampled]
    return clock, off_ms


def test_uptime_goes_on_through_sleeps_and_begins_anew_with_a_boot():
    clock = SleepClock()
    now.pass_ms(60_000)
    for hour in range(48):
        clock = SleepClock(clock.state())
        check.equal(clock.uptime_ms(), 60_000 + hour * HOUR_MS)
        now.pass_ms(HOUR_MS)
    check.equal(SleepClock().uptime_ms(), 0)


def test_what_is_not_known_is_not_known_after_a_sleep():
    clock = SleepClock(SleepClock().state())
    check.equal(clock.is_set(), False)
    now.pass_ms(HOUR_MS)
    at_ms = clock.uptime_ms()
    check.equal(contact(clock), None)
    clock = SleepClock(clock.state())
    check.equal(clock.is_set(), True)
    check.equal(clock.marks(at_ms), 1)
    now.pass_ms(1)
    check.equal(clock.marks(clock.uptime_ms()), 0)


def test_readings_between_contacts_are_dated_by_how_the_oscillator_went():
    for ppm in (-30_000, -700, 0, 5_000, 30_000):
        clock = SleepClock()
        contact(clock)
        _, off_ms = days(clock, 3, ppm)
        # Seconds are cut off.
        check.equal(max(off_ms) <= 1_200, True, (ppm, max(off_ms)))


def test_an_outage_is_dated_as_well_once_the_gateway_is_back():
    for ppm in (-30_000, 30_000):
        clock = SleepClock()
        contact(clock)
        clock, _ = days(clock, 1, ppm)
        _, off_ms = days(clock, 3, ppm, every_ms=24 * HOUR_MS)
        check.equal(max(off_ms) <= 1_200, True, (ppm, max(off_ms)))


def test_the_oscillator_may_change_from_one_interval_to_the_next():
    clock = SleepClock()
    contact(clock)
    for ppm in (0, 2_000, 5_000, 8_000, 6_000):
        # For 20 and 21 hours: no pace ends with a day.
        clock, off_ms = days(clock, 1, ppm, every_ms=5 * HOUR_MS)
        check.equal(max(off_ms) <= 1_200, True, (ppm, max(off_ms)))
        clock, off_ms = days(clock, 1, ppm + 1_000, every_ms=7 * HOUR_MS)
        check.equal(max(off_ms) <= 1_200, True, (ppm, max(off_ms)))


def test_a_step_of_the_gateways_clock_is_followed_and_not_kept_as_drift():
    # One that can't be told from drift, and one that can: before and after drift is known.
    for known in (False, True):
        for step_ms in (40_000, 600_000, -40_000, -5_000_000):
            clock = SleepClock()
            contact(clock)
            if known:
                clock, _ = days(clock, 1, 3_000)
            clock, off_ms = days(clock, 1, 3_000, step_ms=step_ms)
            # Those of the interval in which it stepped can't be right by both.
            check.equal(max(off_ms[8:]) <= 1_200, True, (known, step_ms, max(off_ms[8:])))


def test_the_state_has_room_for_what_is_far_off():
    clock = SleepClock()
    now.pass_ms(50 * 365 * 24 * HOUR_MS)
    contact(clock)
    now.pass_ms(20 * 365 * 24 * HOUR_MS)
    contact(clock, -60_000)
    again = SleepClock(clock.state())
    check.equal(len(clock.state()) <= 64, True)
    check.equal(again.uptime_ms(), clock.uptime_ms())
    check.equal(again.offset_ms(), clock.offset_ms())


if __name__ == "__main__":
    check.main(globals())
