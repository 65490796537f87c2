"""The clock: uptime over the wrap of ticks, and time from answers of different quality."""

import sys


class Ticks:
    # Stands where the time module stands, so that hours pass at once; wraps as the ESP32's does.
    PERIOD = 1 << 30

    def __init__(self):
        self.now_ms = self.PERIOD - 5_000

    def ticks_ms(self):
        return self.now_ms % self.PERIOD

    def ticks_diff(self, end, start):
        half = self.PERIOD // 2
        return (end - start + half) % self.PERIOD - half


ticks = Ticks()
sys.modules["time"] = ticks

import check  # noqa: E402
from feltpost.clock import Clock  # noqa: E402

NOON_MS = 1_795_000_000_000


def test_uptime_goes_on_over_the_wrap_of_ticks():
    clock = Clock()
    for _ in range(100):
        ticks.now_ms += 86_400_000
        clock.uptime_ms()
    check.equal(clock.uptime_ms(), 100 * 86_400_000)


def test_readings_from_before_the_first_contact_get_their_time():
    clock = Clock()
    ticks.now_ms += 60_000
    sampled_ms = clock.uptime_ms()
    ticks.now_ms += 3_600_000
    check.equal(clock.is_set(), False)
    check.equal(clock.set(NOON_MS, 20), None)
    check.equal(clock.is_set(), True)
    check.equal(clock.unix_s(sampled_ms), NOON_MS // 1000 - 3600)
    check.equal(clock.unix_s(sampled_ms + 900), NOON_MS // 1000 - 3600, "cut off, not rounded")


def test_the_answer_is_taken_to_be_written_half_way():
    clock = Clock()
    clock.set(NOON_MS, 3_000)
    check.equal(clock.unix_s(clock.uptime_ms() - 1_500), NOON_MS // 1000)
    check.equal(clock.error_ms(), 1_500)


def test_a_prompt_answer_corrects_a_late_one_and_not_the_other_way():
    clock = Clock()
    clock.set(NOON_MS, 3_000)
    check.equal(clock.set(NOON_MS, 10), -1_495)
    check.equal(clock.set(NOON_MS, 3_000), 0)
    check.equal(clock.unix_s(clock.uptime_ms()), NOON_MS // 1000)


def test_an_answer_late_on_one_side_is_not_taken_for_a_step():
    # A gateway that was away answers the last transmission of many, or its answer is the last that
    # gets through; clocks that tell whole milliseconds put it beyond half the round trip.
    for written_ms in (0, 18_701):
        for rounding_ms in (-2, 2):
            clock = Clock()
            clock.set(NOON_MS, 0)
            ticks.now_ms += 18_701
            moved_ms = clock.set(NOON_MS + written_ms + rounding_ms, 18_701)
            check.equal(moved_ms, 0, f"{written_ms} {rounding_ms}")


def test_a_step_of_the_gateways_clock_is_followed():
    clock = Clock()
    clock.set(NOON_MS, 10)
    check.equal(clock.set(NOON_MS + 5_000, 10), 5_000)
    check.equal(clock.set(NOON_MS - 86_400_000, 4_000), -86_400_000 - 5_000 + 1_995)


def test_the_error_grows_with_drift():
    clock = Clock()
    clock.set(NOON_MS, 10)
    ticks.now_ms += 86_400_000
    check.equal(clock.error_ms(), 5 + (86_400_000 >> 14))


def drifting(ppm, contacts, every_ms, first_late_ms=0):
    """A clock whose crystal is that much too slow, after contacts; and the true time now.

    The first answer was written at once and came so late.
    """
    clock = Clock()
    start_ms = ticks.now_ms
    late_ms = first_late_ms
    for contact in range(contacts):
        passed_ms = contact * every_ms
        ticks.now_ms = start_ms + passed_ms - passed_ms * ppm // 1_000_000
        # A few milliseconds of round trip, another each time.
        there_ms = 5 + contact % 3
        clock.set(NOON_MS + passed_ms - there_ms - late_ms, 2 * there_ms + late_ms)
        late_ms = 0
    return clock, NOON_MS + passed_ms


def test_drift_is_measured_and_corrected_over_an_outage():
    for ppm in (-40, -7, 0, 12, 40):
        for contacts, every_ms in ((200, 60_000), (30, 900_000)):
            clock, true_ms = drifting(ppm, contacts, every_ms)
            # Five days without contact. Uncorrected, 40 ppm would make 17 s of it.
            ticks.now_ms += 432_000_000 - 432 * ppm
            true_ms += 432_000_000
            off_s = abs(clock.unix_s(clock.uptime_ms()) - true_ms // 1000)
            check.equal(off_s <= 3, True, (ppm, contacts, off_s))


def test_a_late_first_answer_is_not_taken_for_drift():
    # Half of three seconds, in the hour after which drift is measured, would be 417 ppm.
    for ppm in (-40, 0, 40):
        clock, true_ms = drifting(ppm, 200, 60_000, first_late_ms=3_000)
        ticks.now_ms += 86_400_000 - 86_400 * ppm // 1000
        true_ms += 86_400_000
        off_s = abs(clock.unix_s(clock.uptime_ms()) - true_ms // 1000)
        check.equal(off_s <= 1, True, (ppm, off_s))


def test_a_late_answer_after_days_of_silence_moves_none_of_their_readings():
    for late_ms in (4_000, -4_000):
        clock = Clock()
        clock.set(NOON_MS - 5, 10)
        began_ms = clock.uptime_ms()
        sampled_ms = []
        for _ in range(7):
            ticks.now_ms += 86_400_000
            sampled_ms.append(clock.uptime_ms())
        now_ms = NOON_MS + 7 * 86_400_000
        # The round trip took 8 s, all of it on one of the two ways.
        check.equal(clock.set(now_ms + late_ms - 4_000, 8_000), late_ms)
        ticks.now_ms += 60_000
        clock.set(now_ms + 60_000 - 5, 10)
        for uptime_ms in sampled_ms:
            true_ms = NOON_MS + uptime_ms - began_ms
            off_ms = clock.unix_s(uptime_ms + 500) * 1000 - true_ms
            check.equal(abs(off_ms) <= 500, True, off_ms)


def test_drift_is_not_measured_between_answers_that_are_too_late_for_it():
    clock = Clock()
    clock.set(NOON_MS - 3_000, 3_000)
    ticks.now_ms += 3_600_000
    # 700 ms less late than the one an hour ago, which is no drift of 194 ppm.
    clock.set(NOON_MS + 3_600_000 - 1_600, 1_600)
    ticks.now_ms += 86_400_000
    off_s = abs(clock.unix_s(clock.uptime_ms()) - NOON_MS // 1000 - 90_000)
    check.equal(off_s <= 1, True, off_s)


def test_a_step_of_the_gateways_clock_is_not_taken_for_drift():
    clock, true_ms = drifting(20, 100, 60_000)
    clock.set(true_ms + 30_000, 10)
    for _ in range(3):
        ticks.now_ms += 600_000 - 12
        true_ms += 600_000
        clock.set(true_ms + 30_000, 10)
    ticks.now_ms += 86_400_000 - 1_728
    true_ms += 86_400_000
    off_s = abs(clock.unix_s(clock.uptime_ms()) - (true_ms + 30_000) // 1000)
    check.equal(off_s <= 1, True, off_s)


def test_marks_tell_what_was_sampled_before_the_clock_was_set():
    clock = Clock()
    ticks.now_ms += 60_000
    before_ms = clock.uptime_ms()
    ticks.now_ms += 60_000
    clock.set(NOON_MS, 10)
    check.equal(clock.marks(before_ms), 1)
    check.equal(clock.marks(clock.uptime_ms()), 0)
    ticks.now_ms += 60_000
    clock.set(NOON_MS + 90_000, 10)
    check.equal(clock.marks(clock.uptime_ms()), 0)
    check.equal(clock.marks(before_ms), 1, "a later step makes no difference")


if __name__ == "__main__":
    check.main(globals())
