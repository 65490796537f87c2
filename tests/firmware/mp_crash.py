"""Crashes: the first traceback is kept over the reset, and the board always restarts."""

import check
from fake_board import Memory, Reset, file_system, machine
from feltpost import crash
from feltpost.boots import Boots
from feltpost.log import Log


def broken(text):
    raise ValueError(text)


class Node:
    """A board that crashes: restart() returns the pause before the reset, ms."""

    def __init__(self):
        self.device = file_system()
        self.boots = Boots(Memory(), machine.HARD_RESET)
        self.lines = []

    def restart(self, text="broken"):
        pauses_ms = []

        class Time:
            sleep_ms = pauses_ms.append

        crash.time = Time
        try:
            broken(text)
        except ValueError as error:
            try:
                crash.restart(error, self.boots, Log(self.lines.append))
            except Reset:
                return pauses_ms[0]
        raise AssertionError("not reset")


def test_the_traceback_survives_and_goes_once_it_is_forgotten():
    node = Node()
    check.equal(crash.kept(), None)
    node.restart("the sensor's fault")
    text = crash.kept().decode()
    check.equal("in broken" in text and text.endswith("ValueError: the sensor's fault\n"), True)
    check.equal(node.lines[1], text, "and it is on the console")
    crash.forget()
    check.equal(crash.kept(), None)
    crash.forget()


def test_the_first_is_kept_and_the_others_are_counted():
    node = Node()
    for text in ("first", "second", "third"):
        node.restart(text)
    check.equal(b"first" in crash.kept(), True)
    check.equal(node.boots.crashes, 2)


def test_of_a_long_one_the_end_is_kept_in_whole_characters():
    node = Node()
    for length in range(320, 324):
        node.restart("x" * (length % 4) + "æ" * length)
        data = crash.kept()
        check.equal(319 <= len(data) <= 320, True, len(data))
        check.equal(data.decode().endswith("æ\n"), True)
        crash.forget()


def test_pauses_grow_with_bad_boots_to_a_bound():
    node = Node()
    pauses_ms = []
    for bad in range(30):
        node.boots.bad = bad
        pauses_ms.append(node.restart())
    check.equal(pauses_ms[:4], [1_000, 2_000, 4_000, 8_000])
    check.equal(pauses_ms[-1], 120_000)
    check.equal(pauses_ms, sorted(pauses_ms))


def test_a_file_system_that_fails_does_not_keep_the_board_from_its_reset():
    node = Node()
    node.device.full = True
    node.restart()
    check.equal([line for line in node.lines if "can't be kept" in line] != [], True, node.lines)
    check.equal(crash.kept(), None)


def test_an_interrupt_in_the_pause_gives_the_prompt():
    node = Node()

    def interrupted(duration_ms):
        raise KeyboardInterrupt

    class Time:
        sleep_ms = staticmethod(interrupted)

    crash.time = Time
    log = Log(node.lines.append)
    check.raises(KeyboardInterrupt, crash.restart, ValueError("x"), node.boots, log)
    check.equal(node.boots.bad, 0, "somebody is there")


if __name__ == "__main__":
    check.main(globals())
