"""Counts what nodes ask and what they are answered, since the gateway started."""

from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum

from aiocoap.numbers import codes

from feltpost_gateway.errors import TransientError
from feltpost_gateway.ingest import Answer, Request
from feltpost_gateway.security import NodeContext

Handler = Callable[[NodeContext, Request], Awaitable[Answer]]


class Refusal(StrEnum):
    """Why a request is not taken for that of a node: a short list, whoever sends what."""

    UNPROTECTED = "unprotected"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    NOT_DECRYPTED = "not-decrypted"
    NO_MESSAGE = "no-message"
    REPLAYED = "replayed"


class Traffic:
    """Hands authentic requests on to `handler`, counts them, and tells `heard` of each contact."""

    def __init__(self, handler: Handler, heard: Callable[[NodeContext], None]) -> None:
        self._handler = handler
        self._heard = heard
        self.answers: Counter[str] = Counter()
        """How many answers had each code, such as `2.04`."""
        self.refused: Counter[Refusal] = Counter()
        """How many requests were not taken for a node's, for each reason."""

    async def read_refused(self) -> dict[str, int]:
        """Return how many requests were not taken for a node's; every reason is there."""
        return {reason.value: self.refused[reason] for reason in Refusal}

    async def handle(self, context: NodeContext, request: Request) -> Answer:
        """Return the handler's answer, or raise what it raises."""
        try:
            answer = await self._handler(context, request)
        except TransientError:
            self.answers[codes.SERVICE_UNAVAILABLE.dotted] += 1
            self._heard(context)
            raise
        self.answers[answer.code.dotted] += 1
        self._heard(context)
        return answer
