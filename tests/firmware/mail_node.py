"""A node with everything that its keys depend on, and a gateway that changes them.

Real client, OSCORE and uplink; NVS that can be cut at every write, and a gateway that does what
docs/protocol.md says of keys and mail. The gateway keeps the ledger.
"""

import asyncio
import sys

from fake_board import Reset

_sleep_ms = asyncio.sleep_ms


def _sleep_less_ms(duration_ms):
    # What the node only waits for is no matter here; retransmissions take their time.
    return _sleep_ms(min(duration_ms, 5))


asyncio.sleep_ms = _sleep_less_ms


class PowerCut(BaseException):
    """The board has no power any more."""


class Nvs:
    """NVS. at_once: whether a write is permanent before the commit, as ESP-IDF may have it.

    cut: the number of the write, counted from 0, before which the power goes; None for never.
    """

    stored = {}
    values = {}
    at_once = False
    cut = None
    writes = 0
    full = False

    def __init__(self, namespace):
        pass

    @staticmethod
    def power_on():
        """Begin with what is permanent."""
        Nvs.values = dict(Nvs.stored)

    @staticmethod
    def _write():
        if Nvs.writes == Nvs.cut:
            raise PowerCut
        Nvs.writes += 1
        if Nvs.full:
            raise OSError(-0x1105)

    def get_i32(self, key):
        if key not in Nvs.values:
            raise OSError(-0x1102)
        return Nvs.values[key]

    def get_blob(self, key, buf):
        value = self.get_i32(key)
        buf[: len(value)] = value
        return len(value)

    def set_i32(self, key, value):
        self._write()
        Nvs.values[key] = value
        if Nvs.at_once:
            Nvs.stored = dict(Nvs.values)

    def set_blob(self, key, value):
        self.set_i32(key, bytes(value))

    def erase_key(self, key):
        self.get_i32(key)
        self._write()
        del Nvs.values[key]
        if Nvs.at_once:
            Nvs.stored = dict(Nvs.values)

    def commit(self):
        self._write()
        Nvs.stored = dict(Nvs.values)


class Esp32:
    NVS = Nvs


sys.modules["esp32"] = Esp32

import check  # noqa: E402
from feltpost import cbor, coap, metrics, oscore  # noqa: E402
from feltpost.client import Client  # noqa: E402
from feltpost.clock import Clock  # noqa: E402
from feltpost.identity import Identity  # noqa: E402
from feltpost.journal_ram import RamJournal  # noqa: E402
from feltpost.key_trial import KeyTrial  # noqa: E402
from feltpost.links import Links  # noqa: E402
from feltpost.log import Log  # noqa: E402
from feltpost.uplink import Uplink  # noqa: E402

NOW_MS = 1_795_000_000_000
OLD = bytes(range(16)), b"\x01"
NEW = bytes(range(16, 32)), b"\x77\x01"
OTHER = bytes(range(32, 48)), b"\x77\x02"

CHANGED = 0x44
CONTENT = 0x45


def mail_of(pair):
    """Return the mail that brings a key."""
    encoder = cbor.Encoder(bytearray(64))
    encoder.map(1)
    encoder.int(0)
    encoder.map(2)
    encoder.int(0)
    encoder.bytes(pair[1])
    encoder.int(1)
    encoder.bytes(pair[0])
    return bytes(encoder.view())


class Gateway:
    """Keeps keys as the registry does: the first use of the newest ends the others.

    ``mail`` is what its mailbox has, ``waits`` whether answers say so. ``fate`` is called with the
    number of each message that comes in or goes out, and may raise, or return False to lose it.
    """

    def __init__(self):
        self.pairs = [OLD]
        self.mail = b"\xa0"
        self.fate = lambda number: True
        self.messages = 0
        self.paths = []
        # By journal, the numbers that arrived.
        self.arrived = {}
        self._seen = {}
        self._contexts = {}
        self._writer = coap.Writer(bytearray(320))

    def rotate(self, pair):
        """Give the node a new key, by mail; one that it has not used yet is given up."""
        self.pairs = [self.pairs[0], pair]
        self.mail = mail_of(pair)

    def passes(self):
        self.messages += 1
        return self.fate(self.messages - 1)

    def handle(self, data):
        """Return the answer to a datagram, or None."""
        message = coap.Message(bytes(data))
        option = message.option(coap.OSCORE)
        length = option[0] & 7
        piv, kid = bytes(option[1 : 1 + length]), bytes(option[1 + length :])
        # Whether the key is known or not: no number may be used twice.
        used = kid, piv
        check.equal(self._seen.setdefault(used, bytes(data)), bytes(data), "a nonce came twice")
        pair = [pair for pair in self.pairs if pair[1] == kid]
        if not pair:
            return self._refusal(message)
        context = self._context(pair[0])
        request = context.bind(kid, piv)
        buf = memoryview(bytearray(message.payload))
        end = context.open(request, option, buf)
        code, payload = self._answer(buf[0], *coap.parse_options(buf[1:end]))
        if pair[0] is self.pairs[-1]:
            self.pairs = pair
            self.mail = b"\xa0"
        return self._protected(message, context, request, code, payload)

    def _context(self, pair):
        if pair not in self._contexts:
            self._contexts[pair] = oscore.Context(pair[0], b"", pair[1])
        return self._contexts[pair]

    def _answer(self, code, options, payload):
        path = [str(value, "utf-8") for number, value in options if number == coap.URI_PATH]
        self.paths.append("/".join(path))
        if path[0] == "m":
            return CONTENT, self.mail
        if path[0] == "j":
            first = int(path[2])
            numbers = self.arrived.setdefault(path[1], set())
            numbers.update(range(first, first + payload[0] - 0x80))
        encoder = cbor.Encoder(bytearray(32))
        waits = len(self.mail) > 1
        encoder.map(1 + waits)
        encoder.int(0)
        encoder.int(NOW_MS)
        if waits:
            encoder.int(2)
            encoder.bool(True)
        return CHANGED if code == coap.PUT else CONTENT, bytes(encoder.view())

    def _refusal(self, message):
        writer = self._writer
        writer.header(coap.ACK, coap.UNAUTHORIZED, message.message_id)
        writer.payload(b"Security context not found")
        return bytes(writer.view())

    def _protected(self, message, context, request, code, payload):
        writer = self._writer
        writer.header(coap.ACK, CHANGED, message.message_id)
        writer.option(coap.OSCORE, b"")
        writer.marker()
        plain = bytes((code, coap.CONTENT_FORMAT << 4 | 1, 60))
        if payload:
            plain += b"\xff" + payload
        buf = memoryview(bytearray(len(plain) + 8))
        buf[: len(plain)] = plain
        context.seal(request, buf, len(plain))
        return bytearray(writer.view()) + buf


class Line:
    """The link between them."""

    name = "line"

    def __init__(self, gateway):
        self._gateway = gateway
        self._answer = None

    async def connect(self):
        pass

    def close(self):
        pass

    def send(self, message):
        self._answer = None
        if self._gateway.passes():
            answer = self._gateway.handle(message)
            if self._gateway.passes():
                self._answer = answer

    async def receive(self, timeout_ms):
        answer, self._answer = self._answer, None
        if answer is None:
            await asyncio.sleep_ms(timeout_ms)
        return answer


class Board:
    """A node, which restarts when it has a new key to try; ``node`` is what runs since.

    Put together as start.py does it. The journal of each boot is one in RAM, with the boot's number
    and so many readings to begin with.
    """

    def __init__(self, gateway, readings=3):
        self._gateway = gateway
        self._readings = readings
        self.boots = 0
        self.start()

    def start(self):
        """Boot."""
        Nvs.power_on()
        self.boots += 1
        self.lines = []
        log = Log(self.lines.append)
        identity = Identity()
        context = oscore.Context(identity.key, identity.key_id, b"", identity.sequence)
        client = Client(Line(self._gateway), context, ack_timeout_ms=1, max_retransmit=1)
        clock = Clock()
        self.journal = RamJournal(self.boots, 100)
        self.uplink = Uplink(
            Links(client, [client.link], clock.uptime_ms),
            self.journal,
            [metrics.fields("temperature", "Cel")],
            clock,
            log,
        )
        if identity.new_key:
            self.uplink.trial = KeyTrial(identity, log)
        self.sample(self._readings)

    def sample(self, count=1):
        """Append so many readings."""
        for _ in range(count):
            self.journal.append(0, 2000, 2, 0)

    def send(self):
        """Send all that waits, without the pauses, or until it restarts; return how many pauses
        there were.
        """
        for pauses in range(30):
            try:
                if not asyncio.run(self.uplink.flush()):
                    return pauses
            except Reset:
                asyncio.new_event_loop()
                self.start()
                return pauses
        raise AssertionError("no answer: " + repr(self.lines))
