"""The aiocoap site: nothing is served but OSCORE (RFC 8613 section 8).

It finds the context by key id, decrypts, hands the request on, and encrypts the answer. The
request's own nonce is used for the answer only where the replay window that holds the request is
on the disk; every other answer takes a Partial IV of the gateway's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiocoap import error, oscore
from aiocoap.message import Message
from aiocoap.numbers import codes
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import CON
from aiocoap.pipe import Pipe

from feltpost_gateway.errors import ClockNotSetError, StoreUnavailableError, TransientError
from feltpost_gateway.ingest import Answer, Request
from feltpost_gateway.logs import EventLog
from feltpost_gateway.security import NodeContext
from feltpost_gateway.store import Store
from feltpost_gateway.traffic import Refusal
from feltpost_gateway.transaction import Transaction

Handler = Callable[[NodeContext, Request], Awaitable[Answer]]
KeyUsed = Callable[[NodeContext], Awaitable[None]]
Guests = Callable[[bytes, bytes | None], NodeContext | None]
"""Finds the context of someone who is no node, by the key id and the ID Context of a request."""

_STORE_RETRY_S = 30
_CLOCK_RETRY_S = 10

# RFC 8613 section 6.1: the lengths 6 and 7 are reserved.
_PARTIAL_IV_MAX_BYTES = 5

# RFC 7967: not interested in any class of response. aiocoap then sends nothing but the empty
# acknowledgement of a confirmable request.
_SUPPRESS_ALL = 26

_TAKEN_OPTIONS = frozenset(
    (OptionNumber.URI_PATH, OptionNumber.CONTENT_FORMAT, OptionNumber.ECHO, OptionNumber.ACCEPT)
)
# Codes and texts are those of RFC 8613 section 8.2, where it has them.
_ANSWERS = {
    Refusal.UNPROTECTED: (codes.UNAUTHORIZED, "OSCORE is required"),
    Refusal.MALFORMED: (codes.BAD_OPTION, "Failed to decode COSE"),
    Refusal.UNKNOWN_KEY: (codes.UNAUTHORIZED, "Security context not found"),
    Refusal.NOT_DECRYPTED: (codes.BAD_REQUEST, "Decryption failed"),
    Refusal.REPLAYED: (codes.UNAUTHORIZED, "Replay detected"),
    Refusal.NO_MESSAGE: (codes.BAD_REQUEST, "The encrypted message is malformed"),
}


class _RefusedError(Exception):
    """The request was not authentic; the answer is unprotected.

    `node` is the name of the node whose key id the request carries, None where it is no node's.
    """

    def __init__(self, reason: Refusal, node: str | None = None, key_id: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code, self.text = _ANSWERS[reason]
        self.node = node
        self.key_id = key_id


@dataclass(frozen=True)
class Response:
    """An answer before it is protected.

    `is_committed` is whether the request's replay window is on the disk. Where it is not, the same
    request could be accepted again after a crash, and its nonce be used for another answer.
    """

    answer: Answer
    is_committed: bool


class OscoreSite:
    """Serves the nodes whose contexts are in a mapping by key id, at each request anew.

    `key_used` is told of the first request that was answered under a key which supersedes others.
    `guests` is asked about key ids that are no node's. `refused` counts requests that were not
    authentic.
    """

    def __init__(
        self,
        contexts: Mapping[bytes, NodeContext],
        handler: Handler,
        store: Store,
        refused: Counter[Refusal],
        key_used: KeyUsed | None = None,
        guests: Guests | None = None,
    ) -> None:
        self.contexts = contexts
        self._key_used = key_used
        self._guests = guests
        self._refused = refused
        self._handler = handler
        self._store = store
        self._log = EventLog("oscore")

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request; aiocoap calls this."""
        request = pipe.request
        try:
            response = await self._respond(request)
        except _RefusedError as refusal:
            self._refused[refusal.reason] += 1
            # Key ids that are no node's can be made up without end; they share one limit.
            self._log.limited(
                (refusal.node, refusal.text),
                "refused",
                node=refusal.node or f"unknown (key id {refusal.key_id.hex() or 'none'})",
                source=_source(request),
                reason=refusal.text,
            )
            response = None
            if request.mtype is CON:
                response = Message(code=refusal.code, payload=refusal.text.encode(), max_age=0)
        except oscore.ContextUnavailable:
            self.log_unanswered()
            response = None
        if response is None:
            response = Message(code=codes.CHANGED, no_response=_SUPPRESS_ALL)
        pipe.add_response(response, is_last=True)

    async def _respond(self, request: Message) -> Message:
        context = self._find_context(request)
        try:
            inner, request_id = _unprotect(context, request)
        except oscore.ReplayErrorWithEcho as lost:
            self._log.limited((context.node.name,), "echo", node=context.node.name)
            if not context.has_sender_numbers:
                await self._reserve(context)
            challenge: Message = lost.to_message()
            return challenge
        response = await self.answer(context, _plain_request(request, inner))
        return protect(context, response, request_id)

    async def answer(self, context: NodeContext, request: Request) -> Response:
        """Return the answer to an authentic request that the replay window has let through."""
        try:
            answer = await self._handler(context, request)
        except TransientError as failure:
            self._log.limited(
                (context.node.name, type(failure)),
                "put-off",
                node=context.node.name,
                reason=failure,
            )
            return _unavailable(failure)
        if context.supersedes and self._key_used is not None:
            await self._key_used(context)
        return Response(answer, is_committed=True)

    def log_unanswered(self) -> None:
        """Log that an answer had to be left out, as `protect` raised `ContextUnavailable`."""
        self._log.limited((), "unanswered", reason="no sender sequence number is reserved")

    def _find_context(self, request: Message) -> NodeContext:
        try:
            unprotected = oscore.verify_start(request)
        except oscore.NotAProtectedMessage:
            raise _RefusedError(Refusal.UNPROTECTED) from None
        except (oscore.DecodeError, IndexError):
            raise _RefusedError(Refusal.MALFORMED) from None
        key_id = unprotected.get(oscore.COSE_KID)
        partial_iv = unprotected.get(oscore.COSE_PIV, b"")
        if key_id is None or len(partial_iv) > _PARTIAL_IV_MAX_BYTES:
            raise _RefusedError(Refusal.MALFORMED)
        # Group OSCORE's, of which aiocoap takes for granted that the context has the keys.
        if oscore.COSE_COUNTERSIGNATURE0 in unprotected:
            raise _RefusedError(Refusal.MALFORMED)
        context = self.contexts.get(key_id)
        if context is None and self._guests is not None:
            context = self._guests(key_id, unprotected.get(oscore.COSE_KID_CONTEXT))
        if context is None or request.code not in (codes.POST, codes.FETCH):
            raise _RefusedError(Refusal.UNKNOWN_KEY, key_id=key_id)
        return context

    async def _reserve(self, context: NodeContext) -> None:
        row = context.snapshot()

        def save(transaction: Transaction) -> None:
            transaction.save_security(row)

        try:
            await self._store.write(save)
        except StoreUnavailableError:
            return
        context.committed(row)


def protect(
    context: NodeContext, response: Response, request_id: oscore.RequestIdentifiers
) -> Message:
    """Return the outer message of an answer; raises aiocoap's `ContextUnavailable`."""
    if not response.is_committed:
        request_id.can_reuse_nonce = False
    answer = response.answer
    message = Message(code=answer.code, payload=answer.payload)
    message.opt.content_format = answer.content_format
    message.opt.max_age = answer.max_age_s
    protected: Message
    protected, _ = context.protect(message, request_id)  # type: ignore[no-untyped-call]
    return protected


def _unprotect(context: NodeContext, request: Message) -> tuple[Message, oscore.RequestIdentifiers]:
    node = context.node.name
    try:
        inner, request_id = context.unprotect(request)  # type: ignore[no-untyped-call]
    except oscore.ReplayErrorWithEcho:
        raise
    except oscore.ReplayError:
        raise _RefusedError(Refusal.REPLAYED, node) from None
    except oscore.DecodeError:
        raise _RefusedError(Refusal.MALFORMED, node) from None
    except oscore.ProtectionInvalid:
        raise _RefusedError(Refusal.NOT_DECRYPTED, node) from None
    except (error.UnparsableMessage, ValueError, IndexError):
        raise _RefusedError(Refusal.NO_MESSAGE, node) from None
    return inner, request_id


def _plain_request(outer: Message, inner: Message) -> Request:
    # Token and message id are not options; the payload marker is the one byte more.
    size = 4 + len(outer.token) + len(outer.opt.encode()) + 1 + len(outer.payload)
    not_understood = any(
        option.number.is_critical() and option.number not in _TAKEN_OPTIONS
        for option in inner.opt.option_list()
    )
    content_format = inner.opt.content_format
    return Request(
        code=codes.EMPTY if inner.code is None else inner.code,
        path=inner.opt.uri_path,
        content_format=None if content_format is None else int(content_format),
        payload=inner.payload,
        size=size,
        not_understood=not_understood,
    )


def _unavailable(failure: TransientError) -> Response:
    payload = b"nothing was stored; keep it and send it again later"
    retry_s = _CLOCK_RETRY_S if isinstance(failure, ClockNotSetError) else _STORE_RETRY_S
    answer = Answer(codes.SERVICE_UNAVAILABLE, payload, max_age_s=retry_s)
    return Response(answer, is_committed=False)


def _source(request: Message) -> str:
    return request.remote.hostinfo if request.remote else "unknown"
