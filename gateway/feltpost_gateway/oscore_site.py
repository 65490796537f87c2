"""The aiocoap site: nothing is served but OSCORE (RFC 8613 section 8).

It finds the context by key id, decrypts, hands the request on, and encrypts the answer. The
request's own nonce is used for the answer only where the replay window that holds the request is
on the disk; every other answer takes a Partial IV of the gateway's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

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
from feltpost_gateway.transaction import Transaction

Handler = Callable[[NodeContext, Request], Awaitable[Answer]]
KeyUsed = Callable[[NodeContext], Awaitable[None]]

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


class _RefusedError(Exception):
    """The request was not authentic; the answer is unprotected.

    `node` is the name of the node whose key id the request carries, None where it is no node's.
    """

    def __init__(
        self, code: codes.Code, text: str, node: str | None = None, key_id: bytes = b""
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.node = node
        self.key_id = key_id


class OscoreSite:
    """Serves the nodes whose contexts are in a mapping by key id, at each request anew.

    `key_used` is told of the first request that was answered under a key which supersedes others.
    """

    def __init__(
        self,
        contexts: Mapping[bytes, NodeContext],
        handler: Handler,
        store: Store,
        key_used: KeyUsed | None = None,
    ) -> None:
        self._contexts = contexts
        self._key_used = key_used
        self._handler = handler
        self._store = store
        self._log = EventLog("oscore")

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request; aiocoap calls this."""
        request = pipe.request
        try:
            response = await self._respond(request)
        except _RefusedError as refusal:
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
            self._log.limited((), "unanswered", reason="no sender sequence number is reserved")
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
        try:
            answer = await self._handler(context, _plain_request(request, inner))
        except TransientError as failure:
            # The window may not be on the disk, so after a crash the same request could be
            # accepted again, and its nonce be used for another answer.
            request_id.can_reuse_nonce = False
            self._log.limited(
                (context.node.name, type(failure)),
                "put-off",
                node=context.node.name,
                reason=failure,
            )
            response = _unavailable(failure)
        else:
            response = Message(code=answer.code, payload=answer.payload)
            response.opt.content_format = answer.content_format
            if context.supersedes and self._key_used is not None:
                await self._key_used(context)
        protected: Message
        protected, _ = context.protect(response, request_id)  # type: ignore[no-untyped-call]
        return protected

    def _find_context(self, request: Message) -> NodeContext:
        try:
            unprotected = oscore.verify_start(request)
        except oscore.NotAProtectedMessage:
            raise _RefusedError(codes.UNAUTHORIZED, "OSCORE is required") from None
        except (oscore.DecodeError, IndexError):
            raise _RefusedError(codes.BAD_OPTION, "Failed to decode COSE") from None
        key_id = unprotected.get(oscore.COSE_KID)
        partial_iv = unprotected.get(oscore.COSE_PIV, b"")
        if key_id is None or len(partial_iv) > _PARTIAL_IV_MAX_BYTES:
            raise _RefusedError(codes.BAD_OPTION, "Failed to decode COSE")
        context = self._contexts.get(key_id)
        if context is None or request.code not in (codes.POST, codes.FETCH):
            raise _RefusedError(codes.UNAUTHORIZED, "Security context not found", key_id=key_id)
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


def _unprotect(context: NodeContext, request: Message) -> tuple[Message, oscore.RequestIdentifiers]:
    node = context.node.name
    try:
        inner, request_id = context.unprotect(request)  # type: ignore[no-untyped-call]
    except oscore.ReplayErrorWithEcho:
        raise
    except oscore.ReplayError:
        raise _RefusedError(codes.UNAUTHORIZED, "Replay detected", node) from None
    except oscore.DecodeError:
        raise _RefusedError(codes.BAD_OPTION, "Failed to decode COSE", node) from None
    except oscore.ProtectionInvalid:
        raise _RefusedError(codes.BAD_REQUEST, "Decryption failed", node) from None
    except (error.UnparsableMessage, ValueError, IndexError):
        raise _RefusedError(codes.BAD_REQUEST, "The encrypted message is malformed", node) from None
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


def _unavailable(failure: TransientError) -> Message:
    retry_s = _CLOCK_RETRY_S if isinstance(failure, ClockNotSetError) else _STORE_RETRY_S
    return Message(
        code=codes.SERVICE_UNAVAILABLE,
        payload=b"nothing was stored; keep it and send it again later",
        max_age=retry_s,
    )


def _source(request: Message) -> str:
    return request.remote.hostinfo if request.remote else "unknown"
