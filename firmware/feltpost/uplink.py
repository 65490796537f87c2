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
from .links import backoff_ms
from .record import Record
from .senml import Pack
from .watchdog import UNWATCHED

# Sensors of one round finish within this of one another: they share one message.
_GATHER_MS = const(250)
# Joining a network and two whole exchanges with all their retransmissions end well within this.
_TRY_MS = const(600_000)
_UNREADABLE_PAUSE_MS = const(100)
_SPREAD_MS = const(2_000)
_PAUSE_MOST_MS = const(240_000)
# However long the gateway asks a node to wait.
_MAX_AGE_MOST_S = const(3_600)

_CHANGED = const(0x44)
_CONTENT = const(0x45)
_UNAUTHORIZED = const(0x81)
_BAD_REQUEST = const(0x80)
_TOO_LARGE = const(0x8D)
_SERVER = const(0xA0)
_UNAVAILABLE = const(0xA3)

_PUT = const(3)
_GET = const(1)
_FORMAT_CBOR = const(60)
_FORMAT_PACK = const(112)

_ANSWER_TIME = const(0)
_ANSWER_MAIL = const(2)
# What so many answers after a request for mail say of mail is passed over, whatever came of it.
_MAIL_REST = const(16)
# Readings are stamped to the second: a first answer that took longer than this is asked for again,
# a few times, before the readings that wait are stamped by it.
_CLOCK_ERROR_MS = const(250)
_CLOCK_ASKS = const(3)
# A move by less than this is not worth a line in the log, nor a mark in the journal.
_CLOCK_MOVED_MS = const(250)
# The gateway refuses a reading whose time is further ahead of its own.
_AHEAD_MOST_S = const(86_400)
_PACK_BYTES = const(512)
_PACK_RECORDS = const(23)


class Uplink:
    """The task that empties the journal. channels: metrics.fields() by channel index.

    links: the links.Links to the gateway. ``report``: a report.Report that
    the gateway is yet to get, or None. ``trial``: a key_trial.KeyTrial while the key in use is not
    known to work, or None. ``mail_rest``: in how many answers word of mail is passed over yet.
    Since boot: ``retries`` counts exchanges that failed, ``lost`` the readings that the gateway
    knows to be lost.
    """

    def __init__(self, links, journal, channels, clock, log):
        self._links = links
        self._journal = journal
        self._channels = channels
        self._clock = clock
        self._log = log
        self._pack = Pack(bytearray(_PACK_BYTES))
        self._record = Record()
        self._records_most = _PACK_RECORDS
        self._path = ["j", str(journal.number), ""]
        self._failures = 0
        self._clock_asks = 0
        # What the journal has for the offset of this boot's clock.
        self._noted_ms = None
        self._mail = False
        self.report = self.trial = None
        self.retries = self.lost = self.mail_rest = 0

    async def run(self, appended, word=UNWATCHED):
        """Send for ever: whenever ``appended`` is set, and what is left after a failure.

        word: a watchdog.Word, kept while something is under way.
        """
        # After a power failure the nodes of a whole building start at the same moment.
        await asyncio.sleep_ms(random.randint(0, _SPREAD_MS))
        while True:
            await appended.wait()
            appended.clear()
            await asyncio.sleep_ms(_GATHER_MS)
            pause_ms = 1
            while pause_ms:
                pause_ms = await self.flush(word)
                await asyncio.sleep_ms(pause_ms)

    def waiting(self):
        """Tell whether there is something for the gateway."""
        return bool(
            self.report or len(self._journal) or self._journal.gap() or self._mail or self.trial
        )

    async def flush(self, word=UNWATCHED, enough=None):
        """Send what waits; return 0 once the gateway has it, else after how many ms to try again.

        word: as for run(). enough: where it returns True after an exchange, the rest may wait.
        """
        pause_ms = 0
        while self.waiting() and not pause_ms:
            word.within(_TRY_MS)
            pause_ms = await self._try()
            if enough and enough():
                break
        word.resting()
        return pause_ms

    async def _try(self):
        # One exchange. Return how long to wait before the next: 0 after success, and while there is
        # another link to try.
        try:
            client = await self._links.open()
            if self._clock_doubtful():
                pause_ms = await self._ask_time(client)
            elif self.report:
                pause_ms = await self._send_report(client, self.report)
            elif self._journal.gap():
                pause_ms = await self._send_gap(client)
            elif len(self._journal):
                pause_ms = await self._send_pack(client)
            elif self._mail:
                pause_ms = await self._fetch_mail(client)
            else:
                # A new key waits to be used.
                pause_ms = await self._ask_time(client)
        except (NoAnswer, OSError) as error:
            self.retries += 1
            # The first answer after an outage is a late one, and our clock has drifted meanwhile.
            self._clock_asks = 0
            return self._link_failed(error)
        if not pause_ms and self._failures:
            self._log("gateway answers again")
            self._failures = 0
        return pause_ms

    async def _ask_time(self, client):
        response = await self.request(client, _GET, ("t",), None, b"")
        self._clock_asks += 1
        if response.code == _CONTENT:
            self._take_answer(response)
            if self._clock.is_set():
                return 0
            return self._back_off("the gateway has no time yet")
        return self.refused(response)

    async def _fetch_mail(self, client):
        self._mail = False
        self.mail_rest = _MAIL_REST
        try:
            from . import mailbox

            return await mailbox.fetch(self, client, self._log)
        except MemoryError:
            self._log("no memory for the mail")
            return 0

    async def _send_report(self, client, report):
        response = await self.request(client, _PUT, report.path, _FORMAT_CBOR, report.payload())
        code = response.code
        if code == _CHANGED:
            self._take_answer(response)
            report.delivered()
        elif _BAD_REQUEST <= code < _SERVER and code != _UNAUTHORIZED:
            # A gateway that knows no reports, or can't read this one: the readings must not wait.
            self._log("report refused with {}: {}", coap.code_text(code), _text(response))
        else:
            return self.refused(response)
        self.report = None
        return 0

    async def _send_gap(self, client):
        gap = self._journal.gap()
        count = gap.count
        below = gap.first + count
        report = cbor.Encoder(bytearray(16))
        report.map(2)
        report.int(0)
        report.int(count)
        report.int(1)
        report.int(gap.reason)
        response = await self._put(client, gap.first, _FORMAT_CBOR, report.view())
        if response.code != _CHANGED:
            return self.refused(response)
        self._journal.free(below)
        self.lost += count
        self._take_answer(response)
        return 0

    async def _send_pack(self, client):
        first = self._journal.first
        count = self._fill(first)
        if not count:
            # The oldest can't be read, and is a gap now or will be. The others get their turn.
            return _UNREADABLE_PAUSE_MS
        response = await self._put(client, first, _FORMAT_PACK, self._pack.end())
        if response.code == _CHANGED:
            # Freed first: noting the clock may need room in the journal.
            self._journal.free(first + count)
            self._take_answer(response)
            return 0
        if response.code in (_BAD_REQUEST, _TOO_LARGE):
            return await self._isolate(client, first, count, response)
        return self.refused(response)

    def _fill(self, first):
        # Put as many readings as fit into the pack, oldest first; return how many. The journal
        # makes a gap of one that can't be read any more.
        self._pack.begin()
        record = self._record
        number = first
        last = min(self._journal.next, first + self._records_most)
        while number < last and self._journal.read(number, record):
            fields = self._channels[record.channel]
            time_s, marks = self._time(record)
            digits = record.form & 15
            marks |= record.form >> 4
            if not self._pack.add(fields, record.mantissa, digits, time_s, marks):
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
        time_s = (record.uptime_ms + record.offset_ms) // 1000
        if time_s > clock.unix_s(0) + _AHEAD_MOST_S:
            # That boot was told a wrong time, but it ended before this one began.
            return clock.unix_s(0), BOUNDED
        return time_s, RECONSTRUCTED

    async def request(self, client, code, path, content_format, payload):
        """Return the authenticated answer to a request, which Client.request() describes; NoAnswer
        where there is none.
        """
        response = await client.request(code, path, content_format, payload)
        if not response.protected:
            if self.trial:
                self.trial.refused()
            # Anybody may have sent it: another link may lead to one who knows the key.
            raise NoAnswer(_refusal(response))
        self._links.worked()
        if self.trial:
            self.trial.settle()
            self.trial = None
            # Should it have failed, the same mail waits again.
            self.mail_rest = _MAIL_REST
        return response

    async def _put(self, client, number, content_format, payload):
        # It is another journal's when the flash of the first one has failed.
        self._path[1] = str(self._journal.number)
        self._path[2] = str(number)
        return await self.request(client, _PUT, self._path, content_format, payload)

    async def _isolate(self, client, first, count, response):
        # One of these is bad. Halve until it is alone, then give that one up.
        if count > 1:
            self._records_most = count // 2
            return 0
        reason = _text(response)
        # Unless the gateway's clock was set meanwhile: with the right time it may be taken.
        offset_ms = self._clock.offset_ms()
        pause_ms = await self._ask_time(client)
        if pause_ms:
            return pause_ms
        self._records_most = _PACK_RECORDS
        if abs(self._clock.offset_ms() - offset_ms) < _CLOCK_MOVED_MS:
            self._log("reading {} refused: {}", first, reason)
            self._journal.reject(first)
        return 0

    def refused(self, response):
        """Return how long to wait after an answer that is no success; log it."""
        if response.code == _UNAVAILABLE:
            # A little later than asked, each node by another amount: not all at once. One that goes
            # on asking may do so for days.
            pause_ms = min(response.max_age_s, _MAX_AGE_MOST_S) * 1000
            pause_ms = max(pause_ms + random.randint(0, _SPREAD_MS), self._next_pause_ms())
            self._log(
                "gateway asks to wait: {}; next try in {} s", _text(response), pause_ms // 1000
            )
            return pause_ms
        return self._back_off(_refusal(response))

    def _link_failed(self, error):
        name = self._links.client.link.name
        if self._links.failed():
            self._log("{}: {}; trying another link", name, error)
            return 0
        # Nobody knows for how long.
        self._journal.spill()
        return self._back_off("{}: {}".format(name, error))

    def _back_off(self, reason):
        if self._clock.is_set():
            self._note_clock()
        pause_ms = self._next_pause_ms()
        waiting = len(self._journal)
        self._log("{}; {} readings wait, next try in {} s", reason, waiting, pause_ms // 1000)
        return pause_ms

    def _next_pause_ms(self):
        self._failures += 1
        return backoff_ms(self._failures - 1, _PAUSE_MOST_MS)

    def _clock_doubtful(self):
        if not self._clock.is_set():
            return True
        return self._clock_asks < _CLOCK_ASKS and self._clock.error_ms() > _CLOCK_ERROR_MS

    def _take_answer(self, response):
        try:
            answer = cbor.decode(response.payload)
            unix_ms = answer.get(_ANSWER_TIME)
        except (ValueError, AttributeError):
            self._log("the gateway's answer can't be read")
            return
        self._mail = answer.get(_ANSWER_MAIL) is True and not self.mail_rest
        if self.mail_rest:
            self.mail_rest -= 1
        if not isinstance(unix_ms, int):
            return
        moved_ms = self._clock.set(unix_ms, response.round_trip_ms)
        if moved_ms is None:
            self._log("clock set")
        elif abs(moved_ms) >= _CLOCK_MOVED_MS:
            self._log("clock moved by {} ms", moved_ms)
        self._note_clock()

    def _note_clock(self):
        # For readings that a later boot sends; a little less exact is good enough for them. Drift
        # adds up, also while the gateway is away.
        offset_ms = self._clock.offset_ms()
        if self._noted_ms is None or abs(offset_ms - self._noted_ms) >= _CLOCK_MOVED_MS:
            self._journal.set_clock(offset_ms)
            self._noted_ms = offset_ms


def _refusal(response):
    return "gateway refused with {}: {}".format(coap.code_text(response.code), _text(response))


def _text(response):
    # What the gateway says of an error is for people, and may be cut or damaged.
    try:
        return str(response.payload, "utf-8")
    except UnicodeError:
        return "(unreadable)"
