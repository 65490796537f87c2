"""The uplink: readings are freed for one reason only, and a bad one never blocks the others."""

import asyncio

import check
from feltpost import cbor, metrics, uplink
from feltpost.client import NoAnswer
from feltpost.clock import Clock
from feltpost.journal_gaps import GAP_CORRUPT, GAP_FULL, GAP_REJECTED
from feltpost.journal_ram import RamJournal
from feltpost.links_sleeping import SleepingLinks
from feltpost.log import Log
from feltpost.uplink import Uplink

NOW_MS = 1_795_000_000_000
CHANGED = 0x44


class Answer:
    # What client.request() returns.
    def __init__(self, code, payload=b"", protected=True, max_age_s=60):
        self.code = code
        self.payload = payload
        self.protected = protected
        self.max_age_s = max_age_s
        self.round_trip_ms = 10


def good(code=CHANGED, now_ms=NOW_MS):
    encoder = cbor.Encoder(bytearray(32))
    encoder.map(1)
    encoder.int(0)
    encoder.int(now_ms)
    return Answer(code, bytes(encoder.view()))


class Link:
    name = "scripted"

    def __init__(self):
        self.opened = self.closed = 0

    async def connect(self):
        self.opened += 1

    def close(self):
        self.closed += 1


class Gateway:
    """Answers by a function of (path, content format, payload); keeps what was asked."""

    def __init__(self, answer):
        self.link = None
        self.asked = []
        self.answer = answer
        self.now_ms = NOW_MS
        # How long its answer to a question for the time takes; None: it is away.
        self.time_takes_ms = 10

    async def request(self, code, path, content_format=None, payload=b""):
        # MicroPython reuses the path and the payload: copies, not references.
        self.asked.append(("/".join(path), content_format, bytes(payload)))
        if path[0] == "t":
            if self.time_takes_ms is None:
                raise NoAnswer("no answer")
            answer = good(0x45, self.now_ms)
            answer.round_trip_ms = self.time_takes_ms
            return answer
        answer = self.answer(*self.asked[-1])
        if isinstance(answer, Exception):
            raise answer
        return answer


class Node:
    """An uplink with its journal; step() makes one exchange and returns the pause after it."""

    def __init__(self, answer, readings, capacity=100, links=1):
        self.lines = []
        self.journal = RamJournal(5, capacity)
        for i in range(readings):
            self.journal.append(0, 2000 + i, 2, i)
        self.gateway = Gateway(answer)
        self.links = [Link() for _ in range(links)]
        clock = Clock()
        self.uplink = Uplink(
            SleepingLinks(self.gateway, self.links, clock.uptime_ms),
            self.journal,
            [metrics.fields("temperature", "Cel")],
            clock,
            Log(self.lines.append),
        )
        self.step()

    def step(self):
        return asyncio.run(self.uplink._try())

    def numbers(self):
        return [path for path, _, _ in self.gateway.asked if path.startswith("j/")]


def test_the_time_is_asked_for_first():
    node = Node(lambda *_: good(), 3)
    check.equal(node.gateway.asked[0][0], "t")


def outage(node):
    # So long that drift, which nobody has measured, leaves the time in doubt.
    node.uplink._clock._told_ms -= 40_000_000
    node.gateway.time_takes_ms = None
    for _ in range(5):
        node.step()
    node.gateway.asked.clear()


def test_after_an_outage_no_reading_is_stamped_by_a_late_answer():
    node = Node(lambda *_: good(), 0)
    for number in range(3):
        node.journal.append(0, 2000, 2, number)
        outage(node)
        for takes_ms in (30_000, 10, 10):
            node.gateway.time_takes_ms = takes_ms
            node.step()
        check.equal(node.numbers(), [f"j/5/{number}"])
        check.equal(len(node.gateway.asked), 3)


def test_the_time_of_a_gateway_that_is_always_late_is_good_enough():
    node = Node(lambda *_: good(), 3)
    outage(node)
    node.gateway.time_takes_ms = 1_000
    for _ in range(4):
        node.step()
    check.equal([path for path, _, _ in node.gateway.asked], ["t", "t", "t", "j/5/0"])


class Asleep(Exception):
    pass


class Sleeper:
    """Stands where the uplink's asyncio stands; tells for how long it would sleep."""

    def sleep_ms(self, ms):
        raise Asleep(ms)


def test_nodes_that_start_together_do_not_speak_together():
    waits_ms = []
    for _ in range(20):
        node = Node(lambda *_: good(), 0)
        uplink.asyncio = Sleeper()
        try:
            asyncio.run(node.uplink.run(None))
        except Asleep as asleep:
            waits_ms.append(asleep.args[0])
        uplink.asyncio = asyncio
    check.equal(len(set(waits_ms)) > 10, True)
    check.equal(all(0 <= wait_ms <= 2000 for wait_ms in waits_ms), True)


def test_readings_are_freed_by_a_protected_204():
    node = Node(lambda *_: good(), 30)
    check.equal(node.step(), 0)
    check.equal(node.journal.first, 23)
    check.equal(node.step(), 0)
    check.equal(len(node.journal), 0)
    check.equal(node.numbers(), ["j/5/0", "j/5/23"])


def test_nothing_else_frees():
    answers = (
        Answer(CHANGED, protected=False),
        Answer(0x45),
        Answer(0x41),
        Answer(0x80, b"no", protected=False),
        Answer(0x81),
        Answer(0x84),
        Answer(0x8D, b"", protected=False),
        Answer(0xA0),
        Answer(0xA3, b"full", max_age_s=30),
        Answer(0xA3, b"full", protected=False),
        NoAnswer("no answer"),
        OSError("Wi-Fi is gone"),
    )
    for answer in answers:
        node = Node(lambda *_, answer=answer: answer, 3)
        check.equal(node.step() > 0, True, "it pauses")
        check.equal((node.journal.first, node.journal.gap()), (0, None))


def test_an_answer_that_cant_be_read_still_frees():
    # 2.04 says that the readings are on disk; what it says beside that is about the clock.
    for payload in (b"", b"\xff", b"\x01", b"\xa1\x00\x61x"):
        node = Node(lambda *_, payload=payload: Answer(CHANGED, payload), 3)
        node.step()
        check.equal(len(node.journal), 0)


def test_unavailable_waits_as_long_as_asked_and_a_little_more():
    node = Node(lambda *_: Answer(0xA3, b"full", max_age_s=30), 3)
    pauses = [node.step() for _ in range(20)]
    for pause_ms in pauses[:4]:
        check.equal(30_000 <= pause_ms <= 32_000, True, pauses)
    check.equal(len(set(pauses)) > 1, True, "nodes must not all come back at once")
    # It goes on asking for that, and is asked less often.
    for i, pause_ms in enumerate(pauses):
        bound_ms = min(2_000 << i, 240_000)
        check.equal(max(30_000, bound_ms // 2) <= pause_ms, True, (i, pause_ms))
        check.equal(pause_ms <= max(32_000, bound_ms), True, (i, pause_ms))


def test_unavailable_for_long_waits_as_long_as_asked():
    node = Node(lambda *_: Answer(0xA3, b"full", max_age_s=600), 3)
    for pause_ms in [node.step() for _ in range(20)]:
        check.equal(600_000 <= pause_ms <= 602_000, True, pause_ms)


def test_pauses_grow_to_a_bound_with_jitter():
    node = Node(lambda *_: NoAnswer("no answer"), 3)
    pauses = [node.step() for _ in range(30)]
    for i, pause_ms in enumerate(pauses):
        bound_ms = min(2_000 << i, 240_000)
        check.equal(bound_ms // 2 <= pause_ms <= bound_ms, True, (i, pause_ms))
    check.equal(len(set(pauses[10:])) > 10, True, "jitter")


def test_a_lost_link_is_closed_and_opened_again():
    answers = [good(), NoAnswer("no answer")]
    node = Node(lambda *_: answers.pop(), 3)
    node.step()
    check.equal(node.links[0].closed, 1)
    check.equal(node.step(), 0)
    check.equal(node.links[0].opened, 2)
    check.equal(len(node.journal), 0)


def test_another_link_takes_over_what_was_under_way():
    for failure in (
        NoAnswer("no answer"),
        OSError("Wi-Fi is gone"),
        Answer(0x81, protected=False),
        Answer(0x80, b"unknown key", protected=False),
    ):
        node = Node(lambda *_, failure=failure: failure, 3, links=2)
        check.equal(node.step(), 0, "no pause while a link is left")
        check.equal(("trying another link" in node.lines[-1], node.journal.first), (True, 0))
        check.equal(node.step() > 0, True, "they have all been tried")
        check.equal([link.opened for link in node.links], [1, 1])
        node.gateway.answer = lambda *_: good()
        check.equal(node.step(), 0)
        check.equal(node.numbers(), ["j/5/0"] * 3)
        check.equal(len(node.journal), 0)


def test_an_answer_over_a_lesser_link_lets_the_preferred_one_be_tried_again():
    answers = [good(), good(), NoAnswer("no answer")]
    node = Node(lambda *_: answers.pop(), 60, links=2)
    node.step()
    node.step()
    check.equal([link.opened for link in node.links], [1, 1])
    # As when its time aside is over.
    node.uplink._links.restore(bytes(4), 0)
    node.step()
    check.equal([link.opened for link in node.links], [2, 1])


def test_a_link_over_which_the_gateway_says_no_is_kept():
    for code in (0x80, 0x81, 0x84, 0xA0, 0xA3):
        node = Node(lambda *_, code=code: Answer(code), 3, links=2)
        for _ in range(4):
            node.step()
        check.equal([link.opened for link in node.links], [1, 0], code)


def test_one_bad_reading_is_isolated_skipped_and_reported():
    bad = 11

    def answer(path, content_format, payload):
        if content_format == 60:
            return good()
        first = int(path.split("/")[2])
        count = payload[0] - 0x80
        if first <= bad < first + count:
            return Answer(0x80, b"record 3: out of range")
        return good()

    node = Node(answer, 23)
    for _ in range(40):
        if not (len(node.journal) or node.journal.gap()):
            break
        check.equal(node.step(), 0, "a bad reading is no reason to wait")
    check.equal(len(node.journal), 0)
    reports = [entry for entry in node.gateway.asked if entry[1] == 60]
    check.equal(reports, [("j/5/11", 60, bytes((0xA2, 0, 1, 1, GAP_REJECTED)))])
    check.equal([line for line in node.lines if "reading 11 refused" in line] != [], True)


def test_a_reading_is_not_given_up_for_a_clock_that_was_wrong():
    answers = [good(), Answer(0x80, b"record 0: its time is in the future")]
    node = Node(lambda *_: answers.pop(), 1)
    node.gateway.now_ms = NOW_MS - 2 * 86_400_000
    check.equal(node.step(), 0)
    check.equal((len(node.journal), node.journal.gap()), (1, None))
    check.equal(node.step(), 0)
    check.equal((len(node.journal), node.journal.gap()), (0, None))
    first, again = [cbor.decode(entry[2])[0][-3] for entry in node.gateway.asked if entry[1] == 112]
    check.equal(abs(first - again - 2 * 86_400) <= 1, True, (first, again))


def test_a_gap_is_reported_before_what_follows_it():
    node = Node(lambda *_: good(), 20, capacity=16)
    node.step()
    check.equal(node.gateway.asked[1], ("j/5/0", 60, bytes((0xA2, 0, 4, 1, GAP_FULL))))
    node.step()
    check.equal(node.numbers(), ["j/5/0", "j/5/4"])


def test_a_gap_that_is_not_confirmed_is_kept():
    node = Node(lambda *_: Answer(0xA3), 20, capacity=16)
    node.step()
    check.equal((node.journal.gap().first, node.journal.gap().count), (0, 4))


class OldReadings(RamJournal):
    """A journal whose readings are of former boots, as one on flash has them after a restart."""

    boot = 3
    offsets_ms = {1: NOW_MS - 7_200_000, 2: None, 4: NOW_MS + 90_000_000}

    def read(self, number, record):
        super().read(number, record)
        record.boot = number + 1
        record.offset_ms = self.offsets_ms.get(record.boot)
        return True


def test_readings_of_former_boots_are_dated_by_what_was_known_of_those_boots():
    node = Node(lambda *_: good(), 0)
    node.journal = node.uplink._journal = OldReadings(5, 16)
    for uptime_ms in (60_000, 60_000, 60_000, 60_000):
        node.journal.append(0, 2000, 2, uptime_ms)
    node.step()
    first, second, third, fourth = cbor.decode(node.gateway.asked[-1][2])
    started_s = NOW_MS // 1000
    # Two hours before now the first boot had been up for nothing.
    check.equal((first[-3], first["q"]), (started_s - 7_200 + 60, 1))
    # Nobody knows when the second was: before the third began, which is when it is dated.
    base_s = second.get(-3, first[-3])
    check.equal(second["q"], 2)
    check.equal(abs(base_s + second.get(6, 0) - started_s) <= 1, True)
    check.equal(third.get("q"), None, "this boot knows the time")
    # The fourth was told a time that is still to come: no more is known of it than of the second.
    check.equal(fourth["q"], 2)
    check.equal(abs(fourth.get(-3, base_s) + fourth.get(6, 0) - started_s) <= 1, True, fourth)


class Unreadable(RamJournal):
    """A journal with a reading that flash has lost; it makes a gap of it once it is the oldest."""

    def read(self, number, record):
        if number == 2:
            if self.first == 2:
                self._gaps.lose(3, GAP_CORRUPT)
            return False
        return super().read(number, record)


def test_a_reading_that_cant_be_read_becomes_a_gap_and_blocks_nothing():
    node = Node(lambda *_: good(), 0)
    node.journal = node.uplink._journal = Unreadable(5, 16)
    for i in range(5):
        node.journal.append(0, 2000 + i, 2, 0)
    for _ in range(6):
        node.step()
    check.equal((len(node.journal), node.journal.gap()), (0, None))
    check.equal(node.numbers()[:3], ["j/5/0", "j/5/2", "j/5/3"])
    check.equal(node.gateway.asked[2][2], bytes((0xA2, 0, 1, 1, GAP_CORRUPT)))


def test_the_journal_is_told_the_clock():
    told = []
    RamJournal.set_clock = lambda journal, offset_ms: told.append(offset_ms)
    node = Node(lambda *_: good(), 0)
    check.equal(len(told), 1)
    check.equal(abs(told[0] - NOW_MS) < 60_000, True, told)
    for _ in range(3):
        node.journal.append(0, 2000, 2, 0)
        node.step()
    check.equal(len(told) < 4, True, "one that has hardly moved is not written down again")
    # Drift adds up while the gateway is away.
    node.gateway.answer = lambda *_: NoAnswer("no answer")
    node.journal.append(0, 2000, 2, 0)
    known = len(told)
    node.uplink._clock._offset_ms += 300
    node.step()
    check.equal(len(told), known + 1)


def test_refusals_are_told_by_code():
    node = Node(lambda *_: Answer(0x84, b"no such thing"), 1)
    node.step()
    check.equal("4.04" in node.lines[-1] and "no such thing" in node.lines[-1], True, node.lines)


if __name__ == "__main__":
    check.main(globals())
