"""The report: what is in it, that it always fits, and when it is sent."""

import asyncio

import check
from fake_board import Memory, file_system, machine
from feltpost import VERSION, cbor, crash
from feltpost.boots import Boots
from feltpost.report import Report
from mp_uplink import CHANGED, Answer, Node, good

# Of 576 bytes, less what CoAP and OSCORE take.
MOST_BYTES = 512


class Clock:
    def __init__(self):
        self.now_ms = 5_999

    def uptime_ms(self):
        return self.now_ms


def report(problems=(), cause=machine.PWRON_RESET, memory=None, clock=None):
    boots = Boots(Memory() if memory is None else memory, cause)
    return Report(7, boots, "ESP32 on a desk", problems, clock or Clock())


def test_a_node_that_is_well_says_little():
    file_system()
    sent = cbor.decode(report().payload())
    check.equal(sent.pop(1).split(".")[0], "1")
    check.equal(sent, {0: VERSION, 2: "ESP32 on a desk", 3: 1, 7: 5})
    check.equal(report().path, ("h", "7"))


def test_the_uptime_is_that_of_sending():
    file_system()
    clock = Clock()
    made = report(clock=clock)
    for uptime_s in (5, 70_000, 90_000_000, 6):
        clock.now_ms = uptime_s * 1000
        check.equal(cbor.decode(made.payload())[7], uptime_s)


def test_what_is_wrong_is_in_it():
    file_system()
    memory = Memory()
    for _ in range(10):
        boots = Boots(memory, machine.HARD_RESET)
    crash.keep("Traceback: first", boots)
    crash.keep("Traceback: second", boots)
    sent = cbor.decode(report(["no such driver"], machine.HARD_RESET, memory).payload())
    check.equal(sent[3], 2)
    check.equal(sent[4], ["no such driver"])
    check.equal(sent[5], "Traceback: first\n1 more crashes since")
    check.equal(sent[6], True)


def test_an_unknown_cause_is_left_out():
    file_system()
    check.equal(3 in cbor.decode(report(cause=0).payload()), False)


def test_it_fits_one_message_whatever_is_wrong():
    file_system()
    crash.keep("æ" * 1000, Boots(Memory(), machine.HARD_RESET))
    for length in (10, 119, 120, 121, 300):
        problems = ["x" + "æ" * length] * 40
        made = report(problems)
        made._clock.now_ms = 1 << 40
        sent = cbor.decode(made.payload())
        check.equal(len(made.payload()) <= MOST_BYTES, True, len(made.payload()))
        check.equal(1 <= len(sent[4]) < 40, True, len(sent[4]))
        check.equal(sent[5], "æ" * 160)
        for text in sent[4]:
            check.equal(problems[0].startswith(text) and len(text.encode()) <= 120, True, text)


def test_delivered_it_takes_the_traceback_with_it_and_makes_a_good_boot():
    file_system()
    memory = Memory()
    for _ in range(9):
        boots = Boots(memory, machine.HARD_RESET)
    crash.keep("first", boots)
    crash.keep("second", boots)
    report(cause=machine.HARD_RESET, memory=memory).delivered()
    check.equal(crash.kept(), None)
    again = Boots(memory, machine.HARD_RESET)
    check.equal((again.bad, again.crashes), (1, 0))


# How the uplink sends it.


class Sent:
    path = ("h", "7")

    def __init__(self):
        self.deliveries = 0

    def payload(self):
        return b"\xa0"

    def delivered(self):
        self.deliveries += 1


def node(answer, readings=3):
    made = Node(answer, readings)
    made.uplink.report = Sent()
    made.sent = made.uplink.report
    return made


def test_it_goes_before_the_readings_and_once():
    made = node(lambda *_: good())
    check.equal((made.step(), made.step()), (0, 0))
    check.equal(made.gateway.asked[1], ("h/7", 60, b"\xa0"))
    check.equal([path for path, _, _ in made.gateway.asked[2:]], ["j/5/0"])
    check.equal((made.sent.deliveries, made.uplink.report), (1, None))


def test_it_is_sent_again_until_a_protected_204():
    answers = (
        Answer(CHANGED, protected=False),
        Answer(0x41),
        Answer(0x81),
        Answer(0xA0),
        Answer(0xA3, b"full", max_age_s=30),
        Answer(0x84, b"", protected=False),
        OSError("Wi-Fi is gone"),
    )
    for answer in answers:
        made = node(lambda *_, answer=answer: answer)
        check.equal(made.step() > 0, True, "it pauses")
        check.equal((made.sent.deliveries, made.uplink.report), (0, made.sent))
        check.equal(made.journal.first, 0)


def test_a_gateway_that_refuses_it_gets_the_readings():
    for code in (0x80, 0x84, 0x85, 0x8F):
        made = node(lambda path, *_, code=code: Answer(code, b"what?") if path == "h/7" else good())
        check.equal((made.step(), made.step()), (0, 0))
        check.equal((made.sent.deliveries, made.uplink.report), (0, None))
        check.equal(len(made.journal), 0)
        check.equal("report refused" in made.lines[-1], True, made.lines)


class Stop(Exception):
    pass


class Word:
    """What the uplink promises the watchdog."""

    def __init__(self):
        self.promises = []

    def within(self, duration_ms):
        self.promises.append(duration_ms)

    def resting(self):
        self.promises.append(None)


def test_the_watchdog_has_its_word_while_it_sends_and_not_while_it_pauses():
    made = node(lambda *_: OSError("Wi-Fi is gone"))
    word, at_pause = Word(), []

    async def sleep_ms(duration_ms):
        # It waits before the first request as well, by chance up to two seconds.
        if word.promises and duration_ms >= 1_000:
            at_pause.append(word.promises[-1])
            if len(at_pause) == 3:
                raise Stop

    appended = asyncio.Event()
    appended.set()
    real, asyncio.sleep_ms = asyncio.sleep_ms, sleep_ms
    try:
        asyncio.run(made.uplink.run(appended, word))
    except Stop:
        pass
    finally:
        asyncio.sleep_ms = real
    check.equal(at_pause, [None] * 3)
    check.equal([promise for promise in word.promises if promise], [600_000] * 3)


def test_failures_and_losses_are_counted():
    answers = [good(), good(), OSError("Wi-Fi is gone"), OSError("Wi-Fi is gone")]
    made = Node(lambda *_: answers.pop(), 20, capacity=16)
    for _ in range(4):
        made.step()
    check.equal((made.uplink.retries, made.uplink.lost), (2, 4))


if __name__ == "__main__":
    check.main(globals())
