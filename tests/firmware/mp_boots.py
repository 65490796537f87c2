"""Boots: what counts as a bad one, and when safe mode begins and ends."""

import asyncio

import check
from fake_board import Memory, Reset, machine
from feltpost.boots import Boots


def hard_resets(memory, count):
    for _ in range(count):
        boots = Boots(memory, machine.HARD_RESET)
    return boots


def run(boots):
    """Run the task that judges the boot; return how long it waited, ms."""
    waits_ms = []

    async def sleep_ms(duration_ms):
        waits_ms.append(duration_ms)

    real, asyncio.sleep_ms = asyncio.sleep_ms, sleep_ms
    try:
        asyncio.run(boots.run())
    except Reset:
        waits_ms.append("reset")
    finally:
        asyncio.sleep_ms = real
    return waits_ms


def test_ten_bad_boots_in_a_row_lead_to_safe_mode():
    memory = Memory()
    check.equal(hard_resets(memory, 10).safe, False)
    check.equal(hard_resets(memory, 1).safe, True)
    check.equal(hard_resets(memory, 1).safe, True, "and it stays")


def test_a_boot_that_was_reported_is_a_good_one():
    memory = Memory()
    hard_resets(memory, 10).reported()
    check.equal(hard_resets(memory, 10).safe, False)


def test_a_boot_that_lasts_is_a_good_one_whether_anybody_answers_or_not():
    memory = Memory()
    check.equal(run(hard_resets(memory, 10)), [300_000])
    check.equal(hard_resets(memory, 10).safe, False)


def test_a_watchdog_reset_counts_as_a_crash_does():
    memory = Memory()
    for _ in range(10):
        Boots(memory, machine.WDT_RESET)
    check.equal(hard_resets(memory, 1).safe, True)


def test_safe_mode_ends_after_an_hour_with_one_attempt():
    memory = Memory()
    boots = hard_resets(memory, 11)
    check.equal(run(boots), [3_600_000, "reset"])
    check.equal(hard_resets(memory, 1).safe, False)
    check.equal(hard_resets(memory, 1).safe, True, "the attempt failed")
    run(hard_resets(memory, 1))
    hard_resets(memory, 1).reported()
    check.equal(hard_resets(memory, 10).safe, False, "the attempt succeeded")


def test_what_happens_in_safe_mode_makes_no_good_boot():
    memory = Memory()
    hard_resets(memory, 11).reported()
    check.equal(hard_resets(memory, 1).safe, True)


def test_a_technician_and_a_power_cycle_end_it():
    memory = Memory()
    hard_resets(memory, 11)
    check.equal(Boots(memory, machine.SOFT_RESET).safe, False)
    hard_resets(memory, 11).forgive()
    check.equal(hard_resets(memory, 1).safe, False)
    hard_resets(memory, 11)
    check.equal(Boots(Memory(), machine.PWRON_RESET).safe, False)


def test_a_wake_from_deep_sleep_is_no_boot():
    memory = Memory()
    hard_resets(memory, 5)
    for _ in range(20):
        check.equal(Boots(memory, machine.DEEPSLEEP_RESET).safe, False)
    check.equal(Boots(memory, machine.DEEPSLEEP_RESET).bad, 5)


def test_a_wake_from_deep_sleep_is_the_attempt_after_safe_mode():
    memory = Memory()
    check.equal(hard_resets(memory, 11).safe, True)
    check.equal(Boots(memory, machine.DEEPSLEEP_RESET).safe, False)
    check.equal(hard_resets(memory, 1).safe, True, "it failed")


def test_counts_stop_at_what_the_memory_holds():
    memory = Memory()
    boots = hard_resets(memory, 300)
    for _ in range(300):
        boots.count_crash()
    again = hard_resets(memory, 1)
    check.equal((again.bad, again.crashes), (255, 255))


if __name__ == "__main__":
    check.main(globals())
