"""Listens in on a node's link with the node's key, for what the gateway promises the node."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2
from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers import codes

from feltpost_tools.sim.oscore_keys import NodeKeys, RequestReader

_PACK = 112
# An answer comes soon or never; a few requests may have been given up and sent anew before.
_REMEMBERED = 8

# aiocoap's own errors, and those in which it ends on bytes that it can't read.
_UNREADABLE = (error.UnparsableMessage, ValueError, IndexError, AttributeError)


@dataclass(frozen=True)
class Promise:
    """The gateway has the readings first, first + 1, … of a journal, so many."""

    journal: int
    first: int
    count: int


@dataclass(frozen=True)
class _Request:
    # What its answer is unprotected with, and what the answer 2.04 promises.
    request_id: Any
    promise: Promise | None


class Tap:
    """Between a node and its gateway, on any link; it never changes anything.

    What can't be read (damaged, forged, under a key that the node was given later) is passed over.
    """

    def __init__(
        self,
        key_id: bytes,
        key: bytes,
        promised: Callable[[Promise], None],
        answered: Callable[[], None] = lambda: None,
    ):
        """promised is called for each authentic 2.04 to a request that carried readings, answered
        for each authentic answer of any kind, with an old one again where it comes again."""
        self._requests = RequestReader(key_id, key)
        self._answers = NodeKeys(key_id, key)
        self._promised = promised
        self._answered = answered
        self._sent: deque[_Request] = deque(maxlen=_REMEMBERED)

    def from_node(self, datagram: bytes) -> None:
        """Take in a CoAP message that the node has sent."""
        try:
            request = Message.decode(datagram)
            if not request.code.is_request():
                return
            plain, request_id = self._requests.read(request)
        except _UNREADABLE:
            return
        if all(one.request_id.partial_iv != request_id.partial_iv for one in self._sent):
            self._sent.append(_Request(request_id, _promise_of(plain)))

    def to_node(self, datagram: bytes) -> None:
        """Take in a CoAP message that the node gets."""
        try:
            answer = Message.decode(datagram)
        except _UNREADABLE:
            return
        if not answer.code.is_response():
            return
        # Nodes send no tokens: OSCORE tells whose answer it is.
        for request in reversed(self._sent):
            try:
                plain = self._answers.read(answer, request.request_id)
            except _UNREADABLE:
                continue
            self._answered()
            if request.promise and plain.code == codes.CHANGED:
                self._promised(request.promise)
            return


def _promise_of(request: Message) -> Promise | None:
    path = request.opt.uri_path
    if request.opt.content_format != _PACK or len(path) != 3 or path[0] != "j":
        return None
    return Promise(int(path[1]), int(path[2]), len(cbor2.loads(request.payload)))
