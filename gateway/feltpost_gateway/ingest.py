"""From a node's request to the store, and from what the store did to the answer.

Every answer that `handle` returns has been preceded by a commit that holds the request's replay
window; readings and window share that commit.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cbor2
from aiocoap.numbers import codes

from feltpost_gateway import reports, senml
from feltpost_gateway.cborshape import check_shape
from feltpost_gateway.clock import Clock
from feltpost_gateway.errors import PackError, PackTooLargeError
from feltpost_gateway.events import save_changes
from feltpost_gateway.logs import EventLog
from feltpost_gateway.mailbox import Mailbox
from feltpost_gateway.security import NodeContext, Speaker
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import (
    MAX_NUMBER,
    Gap,
    GapReason,
    Outcome,
    Pack,
    Report,
    Transaction,
)
from feltpost_gateway.watch import Watch

Result = TypeVar("Result")

MAX_MESSAGE_BYTES = 1024

_CBOR = 60
_SENML_CBOR = 112

_KEY_TIME = 0
_KEY_NEXT = 1
_KEY_MAIL = 2
_GAP_COUNT = 0
_GAP_REASON = 1

_UNNUMBERED_JOURNAL = 0
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class Request:
    """What a node asked, after decryption.

    `size` is that of the whole message, in bytes. `not_understood` is true where it has a critical
    option that the gateway doesn't know (RFC 7252 section 5.4.1).
    """

    code: codes.Code
    path: tuple[str, ...]
    content_format: int | None
    payload: bytes
    size: int
    not_understood: bool


@dataclass(frozen=True)
class Answer:
    """What the node is told; `content_format` is None for a diagnostic text.

    `max_age_s` is None where nobody would keep the answer anyway (RFC 7252 section 5.10.5).
    """

    code: codes.Code
    payload: bytes = b""
    content_format: int | None = None
    max_age_s: int | None = None


@dataclass(frozen=True)
class _Target:
    journal: int
    first: int | None


class Ingest:
    """Takes requests of all nodes."""

    def __init__(self, store: Store, clock: Clock, watch: Watch, mailbox: Mailbox) -> None:
        self._store = store
        self._clock = clock
        self._watch = watch
        self._mailbox = mailbox
        self._log = EventLog("ingest")

    async def handle(self, context: NodeContext, request: Request) -> Answer:
        """Return the answer to an authentic request, once the store has what it promises.

        Raises `StoreUnavailableError` or `ClockNotSetError` where nothing was stored.
        """
        match request.path:
            case _ if request.not_understood:
                answer = Answer(codes.BAD_OPTION)
            case ("t",) if request.code == codes.GET:
                await self._commit(context, _nothing)
                return Answer(codes.CONTENT, self._answer_map(context), _CBOR)
            case ("m",) if request.code == codes.GET:
                return await self._give_mail(context)
            case ("j", journal, first) if request.code == codes.PUT:
                return await self._take(context, request, journal, first)
            case ("s",) if request.code == codes.POST:
                return await self._take(context, request, None, None)
            case ("h", boot) if request.code == codes.PUT:
                return await self._take_report(context, request, boot)
            case ("t",) | ("m",) | ("s",) | ("j", _, _) | ("h", _):
                answer = Answer(codes.METHOD_NOT_ALLOWED)
            case _:
                answer = Answer(codes.NOT_FOUND)
        await self._commit(context, _nothing)
        return answer

    async def _take(
        self, context: NodeContext, request: Request, journal: str | None, first: str | None
    ) -> Answer:
        try:
            _check_size(request)
            target = _target(journal, first)
            if request.content_format == _SENML_CBOR:
                return await self._take_pack(context, request, target)
            if request.content_format == _CBOR and target.first is not None:
                return await self._take_gap(context, request, target.journal, target.first)
        except PackError as error:
            return await self._refuse(context, error, journal=journal, seq=first)
        await self._commit(context, _nothing)
        return Answer(codes.UNSUPPORTED_CONTENT_FORMAT)

    async def _take_report(self, context: NodeContext, request: Request, boot: str) -> Answer:
        if request.content_format != _CBOR:
            await self._commit(context, _nothing)
            return Answer(codes.UNSUPPORTED_CONTENT_FORMAT)
        try:
            _check_size(request)
            if not _NUMBER.fullmatch(boot) or int(boot) > MAX_NUMBER:
                raise PackError(f"a boot is a number from 0 to {MAX_NUMBER}")
            content = reports.decode(request.payload)
        except PackError as error:
            return await self._refuse(context, error, boot=boot)
        report = Report(context.node_id, int(boot), self._clock.now_ms(), request.payload)
        changes = self._watch.took_report(context.node_id, content, report.received_ms)

        def save(transaction: Transaction) -> bytes | None:
            save_changes(transaction.connection, changes)
            return transaction.save_report(report)

        before = await self._commit(context, save)
        self._watch.saved(changes)
        if before is None or not reports.is_repeated(content, before):
            self._log.info(
                "report", node=context.node.name, boot=boot, **reports.log_fields(content)
            )
        return Answer(codes.CHANGED, self._answer_map(context), _CBOR)

    async def _give_mail(self, context: NodeContext) -> Answer:
        await self._commit(context, _nothing)
        # Read after the commit: what was revoked meanwhile is not given away.
        if self._mailbox.waits(context):
            self._log.info("mail-fetched", node=context.node.name)
        return Answer(codes.CONTENT, self._mailbox.read(context), _CBOR, max_age_s=0)

    async def _refuse(self, context: NodeContext, error: PackError, **where: object) -> Answer:
        node = context.node.name
        self._log.limited((node, str(error)), "refused", node=node, **where, reason=error)
        await self._commit(context, _nothing)
        too_large = isinstance(error, PackTooLargeError)
        code = codes.REQUEST_ENTITY_TOO_LARGE if too_large else codes.BAD_REQUEST
        return Answer(code, str(error).encode())

    async def _take_pack(self, context: NodeContext, request: Request, target: _Target) -> Answer:
        now_ms = self._clock.now_ms()
        known_ms = now_ms if self._clock.is_set() else None
        records = senml.decode(
            request.payload,
            now_ms=known_ms,
            base_name=f"{context.node.urn}_",
            short_floats=target.journal != _UNNUMBERED_JOURNAL,
        )
        senml.check(records, now_ms=known_ms)
        if target.first is not None:
            _check_last(target.first, len(records))
        pack = Pack(
            context.node_id, target.journal, target.first, len(records), now_ms, request.payload
        )
        changes = self._watch.took_readings(context.node_id, records)

        def save(transaction: Transaction) -> Outcome:
            save_changes(transaction.connection, changes)
            return transaction.append(pack)

        outcome = await self._commit(context, save, takes_room=True)
        self._watch.saved(changes)
        self._watch.count(context.node_id, outcome)
        self._note_unseen(context.node, target.journal, outcome)
        next_seq = None if target.first is None else outcome.next_seq
        return Answer(codes.CHANGED, self._answer_map(context, next_seq), _CBOR)

    async def _take_gap(
        self, context: NodeContext, request: Request, journal: int, first: int
    ) -> Answer:
        count, reason = _decode_gap(request.payload)
        _check_last(first, count)
        gap = Gap(context.node_id, journal, first, count, reason, self._clock.now_ms())
        outcome = await self._commit(context, lambda transaction: transaction.note_gap(gap))
        self._note_unseen(context.node, journal, outcome)
        if outcome.stored:
            self._log.warning(
                "gap",
                node=context.node.name,
                journal=journal,
                seq=first,
                count=count,
                reason=reason.name.lower(),
            )
        return Answer(codes.CHANGED, self._answer_map(context, outcome.next_seq), _CBOR)

    async def _commit(
        self,
        context: NodeContext,
        operation: Callable[[Transaction], Result],
        takes_room: bool = False,
    ) -> Result:
        row = context.snapshot()

        def run(transaction: Transaction) -> Result:
            transaction.save_security(row)
            return operation(transaction)

        result = await self._store.write(run, takes_room=takes_room)
        context.committed(row)
        return result

    def _answer_map(self, context: NodeContext, next_seq: int | None = None) -> bytes:
        answer: dict[int, int] = {}
        if self._clock.is_set():
            answer[_KEY_TIME] = self._clock.now_ms()
        if next_seq is not None:
            answer[_KEY_NEXT] = next_seq
        if self._mailbox.waits(context):
            answer[_KEY_MAIL] = True
        return cbor2.dumps(answer)

    def _note_unseen(self, node: Speaker, journal: int, outcome: Outcome) -> None:
        if outcome.unseen:
            self._log.warning(
                "numbers-missing",
                node=node.name,
                journal=journal,
                count=outcome.unseen,
                before=outcome.next_seq,
            )


def _check_size(request: Request) -> None:
    if request.size > MAX_MESSAGE_BYTES:
        raise PackTooLargeError(f"{request.size} bytes; a message has at most {MAX_MESSAGE_BYTES}")


def _nothing(_ledger: Transaction) -> None:
    """Store the replay window alone."""


def _target(journal: str | None, first: str | None) -> _Target:
    if journal is None or first is None:
        return _Target(_UNNUMBERED_JOURNAL, None)
    if not _NUMBER.fullmatch(journal) or not 1 <= int(journal) <= MAX_NUMBER:
        raise PackError(f"a journal is a number from 1 to {MAX_NUMBER}")
    if not _NUMBER.fullmatch(first) or int(first) > MAX_NUMBER:
        raise PackError(f"a sequence number is from 0 to {MAX_NUMBER}")
    return _Target(int(journal), int(first))


def _check_last(first: int, count: int) -> None:
    if first + count - 1 > MAX_NUMBER:
        raise PackError(f"its numbers go beyond {MAX_NUMBER}")


def _decode_gap(payload: bytes) -> tuple[int, GapReason]:
    check_shape(payload)
    try:
        report = cbor2.loads(payload)
    except (cbor2.CBORError, ValueError) as error:
        raise PackError(f"the CBOR can't be decoded: {error}") from error
    if not isinstance(report, dict) or set(report) != {_GAP_COUNT, _GAP_REASON}:
        raise PackError("a gap is a map of 0 (count) and 1 (reason)")
    count, reason = report[_GAP_COUNT], report[_GAP_REASON]
    if type(count) is not int or count < 1:
        raise PackError("a gap's count is a number from 1 on")
    if type(reason) is not int or not (
        GapReason.JOURNAL_FULL <= reason <= GapReason.LOST_WITH_POWER
    ):
        raise PackError("a gap's reason is a number from 1 to 4")
    return count, GapReason(reason)
