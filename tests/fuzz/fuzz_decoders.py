"""Runs on MicroPython: the node's decoders, each with the rules that hold whatever it is given."""

import json
import struct
from binascii import hexlify

_KEY = bytes(range(16))
_KEY_ID = b"\x01"
_PROBE = b"probe \xc0\xdb"
_SERIAL_BUFFERS = 3
_CHANGED = 0x44


def _hex(data):
    return hexlify(data).decode()


def slip(data):
    from feltpost import slip

    decoder = slip.Decoder(bytearray(320))
    frames = []
    outside = 0
    for byte in data:
        event = decoder.feed(byte)
        if event == slip.FRAME:
            assert 0 < decoder.length <= len(decoder.buf)
            frames.append(bytes(decoder.buf[: decoder.length]))
        outside += event == slip.OUTSIDE
    for frame in frames:
        out = bytearray(slip.encoded_bytes(len(frame)))
        end = slip.encode(slip.COAP, frame, out)
        again = slip.Decoder(bytearray(len(frame)))
        events = [again.feed(byte) for byte in out[:end]]
        assert events[-1] == slip.FRAME and again.buf == frame
    out = bytearray(slip.encoded_bytes(len(_PROBE)))
    for byte in out[: slip.encode(slip.COAP, _PROBE, out)]:
        event = decoder.feed(byte)
    assert event == slip.FRAME and bytes(decoder.buf[: decoder.length]) == _PROBE
    return "{} {}".format(outside, " ".join(_hex(frame) for frame in frames))


def serial(data):
    from feltpost.link_serial import SerialLink

    link = SerialLink(None, None)
    stopped = 0
    for byte in data:
        try:
            link._take(byte)
        except KeyboardInterrupt:
            stopped += 1
        assert len(link._free) + len(link._waiting) + 1 == _SERIAL_BUFFERS
    frames = [_hex(buf[:length]) for buf, length in link._waiting]
    link.close()
    assert len(link._free) + 1 == _SERIAL_BUFFERS
    # The way to the prompt is open whatever came before: an END, console text, and 0x03.
    link._decoder.reset()
    try:
        link._take(0x03)
    except KeyboardInterrupt:
        return "{} {}".format(stopped, " ".join(frames))
    raise AssertionError("no way to the prompt")


def cbor(data):
    from feltpost import cbor

    return _told(cbor.decode(data))


def _told(value):
    # The same text on both sides of the pipe for the same value.
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"i{value}"
    if isinstance(value, float):
        return "f" + ("nan" if value != value else _hex(struct.pack(">d", value)))
    if isinstance(value, bytes):
        return "b" + _hex(value)
    if isinstance(value, str):
        return "t" + _hex(value.encode())
    if isinstance(value, list):
        return "[{}]".format(",".join(_told(part) for part in value))
    pairs = sorted((_told(key), _told(inner)) for key, inner in value.items())
    return "{" + ",".join("{}:{}".format(*pair) for pair in pairs) + "}"


def coap(data):
    from feltpost import coap

    message = coap.Message(data)
    options = ",".join(f"{n}={_hex(value)}" for n, value in message.options)
    return "{} {} {} t{} {} p{}".format(
        message.kind,
        message.code,
        message.message_id,
        _hex(message.token),
        options or "-",
        _hex(message.payload),
    )


class _Sequence:
    number = 0

    def next(self):
        self.number += 1
        return self.number


class _Peer:
    """A link with the gateway's side of OSCORE behind it; `make` makes answers of requests.

    Its clock goes only while nothing comes, so that no answer is late because the machine is busy.
    """

    name = "peer"

    def __init__(self):
        from feltpost import oscore

        self.context = oscore.Context(_KEY, b"", _KEY_ID)
        self.make = None
        self.now_ms = 0
        self._answers = []

    def send(self, message):
        if message[1]:
            self._answers = self.make(bytes(message))

    async def receive(self, timeout_ms):
        if self._answers:
            return memoryview(bytearray(self._answers.pop(0)))
        self.now_ms += timeout_ms
        return None

    def sealed(self, message, plain):
        # An acknowledgement with that inside, under the request's nonce.
        from feltpost import coap

        option = coap.Message(message).option(coap.OSCORE)
        length = option[0] & 7
        request = self.context.bind(bytes(option[1 + length :]), bytes(option[1 : 1 + length]))
        buf = memoryview(bytearray(plain) + bytearray(8))
        self.context.seal(request, buf, len(plain))
        return bytes((0x60, _CHANGED, message[2], message[3], 0x90, 0xFF)) + buf


def _client():
    from feltpost import client, oscore

    if not _client_kept:
        peer = _Peer()
        client.ticks_ms = lambda: peer.now_ms
        context = oscore.Context(_KEY, _KEY_ID, b"", _Sequence())
        _client_kept.append(client.Client(peer, context))
    return _client_kept[0]


_client_kept = []


def answers(data):
    """The first byte: 0, a datagram with the request's message id put in; 1, what is sealed in an
    answer; 2, the same, after a count of pairs of a place and what is flipped there.
    """
    import asyncio

    from feltpost.client import NoAnswer

    client = _client()
    kind = data[0] if data else 0
    bends = b""
    plain = data[1:]
    if kind == 2 and len(data) > 1:
        end = 2 + 2 * data[1]
        bends = data[2:end]
        plain = data[end:]

    def make(message):
        if kind not in (1, 2):
            answer = bytearray(plain)
            if len(answer) >= 4:
                answer[2:4] = message[2:4]
            return [answer]
        answer = bytearray(client.link.sealed(message, plain))
        for i in range(0, len(bends) - 1, 2):
            answer[bends[i] % len(answer)] ^= bends[i + 1]
        return [answer]

    client.link.make = make
    try:
        response = asyncio.run(client.request(2, ("t",)))
    except NoAnswer as error:
        told = "none " + str(error).replace(" ", "-")
    else:
        assert response.protected or response.code >> 5 != 2, "a success that nobody sealed"
        assert not response.protected or kind in (1, 2), "sealed by nobody"
        shown = (
            response.code,
            response.protected,
            response.content_format,
            response.max_age_s,
            _hex(response.payload),
        )
        told = " ".join([str(part) for part in shown])
    client.link.make = lambda message: [client.link.sealed(message, bytes((_CHANGED,)))]
    response = asyncio.run(client.request(2, ("t",)))
    assert response.protected and response.code == _CHANGED
    return told


def config(data):
    from feltpost.config import Config, ConfigError

    try:
        value = json.loads(data)
    except ValueError:
        # As load() does.
        raise ConfigError("is not JSON")  # noqa: B904 - MicroPython has no causes
    settings = Config("feltpost.json", value)
    for sensor in settings.sensors:
        for channel in sensor.channels:
            try:
                channel.settings(2)
            except ValueError as error:
                # As assembly.py takes it.
                settings.problems.append(str(error))
    return " ".join([f"links:{len(settings.links)}"] + [_hex(p) for p in settings.problems])


def uplink(data):
    """The first byte is the code of the gateway's answers to a node's requests, the second how many
    of them it gives so, the rest their payload. Then it answers rightly again.
    """
    import mail_node
    from mail_node import NEW, OLD, Board, Gateway, Nvs

    if len(data) < 2:
        return hexlify(b"nothing").decode()
    code, times, payload = data[0], data[1] % 8, data[2:]

    class Odd(Gateway):
        left = times

        def _answer(self, asked, options, body):
            if not self.left:
                return super()._answer(asked, options, body)
            self.left -= 1
            return code, payload

    mail_node.asyncio.new_event_loop()
    Nvs.stored = {"key": OLD[0], "key_id": OLD[1]}
    gateway = Odd()
    board = Board(gateway)
    pauses = board.send()
    odd = repr(board.lines)
    # It has given up nothing that an answer did not allow it to give up, and goes on.
    gateway.left = 0
    for _ in range(20):
        board.sample()
        if not board.send() and not board.uplink.waiting():
            break
    else:
        raise AssertionError("it does not go on: " + repr(board.lines))
    keys = Nvs.stored["key"], Nvs.stored["key_id"]
    assert keys in (OLD, NEW), "another key than the gateway's"
    assert OLD[0] not in odd.encode() and _hex(OLD[0]) not in odd
    return f"{pauses} {board.boots} {_hex(odd.encode())}"
