"""The short way for ordinary requests: from the link to ingest and back, without aiocoap.

Nearly all that nodes send is confirmable, protected, and a `PUT /j/…`, `PUT /h/…` or `POST /s`
with nothing unusual about it (`coap_frame`). Such a request is decrypted here, and its answer
encrypted; what is promised in between is the same code for both ways: the replay window of the
node's context, `OscoreSite.answer`, and ingest. Whatever else comes, or is found not to be
authentic or not to be new, is left to aiocoap as it came.
"""

import asyncio
from dataclasses import dataclass

from aiocoap import oscore
from aiocoap.numbers import codes

from feltpost_gateway.coap_frame import (
    Outer,
    Plain,
    Protected,
    read_plain,
    read_request,
    write_acknowledgement,
    write_empty_acknowledgement,
    write_plain,
)
from feltpost_gateway.ingest import Request
from feltpost_gateway.links.base import TUNING, Link, LinkAddress
from feltpost_gateway.oscore_site import OscoreSite, Response, protect
from feltpost_gateway.request_cipher import Binding
from feltpost_gateway.security import NodeContext

_ORDINARY = frozenset(((codes.PUT, "j"), (codes.PUT, "h"), (codes.POST, "s")))
_FAILED = Outer(codes.INTERNAL_SERVER_ERROR, None, b"")


@dataclass(slots=True)
class _Exchange:
    """The latest request of a key, and what its repetitions are answered with.

    `reply` is None until there is something to answer with. `task` is None once the request has
    its answer, and `wait` once its acknowledgement is out.
    """

    link: Link
    address: LinkAddress
    datagram: bytes
    request: Protected
    reply: bytes | None = None
    task: asyncio.Task[None] | None = None
    wait: asyncio.TimerHandle | None = None

    def acknowledge(self, reply: bytes) -> None:
        """Send the acknowledgement, with the answer or without, and keep it for repetitions."""
        if self.wait is not None:
            self.wait.cancel()
            self.wait = None
        self.reply = reply
        self.link.send_bytes(reply, self.address)

    def acknowledge_alone(self) -> None:
        """Send an acknowledgement without the answer."""
        self.acknowledge(write_empty_acknowledgement(self.request))

    def repeat(self) -> None:
        """Answer the request's repetition as the request, where there is something to say yet."""
        if self.reply is not None:
            self.link.send_bytes(self.reply, self.address)

    def finish(self, answer: Outer | None) -> None:
        """Send the answer, if there is one, in whatever is still to be sent."""
        self.task = None
        if self.wait is None:
            if answer is not None:
                self.link.send_separately(answer, self.request.token, self.address)
        elif answer is None:
            self.acknowledge_alone()
        else:
            self.acknowledge(write_acknowledgement(self.request, answer))

    def abandon(self) -> None:
        """Stop waiting for the answer."""
        if self.task is not None:
            self.task.cancel()
        if self.wait is not None:
            self.wait.cancel()


class ShortPath:
    """Takes ordinary requests of all links, once `site` says for whom and how they are answered.

    A node has one request under way at a time (RFC 7252 section 4.7), so one answer for each key
    is kept for repetitions. A second request that comes before the first has its answer goes
    through aiocoap, which remembers many.
    """

    def __init__(self) -> None:
        self.site: OscoreSite | None = None
        self._exchanges: dict[bytes, _Exchange] = {}

    def take(self, link: Link, datagram: bytes, address: LinkAddress) -> bool:
        """Take a datagram up and return true, or false with nothing done.

        To be called on the event loop.
        """
        request = read_request(datagram)
        if request is None or self.site is None:
            return False
        last = self._exchanges.get(request.key_id)
        if last is not None:
            if last.datagram == datagram and last.address == address:
                last.repeat()
                return True
            if last.task is not None:
                return False
        context = self.site.contexts.get(request.key_id)
        if context is None:
            return False
        binding = context.cipher.bind(request.partial_iv)
        plain = _open(context, request, binding)
        if plain is None:
            return False
        exchange = _Exchange(link, address, datagram, request)
        self._exchanges[request.key_id] = exchange
        loop = asyncio.get_running_loop()
        exchange.wait = loop.call_later(TUNING.EMPTY_ACK_DELAY, exchange.acknowledge_alone)
        exchange.task = loop.create_task(self._serve(self.site, context, exchange, plain, binding))
        return True

    def close(self) -> None:
        """Stop taking requests and waiting for answers; what is being stored will be stored."""
        self.site = None
        for exchange in self._exchanges.values():
            exchange.abandon()

    async def _serve(
        self,
        site: OscoreSite,
        context: NodeContext,
        exchange: _Exchange,
        plain: Plain,
        binding: Binding,
    ) -> None:
        request = Request(
            code=codes.Code(plain.code),
            path=plain.path,
            content_format=plain.content_format,
            payload=plain.payload,
            size=len(exchange.datagram),
            not_understood=False,
        )
        answer: Outer | None = None
        try:
            response = await site.answer(context, request)
            answer = _protect(context, exchange.request, response, binding)
        except oscore.ContextUnavailable:
            site.log_unanswered()
        except Exception:
            # asyncio logs it, as nobody awaits the task.
            exchange.finish(_FAILED)
            raise
        exchange.finish(answer)


def _open(context: NodeContext, request: Protected, binding: Binding) -> Plain | None:
    """Decrypt a request and strike its number out; None, with nothing done, where aiocoap must."""
    number = int.from_bytes(request.partial_iv, "big")
    if not context.is_new(number):
        return None
    message = context.cipher.decrypt(binding, request.ciphertext)
    plain = None if message is None else read_plain(message)
    if plain is None or (plain.code, plain.path[0]) not in _ORDINARY:
        return None
    context.recipient_replay_window.strike_out(number)
    return plain


def _protect(
    context: NodeContext, request: Protected, response: Response, binding: Binding
) -> Outer:
    """Return the outer message of an answer; raises aiocoap's `ContextUnavailable`."""
    answer = response.answer
    if response.is_committed and answer.max_age_s is None:
        plain = write_plain(answer.code, answer.content_format, answer.payload)
        return Outer(codes.CHANGED, b"", context.cipher.encrypt(binding, plain))
    request_id = oscore.RequestIdentifiers(
        request.key_id, request.partial_iv, can_reuse_nonce=True, request_code=codes.POST
    )
    protected = protect(context, response, request_id)
    return Outer(codes.CHANGED, protected.opt.oscore, protected.payload)
