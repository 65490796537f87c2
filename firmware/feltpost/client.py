"""The node's side of CoAP over OSCORE: one request at a time, retransmitted until it is answered.

Only an answer that OSCORE authenticates for this very request counts. An error that arrives without
OSCORE is reported, marked as unprotected, so that its text can be shown; a success that arrives so
is ignored.
"""

import random
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from . import coap
from .link import MTU

# RFC 7252 section 4.8.
_ACK_TIMEOUT_MS = const(2_000)
_MAX_RETRANSMIT = const(4)
# RFC 7252 section 5.10.5.
_DEFAULT_MAX_AGE_S = const(60)

# Code classes, RFC 7252 section 3.
_CLASS_SUCCESS = const(2)
_CLASS_SERVER_ERROR = const(5)


class NoAnswer(Exception):
    """The gateway did not answer, or rejected the message before it looked into it."""


class Response:
    """What the gateway answered.

    code: as on the wire, 0x44 for 2.04; payload: a memoryview that holds until the next request;
    content_format: a number or None; max_age_s: seconds; protected: whether OSCORE authenticated
    it. An unprotected response is an error, never a success, and anybody may have sent it.
    round_trip_ms: since the first transmission of the request, so the answer was written within
    that time, whichever transmission it answers.
    """

    def __init__(self, code, options, payload, protected):
        self.code = code
        self.payload = payload
        self.protected = protected
        self.content_format = None
        self.max_age_s = _DEFAULT_MAX_AGE_S
        self.echo = None
        self.round_trip_ms = 0
        if protected:
            self._take(options)

    def _take(self, options):
        for number, value in options:
            if number == coap.CONTENT_FORMAT:
                self.content_format = coap.uint(value, 2)
            elif number == coap.MAX_AGE:
                self.max_age_s = coap.uint(value, 4)
            elif number == coap.ECHO:
                self.echo = bytes(value)
            elif number & 1:
                # RFC 7252 section 5.4.1: what is critical and not understood can't be used.
                raise ValueError("CoAP: critical option not understood")


class Client:
    """Speaks to the gateway at the other end of ``link`` (see link.py).

    context: an oscore.Context, which several clients may share; rng: has getrandbits().
    ack_timeout_ms, max_retransmit: RFC 7252's ACK_TIMEOUT and MAX_RETRANSMIT.
    """

    def __init__(
        self,
        link,
        context,
        rng=random,
        ack_timeout_ms=_ACK_TIMEOUT_MS,
        max_retransmit=_MAX_RETRANSMIT,
    ):
        self.link = link
        self._context = context
        self._rng = rng
        self._ack_timeout_ms = ack_timeout_ms
        self._max_retransmit = max_retransmit
        self._buf = memoryview(bytearray(MTU))
        self._writer = coap.Writer(self._buf)
        self._reply = coap.Writer(bytearray(4))
        self._message_id = rng.getrandbits(16)
        # The confirmable answer that was acknowledged last: its sender may not have heard of it.
        self._answered_id = None
        # Since boot.
        self.retransmissions = 0

    async def request(self, code, path, content_format=None, payload=b""):
        """Send one request and return the Response to it; before that no other may be sent.

        code: coap.GET, coap.PUT, …; path: the Uri-Path's segments. NoAnswer if all transmissions
        went unanswered, OSError if the link broke, ValueError if the message is too long.
        """
        response = await self._exchange(code, path, content_format, payload, None)
        if response.protected and response.code == coap.UNAUTHORIZED and response.echo:
            # RFC 8613 appendix B.1.2: the gateway wants to know that the request is fresh.
            echo = response.echo
            response = await self._exchange(code, path, content_format, payload, echo)
        return response

    async def _exchange(self, code, path, content_format, payload, echo):
        request = self._context.request()
        message = self._compose(request, code, path, content_format, payload, echo)
        started_ms = ticks_ms()
        # ACK_RANDOM_FACTOR: 1 to 1.5 times, so that nodes which lost together don't retry together.
        timeout_ms = self._ack_timeout_ms
        timeout_ms += timeout_ms * self._rng.getrandbits(10) >> 11
        # MAX_TRANSMIT_WAIT as this exchange drew it: the time all transmissions take.
        wait_ms = timeout_ms * ((2 << self._max_retransmit) - 1)
        for attempt in range(self._max_retransmit + 1):
            if attempt:
                self.retransmissions += 1
            self.link.send(message)
            deadline_ms = ticks_add(ticks_ms(), timeout_ms)
            response = await self._listen(request, deadline_ms)
            if response is not False:
                break
            timeout_ms *= 2
        while response is None:
            # The gateway has it and answers later: nothing is to be sent any more.
            response = await self._listen(request, ticks_add(started_ms, wait_ms))
        if not response:
            raise NoAnswer("no answer")
        response.round_trip_ms = ticks_diff(ticks_ms(), started_ms)
        return response

    def _compose(self, request, code, path, content_format, payload, echo):
        # Return the protected message. The plaintext is written where the ciphertext is to be.
        writer = self._writer
        self._message_id = (self._message_id + 1) & 0xFFFF
        # Without a token: one exchange at a time, and OSCORE tells whose answer it is.
        writer.header(coap.CON, coap.POST, self._message_id)
        writer.option(coap.OSCORE, self._context.option(request))
        writer.marker()
        start = writer.pos
        writer.code(code)
        for segment in path:
            writer.option(coap.URI_PATH, segment)
        if content_format is not None:
            writer.uint_option(coap.CONTENT_FORMAT, content_format)
        if echo:
            writer.option(coap.ECHO, echo)
        writer.payload(payload)
        length = writer.pos - start
        end = start + self._context.seal(request, self._buf[start:], length)
        return self._buf[:end]

    async def _listen(self, request, deadline_ms):
        # Return the Response, None once the request is acknowledged without one, or False when
        # the time is over.
        while True:
            left_ms = ticks_diff(deadline_ms, ticks_ms())
            if left_ms <= 0:
                return False
            data = await self.link.receive(left_ms)
            if data is None:
                continue
            try:
                message = coap.Message(data)
                response = self._match(request, message)
            except ValueError:
                # Damaged, somebody else's, or an answer to an earlier request.
                continue
            if response is not False:
                return response

    def _match(self, request, message):
        # What the message means to the request: Response, None for an acknowledgement, False for
        # nothing. ValueError if it claims to be an answer and is none.
        ours = message.message_id == self._message_id
        if message.kind == coap.RST:
            if ours:
                raise NoAnswer("the gateway rejected the message (reset)")
            return False
        if message.code == coap.EMPTY:
            return None if message.kind == coap.ACK and ours else False
        if message.kind == coap.ACK and not ours:
            return False
        if message.kind == coap.CON and message.message_id == self._answered_id:
            self._acknowledge(message.message_id)
            return False
        code_class = message.code >> 5
        if len(message.token) or not _CLASS_SUCCESS <= code_class <= _CLASS_SERVER_ERROR:
            return False
        option = message.option(coap.OSCORE)
        if option is None:
            # Only the acknowledgement itself: a little harder to forge, and what servers send.
            if code_class == _CLASS_SUCCESS or message.kind != coap.ACK:
                return False
            return Response(message.code, message.options, message.payload, False)
        response = self._open(request, option, message.payload)
        if message.kind == coap.CON:
            self._acknowledge(message.message_id)
        return response

    def _open(self, request, option, payload):
        length = self._context.open(request, option, payload)
        if not length:
            raise ValueError("OSCORE: empty plaintext")
        options, inner = coap.parse_options(payload[1:length])
        return Response(payload[0], options, inner, True)

    def _acknowledge(self, message_id):
        self._answered_id = message_id
        self._reply.header(coap.ACK, coap.EMPTY, message_id)
        self.link.send(self._reply.view())
