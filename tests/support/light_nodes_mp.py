"""Runs on MicroPython: many nodes at once, with the firmware's own uplink, links, client and clock.

What makes them light is what they lack: sensors, flash, and a board each. Their journals are in
RAM, filled with readings of the boot before.

The first line of input is a JSON object: port, journal, boot, interval_ms, kept_from_ms (when the
oldest reading was taken, Unix time), readings (for each node), and nodes, a list of key id (hex),
key (hex) and next sequence number. Once all nodes are there a line "ready" is printed, and the next
line of input gives power to all of them at the same moment. The last line of output is a JSON
object of what they did (light_nodes.Outcome); it comes when every node has been served.
"""

import asyncio
import gc
import json
import sys
from binascii import unhexlify
from time import ticks_diff, ticks_ms

from fake_board import Memory, machine
from feltpost import metrics
from feltpost.boots import Boots
from feltpost.client import Client, NoAnswer
from feltpost.clock import Clock
from feltpost.journal_ram import RamJournal
from feltpost.link import MTU
from feltpost.link_udp import UdpLink
from feltpost.links import Links
from feltpost.oscore import Context
from feltpost.report import Report
from feltpost.uplink import Uplink

_CHANNELS = (
    ("co2", "ppm", 648, 0),
    ("temperature", "Cel", 2137, 2),
    ("relativeHumidity", "%RH", 4352, 2),
    ("illuminance", "lx", 312, 0),
)
# ACK_TIMEOUT of RFC 7252 section 4.8, less what a clock that counts whole milliseconds loses.
_LEAST_WAIT_MS = 2_000 - 1
# An acknowledgement without an answer.
_EMPTY_BYTES = 4


class Tally:
    """What all nodes together did since they got power."""

    def begin(self):
        self._started_ms = ticks_ms()
        self.datagrams = self.exchanges = self.unanswered = self.hasty = 0
        self.codes = {}
        self.served_ms = []
        self._last = self._row = self._longest_row = 0

    def now_ms(self):
        return ticks_diff(ticks_ms(), self._started_ms)

    def started(self, number):
        self._row = self._row + 1 if number == self._last + 1 else 1
        self._last = number
        self._longest_row = max(self._longest_row, self._row)

    def answered(self, code):
        self.codes[code] = self.codes.get(code, 0) + 1

    def result(self):
        return {
            "datagrams": self.datagrams,
            "exchanges": self.exchanges,
            "unanswered": self.unanswered,
            "hasty": self.hasty,
            "codes": self.codes,
            "in_a_row": self._longest_row,
            "served_ms": self.served_ms,
        }


tally = Tally()


class Sequence:
    def __init__(self, number):
        self.number = number

    def next(self):
        self.number += 1
        return self.number - 1


class CountedLink(UdpLink):
    # When the message under way is to be sent again at the earliest; None before it is sent.
    _again_ms = None
    # The node's, from 1 on; 0 once its first request was sent.
    number = 0

    def begin(self):
        self._again_ms = None

    def send(self, data):
        if len(data) > _EMPTY_BYTES:
            self._count()
        super().send(data)

    def _count(self):
        tally.datagrams += 1
        if self.number:
            tally.started(self.number)
            self.number = 0
        now_ms = tally.now_ms()
        wait_ms = _LEAST_WAIT_MS
        if self._again_ms is not None:
            tally.hasty += now_ms < self._again_ms
            wait_ms = 2 * self._wait_ms
        self._wait_ms = wait_ms
        self._again_ms = now_ms + wait_ms


class CountedClient(Client):
    async def _exchange(self, code, path, content_format, payload, echo):
        tally.exchanges += 1
        self.link.begin()
        try:
            response = await super()._exchange(code, path, content_format, payload, echo)
        except NoAnswer:
            tally.unanswered += 1
            raise
        tally.answered(response.code)
        return response


class Kept(RamJournal):
    """Readings of the boot before this one, whose clock knew the time."""

    def __init__(self, order):
        super().__init__(order["journal"], order["readings"])
        self.boot = order["boot"]
        self._offset_ms = order["kept_from_ms"]
        for i in range(order["readings"]):
            _, _, mantissa, digits = _CHANNELS[i % len(_CHANNELS)]
            uptime_ms = i // len(_CHANNELS) * order["interval_ms"]
            self.append(i % len(_CHANNELS), mantissa + i, digits, uptime_ms)

    def read(self, number, record):
        super().read(number, record)
        record.boot = self.boot - 1
        record.offset_ms = self._offset_ms
        return True


class Appended:
    """The event that the uplink waits for: set at the start, and then that all is sent."""

    def __init__(self, done):
        self._done = done
        self._started = False

    async def wait(self):
        if self._started:
            self._done()
            await asyncio.Event().wait()
        self._started = True

    def clear(self):
        pass


class Node:
    def __init__(self, order, number, key_id, key, sequence):
        self.sequence = Sequence(sequence)
        self._clock = Clock()
        context = Context(unhexlify(key), unhexlify(key_id), b"", self.sequence, size=MTU)
        link = CountedLink(None, "", "", "127.0.0.1", order["port"])
        link.number = number
        links = Links(CountedClient(link, context), [link], self._clock.uptime_ms)
        channels = [metrics.fields(name, unit) for name, unit, _, _ in _CHANNELS]
        self._uplink = Uplink(links, Kept(order), channels, self._clock, _say_nothing)
        boots = Boots(Memory(), machine.PWRON_RESET)
        self._uplink.report = Report(order["boot"], boots, "a light node", (), self._clock)

    async def run(self, done):
        def served():
            tally.served_ms.append(tally.now_ms())
            done()

        await self._uplink.run(Appended(served))


def _say_nothing(text, *args):
    pass


async def _end_with_input():
    # Whoever started this process may be gone, and the gateway with it.
    await asyncio.StreamReader(sys.stdin.buffer).read(1)
    sys.exit("the input has ended")


async def main():
    # The firmware collects every few kilobytes, as it must in a board's heap. What so many nodes
    # keep would take most of the time to go through.
    gc.threshold(-1)
    order = json.loads(sys.stdin.readline())
    nodes = [Node(order, number, *node) for number, node in enumerate(order["nodes"], 1)]
    print("ready")
    sys.stdin.readline()
    tally.begin()
    waiting = [len(nodes)]
    all_served = asyncio.Event()

    def done():
        waiting[0] -= 1
        if not waiting[0]:
            all_served.set()

    ending = asyncio.create_task(_end_with_input())
    tasks = [asyncio.create_task(node.run(done)) for node in nodes]
    await all_served.wait()
    for task in [ending] + tasks:
        task.cancel()
    result = tally.result()
    result["sequences"] = [node.sequence.number for node in nodes]
    print(json.dumps(result))


asyncio.run(main())
