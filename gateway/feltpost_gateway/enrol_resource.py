"""`/enrol`: what whoever has an enrolment code may ask of the gateway, and nothing else.

`POST` enrols a node, answered once the registry's commit is on the disk; `FETCH` (RFC 8132) asks
whether the gateway knows a node with a key. Nodes have no access to it, and codes to nothing else.
"""

import cbor2
from aiocoap.numbers import codes

from feltpost_gateway.enrol_access import Code, CodeContext
from feltpost_gateway.enrolling import Enroller
from feltpost_gateway.enrolment import (
    Outcome,
    Status,
    decode,
    decode_question,
    encode_outcome,
)
from feltpost_gateway.ingest import Answer, Request
from feltpost_gateway.nodes import FieldFault, FieldsError, OperatorError, normalise, parse_mac
from feltpost_gateway.security import NodeContext
from feltpost_gateway.texts import text
from feltpost_gateway.traffic import Handler

PATH = ("enrol",)

_CBOR = 60
_KNOWN = 0

_CODES = {
    Status.MALFORMED: codes.BAD_REQUEST,
    Status.CODE_USED_UP: codes.FORBIDDEN,
    Status.CODE_FOR_NEW_NODES: codes.FORBIDDEN,
}


class EnrolResource:
    """Answers those who have a code, and hands the requests of nodes on to `nodes`."""

    def __init__(self, enroller: Enroller, nodes: Handler) -> None:
        self._enroller = enroller
        self._nodes = nodes

    async def handle(self, context: NodeContext, request: Request) -> Answer:
        """Return the answer to an authentic request.

        Raises `StoreUnavailableError` where nothing could be stored.
        """
        if not isinstance(context, CodeContext):
            return await self._nodes(context, request)
        if request.not_understood:
            return Answer(codes.BAD_OPTION)
        if request.path != PATH:
            return Answer(codes.NOT_FOUND)
        if request.code not in (codes.POST, codes.FETCH):
            return Answer(codes.METHOD_NOT_ALLOWED)
        if request.content_format != _CBOR:
            return Answer(codes.UNSUPPORTED_CONTENT_FORMAT)
        if request.code == codes.FETCH:
            return self._look_up(request.payload)
        async with context.code.lock:
            outcome = await self._enrol(context.code, request.payload)
        code = codes.CHANGED
        if outcome.status.refused:
            code = _CODES.get(outcome.status, codes.CONFLICT)
        return Answer(code, encode_outcome(outcome), _CBOR)

    def _look_up(self, payload: bytes) -> Answer:
        try:
            known = self._enroller.knows(decode_question(payload))
        except OperatorError as error:
            return Answer(codes.BAD_REQUEST, str(error).encode())
        return Answer(codes.CONTENT, cbor2.dumps({_KNOWN: known}), _CBOR)

    async def _enrol(self, code: Code, payload: bytes) -> Outcome:
        try:
            enrolment = decode(payload)
            eui64 = parse_mac(normalise(enrolment.columns.get("mac", "")))
        except FieldsError as error:
            return Outcome(Status.MALFORMED, faults=tuple(error.faults))
        except OperatorError as error:
            return Outcome(Status.MALFORMED, faults=(FieldFault("", error.text),))
        if not code.may_enrol(eui64):
            fault = text(
                "the code is used up (nodes: {count}). Ask for another one", count=code.nodes
            )
            return Outcome(Status.CODE_USED_UP, faults=(FieldFault("", fault),))
        (outcome,) = await self._enroller.enrol([enrolment], code.name, new_only=not code.replaces)
        if outcome.status in (Status.ENROLLED, Status.REPLACED):
            code.enrolled.add(eui64)
        return outcome
