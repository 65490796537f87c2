"""The tap hears each promise of the gateway, and nothing that is none."""

import random

import cbor2
import pytest
from aiocoap import oscore
from aiocoap.message import Message
from aiocoap.numbers import codes
from aiocoap.numbers.types import ACK, CON

from feltpost_tools.sim.oscore_keys import NodeKeys, RequestReader
from feltpost_tools.sim.tap import Promise, Tap

KEY_ID, KEY = b"\x07", bytes(range(16))
PACK, CBOR = 112, 60


class GatewayKeys(RequestReader, oscore.CanProtect):
    """The gateway's side, to answer with."""

    sender_sequence_number = 1000

    def post_seqnoincrease(self):
        pass


class Link:
    """A node, a gateway, and a tap between them that keeps what it hears."""

    def __init__(self):
        self.node = NodeKeys(KEY_ID, KEY)
        self.gateway = GatewayKeys(KEY_ID, KEY)
        self.promises = []
        self.answers = 0
        self.tap = Tap(KEY_ID, KEY, self.promises.append, self._answered)

    def _answered(self):
        self.answers += 1

    def request(self, path, payload=b"", content_format=None, code=codes.PUT):
        """The bytes of a request, and what its answer is protected with."""
        message = Message(code=code, payload=payload)
        message.opt.uri_path = path
        message.opt.content_format = content_format
        protected, _ = self.node.protect(message)
        encoded = wire(protected, CON)
        return encoded, self.gateway.read(Message.decode(encoded))[1]

    def readings(self, first, count, journal=3):
        return self.request(("j", str(journal), str(first)), cbor2.dumps([{0: "c"}] * count), PACK)

    def answer(self, request_id, code=codes.CHANGED, payload=b""):
        protected, _ = self.gateway.protect(Message(code=code, payload=payload), request_id)
        return wire(protected, ACK)


def wire(message, kind):
    message.mtype, message.mid, message.token = kind, 7, b""
    return message.encode()


@pytest.fixture
def link():
    return Link()


def test_an_answer_promises_what_its_request_carried(link):
    request, request_id = link.readings(40, 4)
    link.tap.from_node(request)
    assert link.promises == []
    link.tap.to_node(link.answer(request_id, payload=cbor2.dumps({1: 44})))
    assert link.promises == [Promise(3, 40, 4)]
    assert link.answers == 1


def test_each_answer_belongs_to_its_own_request(link):
    requests = [link.readings(first, 1) for first in range(3)]
    for request, _ in requests:
        link.tap.from_node(request)
    for place in (2, 0):
        link.tap.to_node(link.answer(requests[place][1]))
    assert link.promises == [Promise(3, 2, 1), Promise(3, 0, 1)]


def test_retransmissions_and_answers_that_come_twice(link):
    request, request_id = link.readings(0, 2)
    for _ in range(4):
        link.tap.from_node(request)
    answer = link.answer(request_id)
    link.tap.to_node(answer)
    link.tap.from_node(request)
    link.tap.to_node(answer)
    assert set(link.promises) == {Promise(3, 0, 2)}


def test_a_request_that_is_sent_anew_after_a_lost_answer(link):
    lost, lost_id = link.readings(0, 2)
    again, again_id = link.readings(0, 3)
    link.tap.from_node(lost)
    link.tap.from_node(again)
    link.tap.to_node(link.answer(again_id))
    assert link.promises == [Promise(3, 0, 3)]
    # It was only late.
    link.tap.to_node(link.answer(lost_id))
    assert link.promises[1:] == [Promise(3, 0, 2)]


@pytest.mark.parametrize(
    "code", [codes.BAD_REQUEST, codes.UNAUTHORIZED, codes.SERVICE_UNAVAILABLE, codes.CONTENT]
)
def test_other_answers_promise_nothing(link, code):
    request, request_id = link.readings(0, 2)
    link.tap.from_node(request)
    # With a number of the gateway's own, as an answer without a commit has.
    request_id.can_reuse_nonce = False
    link.tap.to_node(link.answer(request_id, code))
    assert link.promises == []
    assert link.answers == 1


@pytest.mark.parametrize(
    ("path", "payload", "content_format"),
    [
        (("j", "3", "0"), cbor2.dumps({0: 2, 1: 1}), CBOR),
        (("h", "1"), cbor2.dumps({0: "1.0"}), CBOR),
        (("s",), cbor2.dumps([{0: "c"}]), PACK),
    ],
)
def test_other_requests_are_promised_nothing(link, path, payload, content_format):
    request, request_id = link.request(path, payload, content_format)
    link.tap.from_node(request)
    link.tap.to_node(link.answer(request_id))
    assert link.promises == []
    assert link.answers == 1


def test_forgeries(link):
    request, request_id = link.readings(0, 2)
    link.tap.from_node(request)
    forger = GatewayKeys(KEY_ID, bytes(16))
    protected, _ = forger.protect(Message(code=codes.CHANGED), request_id)
    link.tap.to_node(wire(protected, ACK))
    link.tap.to_node(wire(Message(code=codes.CHANGED), ACK))
    # Another node's request, and one that is not protected.
    stranger, _ = NodeKeys(b"\x08", KEY).protect(Message(code=codes.PUT))
    link.tap.from_node(wire(stranger, CON))
    link.tap.from_node(wire(Message(code=codes.GET), CON))
    assert (link.promises, link.answers) == ([], 0)


def test_whatever_comes_out_of_a_damaged_line_is_passed_over(link):
    chance = random.Random(20261122)
    request, request_id = link.readings(0, 2)
    link.tap.from_node(request)
    answer = link.answer(request_id)
    # Type, message ID and padding are nobody's secret; from the OSCORE option on all is checked.
    for _ in range(3000):
        damaged = bytearray(answer)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        link.tap.to_node(bytes(damaged[: chance.randint(0, len(damaged))]))
        link.tap.from_node(bytes(damaged))
    assert set(link.promises) <= {Promise(3, 0, 2)}
    link.promises.clear()
    link.tap.to_node(answer)
    assert link.promises == [Promise(3, 0, 2)]
