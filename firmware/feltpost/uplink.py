"""Brings readings from the journal to the gateway, and frees them when it has them on disk.

This is the only place that frees. It does so for one reason: an authenticated 2.04 to a request
that carried exactly these numbers.
"""

import asyncio
import random

from micropython import const

from . import cbor, coap
from .client import NoAnswer
from .clock import BOUNDED, RECONSTRUCTED
from .record import Record
from .senml import Pack

# Sensors of one round finish within this of one another: they share one message.
_GATHER_MS = const(250)
_UNREADABLE_PAUSE_MS = const(100)
_PAUSE_FIRST_MS = const(2_000)
_PAUSE_MOST_MS = const(240_000)

_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_TOO_LARGE = const(0x8D)
_UNAVAILABLE = const(0xA3)

_PUT = const(3)
_GET = const(1)
_FORMAT_CBOR = const(60)
_FORMAT_PACK = const(112)

_ANSWER_TIME = const(0)
# Readings are stamped to the second: a first answer that took longer than this is asked for again,
# a few times, before the readings that wait are stamped by it.
_CLOCK_ERROR_MS = const(250)
_CLOCK_ASKS = const(3)
# A move by less than this is not worth a line in the log.
_CLOCK_MOVED_MS = const(250)
_PACK_BYTES = const(512)
_PACK_RECORDS = const(23)


class Uplink:
    """The task that empties the journal. channels: pairs (name, unit or None) by channel index.

    clients: one CoAP client for each link, in order of preference.
    """

    def __init__(self, clients, journal, channels, clock, log):
        self._clients = clients
        self._journal = journal
        self._channels = channels
        self._clock = clock
        self._log = log
        self._pack = Pack(bytearray(_PACK_BYTES))
        self._record = Record()
        self._records_most = _PACK_RECORDS
        self._path = ["j", str(journal.number), ""]
        self._connected = False
        self._failures = 0
        self._clock_asks = 0

    async def run(self, appended):
        """Send for ever: whenever ``appended`` is set, and what is left after a failure."""
        while True:
            await appended.wait()
            appended.clear()
            await asyncio.sleep_ms(_GATHER_MS)
            while len(self._journal) or self._journal.gap():
                pause_ms = await self._try()
                if pause_ms:
                    await asyncio.sleep_ms(pause_ms)

    async def _try(self):
        # One exchange. Return how long to wait before the next: 0 after success.
        client = self._clients[0]
        try:
            if not self._connected:
                await client.link.connect()
                self._connected = True
            if self._clock_doubtful():
                pause_ms = await self._ask_time(client)
            elif self._journal.gap():
                pause_ms = await self._send_gap(client)
            else:
                pause_ms = await self._send_pack(client)
        except (NoAnswer, OSError) as error:
            self._connected = False
            client.link.close()
            # The next link gets its turn; the one that failed goes to the end of the row.
            self._clients.append(self._clients.pop(0))
            pause_ms = self._back_off("{}: {}".format(client.link.name, error))
        if not pause_ms and self._failures:
            self._log("gateway answers again")
            self._failures = 0
        return pause_ms

    async def _ask_time(self, client):
        self._clock_asks += 1
        response = await client.request(_GET, ("t",), None, b"")
        if response.protected and response.code == _CONTENT:
            self._set_clock(response)
            if self._clock.is_set():
                return 0
            return self._back_off("the gateway has no time yet")
        return self._refused(response)

    async def _send_gap(self, client):
        gap = self._journal.gap()
        below = gap.first + gap.count
        report = cbor.Encoder(bytearray(16))
        report.map(2)
        report.int(0)
        report.int(gap.count)
        report.int(1)
        report.int(gap.reason)
        response = await self._put(client, gap.first, _FORMAT_CBOR, report.view())
        if not (response.protected and response.code == _CHANGED):
            return self._refused(response)
        self._journal.free(below)
        self._set_clock(response)
        return 0

    async def _send_pack(self, client):
        first = self._journal.first
        count = self._fill(first)
        if not count:
            # The oldest can't be read, and is a gap now or will be. The others get their turn.
            return _UNREADABLE_PAUSE_MS
        response = await self._put(client, first, _FORMAT_PACK, self._pack.end())
        if response.protected and response.code == _CHANGED:
            # Freed first: noting the clock may need room in the journal.
            self._journal.free(first + count)
            self._set_clock(response)
            return 0
        if response.protected and response.code in (_BAD_REQUEST, _TOO_LARGE):
            self._isolate(first, count, response)
            return 0
        return self._refused(response)

    def _fill(self, first):
        # Put as many readings as fit into the pack, oldest first; return how many. The journal
        # makes a gap of one that can't be read any more.
        self._pack.begin()
        record = self._record
        number = first
        last = min(self._journal.next, first + self._records_most)
        while number < last and self._journal.read(number, record):
            name, unit = self._channels[record.channel]
            time_s, marks = self._time(record)
            digits = record.form & 15
            marks |= record.form >> 4
            if not self._pack.add(name, unit, record.mantissa, digits, time_s, marks):
                break
            number += 1
        return number - first

    def _time(self, record):
        # When it was sampled, Unix seconds, and what is to be said of that.
        clock = self._clock
        if record.boot == self._journal.boot:
            return clock.unix_s(record.uptime_ms), clock.marks(record.uptime_ms)
        if record.offset_ms is None:
            # Its boot ended before it learnt the time: it was before this one began.
            return clock.unix_s(0), BOUNDED
        return (record.uptime_ms + record.offset_ms) // 1000, RECONSTRUCTED

    async def _put(self, client, number, content_format, payload):
        self._path[2] = str(number)
        return await client.request(_PUT, self._path, content_format, payload)

    def _isolate(self, first, count, response):
        # One of these is bad. Halve until it is alone, then give that one up.
        if count > 1:
            self._records_most = count // 2
            return
        self._records_most = _PACK_RECORDS
        self._log("reading {} refused: {}", first, _text(response))
        self._journal.reject(first)

    def _refused(self, response):
        if response.protected and response.code == _UNAVAILABLE:
            self._log("gateway asks to wait {} s: {}", response.max_age_s, _text(response))
            # A little later than asked, each node by another amount: not all at once.
            return response.max_age_s * 1000 + random.randint(0, _PAUSE_FIRST_MS)
        return self._back_off(
            "gateway refused with {}: {}".format(coap.code_text(response.code), _text(response))
        )

    def _back_off(self, reason):
        pause_ms = min(_PAUSE_FIRST_MS << min(self._failures, 10), _PAUSE_MOST_MS)
        pause_ms = pause_ms // 2 + random.randint(0, pause_ms // 2)
        self._failures += 1
        waiting = len(self._journal)
        self._log("{}; {} readings wait, next try in {} s", reason, waiting, pause_ms // 1000)
        return pause_ms

    def _clock_doubtful(self):
        if not self._clock.is_set():
            return True
        return self._clock_asks < _CLOCK_ASKS and self._clock.error_ms() > _CLOCK_ERROR_MS

    def _set_clock(self, response):
        try:
            answer = cbor.decode(response.payload)
            unix_ms = answer.get(_ANSWER_TIME)
        except (ValueError, AttributeError):
            self._log("the gateway's answer can't be read")
            return
        if not isinstance(unix_ms, int):
            return
        moved_ms = self._clock.set(unix_ms, response.round_trip_ms)
        if moved_ms is None:
            self._log("clock set")
        elif abs(moved_ms) >= _CLOCK_MOVED_MS:
            self._log("clock moved by {} ms", moved_ms)
        else:
            return
        # For readings that are sent by a later boot; a little less exact is good enough for them.
        self._journal.set_clock(self._clock.offset_ms())


def _text(response):
    # What the gateway says of an error is for people, and may be cut or damaged.
    try:
        return str(response.payload, "utf-8")
    except UnicodeError:
        return "(unreadable)"
