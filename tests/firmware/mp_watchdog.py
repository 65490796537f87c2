"""The task watchdog: fed while every task keeps its word, and never because nobody answers."""

import asyncio

import fake_time

clock_time = fake_time.install()

import check  # noqa: E402
from fake_board import Memory, file_system, machine  # noqa: E402
from feltpost import crash  # noqa: E402
from feltpost.boots import Boots  # noqa: E402
from feltpost.log import Log  # noqa: E402
from feltpost.watchdog import Watchdog  # noqa: E402

HOUR_MS = 3_600_000


class Stop(Exception):
    pass


class Node:
    """A watchdog; run() lets time pass, and returns whether it was fed to the end."""

    def __init__(self):
        file_system()
        self.lines = []
        self.boots = Boots(Memory(), machine.HARD_RESET)
        self.watchdog = Watchdog(self.boots, Log(self.lines.append))

    def run(self, duration_ms):
        until_ms = clock_time.now_ms + duration_ms
        self.longest_ms = 0

        async def sleep_ms(duration_ms):
            self.longest_ms = max(self.longest_ms, duration_ms)
            clock_time.now_ms += duration_ms
            if clock_time.now_ms >= until_ms:
                raise Stop

        real, asyncio.sleep_ms = asyncio.sleep_ms, sleep_ms
        try:
            asyncio.run(self.watchdog.run())
        except Stop:
            return True
        finally:
            asyncio.sleep_ms = real
        return False


def test_it_is_fed_well_within_its_timeout():
    node = Node()
    check.equal(node.run(HOUR_MS), True)
    check.equal(node.longest_ms * 2 < machine.timeout_ms, True)
    check.equal(machine.feeds >= 60, True, machine.feeds)


def test_a_task_that_breaks_its_word_is_told_and_kept():
    node = Node()
    node.watchdog.watch("uplink").resting()
    word = node.watchdog.watch("scd41")
    word.within(600_000)
    check.equal(node.run(500_000), True)
    check.equal(node.run(HOUR_MS), False)
    check.equal(clock_time.now_ms < 800_000, True)
    text = "watchdog: scd41 makes no progress; the board is reset"
    check.equal(node.lines, [text])
    check.equal(crash.kept(), text.encode())


def test_a_task_that_keeps_its_word_keeps_it_fed():
    node = Node()
    word = node.watchdog.watch("scd41")
    for _ in range(20):
        word.within(600_000)
        check.equal(node.run(590_000), True)


def test_a_task_at_rest_is_never_late():
    node = Node()
    word = node.watchdog.watch("uplink")
    word.within(60_000)
    word.resting()
    check.equal(node.run(100 * HOUR_MS), True)


def test_a_hang_behind_a_traceback_that_waits_is_counted():
    node = Node()
    crash.keep("earlier", node.boots)
    node.watchdog.watch("scd41").within(0)
    check.equal(node.run(HOUR_MS), False)
    check.equal((crash.kept(), node.boots.crashes), (b"earlier", 1))


def test_the_technician_has_time_at_the_prompt():
    node = Node()
    node.watchdog.release()
    check.equal((machine.timeout_ms, machine.feeds), (HOUR_MS, 1))


if __name__ == "__main__":
    check.main(globals())
