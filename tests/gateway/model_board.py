"""Runs on MicroPython: a node's journal and uplink, with flash in RAM whose power can be cut.

model_node.py starts it and sends commands, a line each. While one is executed the uplink's requests
go back, a line each, which that end answers. After a power cut nothing is kept but the flash.
"""

import sys
from binascii import hexlify, unhexlify

import fake_time
from feltpost import metrics
from feltpost.client import NoAnswer

# After the client, which takes its functions out of the real module, before what counts the time.
time = fake_time.install()

from feltpost.clock import Clock  # noqa: E402
from feltpost.journal_flash import FlashJournal  # noqa: E402
from feltpost.log import Log  # noqa: E402
from feltpost.uplink import Uplink  # noqa: E402
from nor_flash import MODES, Nor  # noqa: E402

_BLOCKS = 4
_BLOCK_BYTES = 512
_JOURNAL = 7


class PowerCut(BaseException):
    """Nothing on the node may catch it: the node is off."""


class Power:
    """Watches the chip and goes in the operation that it was told."""

    def __init__(self, chip):
        self._chip = chip
        self._left = 0
        self._mode = None
        chip.watch = self

    def cut_in(self, operations, mode):
        self._left = operations
        self._mode = mode

    def __call__(self, start, data):
        self._left -= 1
        if self._left == 0:
            self._chip.tear(start, data, self._mode)
            raise PowerCut


class Answer:
    """What client.request() returns."""

    round_trip_ms = 2

    def __init__(self, code, protected, max_age_s, payload):
        self.code = code
        self.protected = protected
        self.max_age_s = max_age_s
        self.payload = payload


class Client:
    """Has its requests carried by whoever sent the command."""

    link = None
    name = "pipe"

    async def request(self, code, path, content_format=None, payload=b""):
        content_format = -1 if content_format is None else content_format
        data = hexlify(payload).decode() or "-"
        print("request", code, "/".join(path), content_format, data)
        words = sys.stdin.readline().split()
        if words[0] == "none":
            raise NoAnswer("no answer")
        code, protected, max_age_s, payload = words
        payload = b"" if payload == "-" else unhexlify(payload)
        return Answer(int(code), protected == "1", int(max_age_s), payload)


class Links:
    """One link, always there."""

    def __init__(self):
        self.client = Client()
        self.client.link = self.client

    async def open(self):
        return self.client

    def worked(self):
        pass

    def failed(self):
        return False


class Board:
    def __init__(self):
        self.chip = Nor(_BLOCKS, _BLOCK_BYTES)
        self.power = Power(self.chip)
        self.journal = self.uplink = self.clock = None
        self.appended = []

    def boot(self, number):
        self.clock = Clock()
        self.journal = FlashJournal(self.chip, lambda: _JOURNAL, number)
        channels = [metrics.fields("co2", "ppm")]
        log = Log(lambda line: None)
        self.uplink = Uplink(Links(), self.journal, channels, self.clock, log)

    def append(self, first, count, sign):
        """Keep the values first, first + 1, …; return the numbers, and the chip's writes."""
        self.appended = []
        for value in range(first, first + count):
            number = self.journal.append(0, sign * value, 0, self.clock.uptime_ms())
            self.appended.append((number, self.chip.writes))
        return self.appended

    def exchange(self):
        """Make one exchange; return how long the uplink would pause then."""
        try:
            self.uplink._try().send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("nothing here waits")

    def state(self):
        journal = self.journal
        gaps = [(gap.first, gap.count, gap.reason) for gap in journal._gaps.ranges]
        return journal.first, journal.next, gaps, self.uplink.waiting(), self.chip.writes


def execute(words):
    """Execute one command; return what it answers."""
    global board
    verb = words[0]
    numbers = [int(word) for word in words[1:]]
    if verb == "blank":
        board = Board()
        return None
    if verb == "tick":
        time.now_ms += numbers[0]
        return None
    if verb == "cut":
        return board.power.cut_in(numbers[0], MODES[numbers[1]])
    return getattr(board, verb)(*numbers)


board = None
while True:
    line = sys.stdin.readline()
    if not line:
        break
    try:
        print("answer " + repr(execute(line.split())))
    except PowerCut:
        board.journal = board.uplink = board.clock = None
        print("cut " + repr(board.appended))
