"""The node's readings of itself."""

import asyncio
import gc

import check
from feltpost.health import Health

UPTIME_MS = 61_999
NUMBERS = {7: "freeHeap", 8: "rssi", 9: "journalFill", 4: "readingsLost", 5: "retries"}
NUMBERS[255] = "resetCause"


class Clock:
    def uptime_ms(self):
        return UPTIME_MS


class Journal:
    capacity = 200

    count = 51

    def __init__(self):
        self.appended = []

    def __len__(self):
        return self.count

    def append(self, channel, mantissa, form, uptime_ms):
        check.equal((form, uptime_ms), (0, UPTIME_MS))
        self.appended.append((NUMBERS[channel], mantissa))


class Uplink:
    lost = 14
    retries = 3


class Node:
    def __init__(self, cause=1, rssi=lambda: None):
        self.journal = Journal()
        numbers = (7, 8, 9, 4, 5, 255)
        self.sensor = Health(numbers, Clock(), self.journal, Uplink(), cause, rssi)

    def sample(self):
        """Return what a sample gives, by metric."""
        values = [0] * len(self.sensor.CHANNELS)
        self.journal.appended.clear()
        asyncio.run(self.sensor.start())
        asyncio.run(self.sensor.sample(values))
        found = dict(self.journal.appended)
        check.equal(len(found), len(self.journal.appended))
        found[self.sensor.CHANNELS[0][0]] = values[0]
        return found


def test_it_says_how_the_node_is():
    values = Node(3, lambda: -67).sample()
    heap = values.pop("freeHeap")
    check.equal(
        values,
        {
            "uptime": 61,
            "rssi": -67,
            "journalFill": 25,
            "readingsLost": 14,
            "retries": 3,
            "resetCause": 3,
        },
    )
    check.equal(abs(heap - gc.mem_free()) < 20_000, True, heap)


def test_a_journal_is_never_more_than_full():
    # One of three blocks holds up to 729 readings, and gives the oldest up from 502 on.
    node = Node()
    node.journal.count = 290
    check.equal(node.sample()["journalFill"], 100)


def test_free_heap_leaves_garbage_out():
    node = Node()
    before = node.sample()["freeHeap"]
    gc.threshold(-1)
    for _ in range(100):
        bytearray(500)
    check.equal(abs(node.sample()["freeHeap"] - before) < 5_000, True)


def test_the_reset_cause_is_told_once():
    node = Node()
    check.equal([node.sample().get("resetCause") for _ in range(3)], [1, None, None])


def test_without_wifi_there_is_no_signal_strength():
    check.equal("rssi" in Node().sample(), False)


if __name__ == "__main__":
    check.main(globals())
