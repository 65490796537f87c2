"""What lies between the model's node and its gateway: OSCORE, datagrams, and a passer-by."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import Any

from aiocoap import Message
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS
from tests.gateway.model_node import Reply, Request
from tests.support.node import Node, NodeKeys

_KEY_ID = b"\x01"
_MAX_AGE_S = 60


class Fate(enum.Enum):
    """What becomes of a request."""

    ANSWERED = "answered"
    TWICE = "comes twice"
    REQUEST_LOST = "is lost"
    ANSWER_LOST = "its answer is lost"
    LATE = "its answer comes too late"
    CRASH_BEFORE_COMMIT = "the gateway crashes before the commit"
    CRASH_AFTER_COMMIT = "the gateway crashes after the commit"
    CRASH_BEFORE_COMMIT_AGAIN = "the gateway crashes before the commit, and it is sent again"
    CRASH_AFTER_COMMIT_AGAIN = "the gateway crashes after the commit, and it is sent again"


@dataclass(frozen=True)
class Sent:
    """A request as it goes out, and what its answer is known and decrypted by."""

    datagram: bytes
    token: bytes
    request_id: Any


class Wire:
    """The node's security context, which outlives every gateway, and a socket to the present one.

    A passer-by without a key is there, too: its requests need no disk, so that each refusal that
    it gets shows that the gateway has got round to what came before.
    """

    def __init__(self) -> None:
        self._keys = NodeKeys(_KEY_ID, KEYS[_KEY_ID])
        self._message_id = 0
        self._sent: list[bytes] = []
        self._node: Node
        self._passer_by: Node

    async def connect(self, port: int) -> None:
        """Speak to the gateway at that port; take part in the Echo round where it asks for one."""
        self._node = Node(port, self._keys)
        self._passer_by = Node(port, self._keys)
        # Answers are told apart by their tokens, also those to what was sent to another gateway.
        self._node.message_id = self._message_id
        if not self._message_id:
            assert (await self._node.request(codes.GET, "/t")).code == codes.CONTENT

    def close(self) -> None:
        self._message_id = self._node.message_id
        self._node.close()
        self._passer_by.close()

    def protect(self, request: Request) -> Sent:
        """Return a request as it is to be sent, once or more often."""
        datagram, request_id = self._node.protect(
            codes.Code(request.code), f"/{request.path}", request.payload, request.content_format
        )
        self._sent.append(datagram)
        return Sent(datagram, Message.decode(datagram).token, request_id)

    def send(self, sent: Sent) -> None:
        self._node.send(sent.datagram)

    async def receive(self, sent: Sent) -> Reply:
        """Return the answer to a request; what answers earlier ones is passed over."""
        while True:
            answer = Message.decode(await self._node.receive())
            if answer.token == sent.token and answer.code != codes.EMPTY:
                return self._read(answer, sent)

    async def answer_so_far(self, sent: Sent) -> Reply | None:
        """Return the answer to a request if one comes although no commit can."""
        receiving = asyncio.create_task(self.receive(sent))
        await self._come_round()
        if receiving.done():
            return receiving.result()
        receiving.cancel()
        return None

    async def replay(self, which: int) -> None:
        """Send once more what was sent before, as anybody may."""
        if self._sent:
            self._node.send(self._sent[which % len(self._sent)])
            await self._come_round()

    async def _come_round(self) -> None:
        for _ in range(3):
            question = self._passer_by.outer(Message(code=codes.GET))
            assert (await self._passer_by.exchange(question)).code == codes.UNAUTHORIZED

    def _read(self, answer: Message, sent: Sent) -> Reply:
        is_protected = answer.opt.oscore is not None
        if is_protected:
            answer = self._node.unprotect(answer, sent.request_id)
        max_age_s = _MAX_AGE_S if answer.opt.max_age is None else answer.opt.max_age
        return Reply(int(answer.code), is_protected, max_age_s, answer.payload)
