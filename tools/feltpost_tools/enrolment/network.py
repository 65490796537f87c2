"""Enrolment over the network: CoAP and OSCORE under a one-time code (docs/security.md)."""

import asyncio
import ipaddress
import secrets

import cbor2
from aiocoap import error, oscore
from aiocoap.message import Message
from aiocoap.numbers import codes
from aiocoap.protocol import Context

from feltpost_gateway.enrol_codes import ID_CONTEXT_BYTES, derive
from feltpost_gateway.enrolment import (
    MAX_BYTES,
    Enrolment,
    Outcome,
    Question,
    decode_outcome,
    encode,
    encode_question,
)
from feltpost_gateway.nodes import OperatorError, parse_mac
from feltpost_tools.enrolment.base import accept
from feltpost_tools.errors import EnrolmentError, GatewayUnavailable
from feltpost_tools.language import _

TIMEOUT_S = 20.0
"""How long an answer may take: a message that is lost is sent again after 2, 6 and 14 s or so."""

_CBOR = 60
_KNOWN = 0
_WINDOW_SIZE = 32


class _CodeContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """This program's side of a security context under a code.

    Its ID Context is drawn anew each time, so that it may count its messages from 0.
    """

    alg_aead = oscore.AES_CCM_16_64_128()
    hashfun = oscore.hashfunctions["sha256"]
    recipient_id = b""
    echo_recovery = None

    def __init__(self, code: str) -> None:
        known = derive(code)
        self.id_context = secrets.token_bytes(ID_CONTEXT_BYTES)
        self.sender_id = known.key_id
        self.derive_keys(b"", known.secret)  # type: ignore[no-untyped-call]
        self.recipient_replay_window = oscore.ReplayWindow(_WINDOW_SIZE, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.sender_sequence_number = 0

    def post_seqnoincrease(self) -> None:
        """Do nothing: the context ends with this program."""


class NetworkEnroller:
    """The gateway at an address, `host`, `host:port` or an IPv6 address, by an enrolment code.

    The code is a secret: it must not come from the command line, where every user of the computer
    sees it.
    """

    def __init__(self, gateway: str, code: str, timeout_s: float = TIMEOUT_S) -> None:
        """Raises `EnrolmentError` where the code has not the form of one."""
        self._gateway = gateway
        self._timeout_s = timeout_s
        self._uri = f"coap://{_authority(gateway)}/enrol"
        try:
            self._context = _CodeContext(code)
        except OperatorError:
            raise EnrolmentError(
                _(
                    "That is not an enrolment code. It has 16 letters and digits in groups of four;"
                    " the gateway's operator gets one with: feltpost-gateway enrol-code"
                )
            ) from None

    async def known(self, mac: str, check: bytes) -> bool | None:
        """Tell whether the gateway has that node with that key, see `Enroller`."""
        question = encode_question(Question(parse_mac(mac), check))
        answer = await self._request(codes.FETCH, question)
        if answer.code != codes.CONTENT:
            raise self._unexpected(answer)
        return bool(cbor2.loads(answer.payload)[_KNOWN])

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        """Make a node known, see `Enroller`."""
        content = encode(enrolment)
        if len(content) > MAX_BYTES:
            raise EnrolmentError(
                _("The description of {mac} is too long. Shorten its room or its kit.").format(
                    mac=enrolment.columns["mac"]
                )
            )
        answer = await self._request(codes.POST, content)
        try:
            outcome = decode_outcome(answer.payload)
        except OperatorError:
            raise self._unexpected(answer) from None
        return accept(enrolment, outcome)

    async def _request(self, code: codes.Code, payload: bytes) -> Message:
        client = await Context.create_client_context(transports=["oscore", "simple6"])
        client.client_credentials[f"{self._uri}*"] = self._context
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._exchange(client, code, payload)
        except (TimeoutError, error.NetworkError):
            raise GatewayUnavailable(
                _(
                    "The gateway {gateway} does not answer. Is the address right, is the computer"
                    " on the gateway's network, and does the gateway run?"
                ).format(gateway=self._gateway)
            ) from None
        finally:
            await client.shutdown()
        if answer.code == codes.SERVICE_UNAVAILABLE:
            raise GatewayUnavailable(
                _(
                    "The gateway {gateway} can't store anything at the moment. Try again in {wait}"
                    " seconds."
                ).format(gateway=self._gateway, wait=answer.opt.max_age)
            )
        return answer

    async def _exchange(self, client: Context, code: codes.Code, payload: bytes) -> Message:
        try:
            message = Message(code=code, uri=self._uri, payload=payload)
            message.opt.content_format = _CBOR
            answer: Message = await client.request(message, handle_blockwise=False).response
        except oscore.NotAProtectedMessage as plain:
            raise self._unprotected(plain.plain_message) from None
        except oscore.ProtectionInvalid:
            raise self._foreign() from None
        except (error.MalformedUrlError, error.IncompleteUrlError):
            raise EnrolmentError(
                _("{gateway} is not the address of a gateway.").format(gateway=self._gateway)
            ) from None
        return answer

    def _unprotected(self, answer: Message) -> EnrolmentError:
        if answer.code != codes.UNAUTHORIZED:
            return self._foreign()
        return EnrolmentError(
            _(
                "The gateway {gateway} does not know this enrolment code. It was mistyped, its time"
                " is over, it was withdrawn, or the gateway has restarted since. Ask the gateway's"
                " operator for another one."
            ).format(gateway=self._gateway)
        )

    def _foreign(self) -> EnrolmentError:
        return EnrolmentError(
            _("What answers at {gateway} is not a Feltpost gateway with this code.").format(
                gateway=self._gateway
            )
        )

    def _unexpected(self, answer: Message) -> EnrolmentError:
        return EnrolmentError(
            _(
                "The gateway {gateway} answered {code}, which this program does not understand."
                " Is the gateway's version older?"
            ).format(gateway=self._gateway, code=answer.code)
        )


def _authority(gateway: str) -> str:
    """Return an address as URIs have it: an IPv6 address goes in brackets."""
    try:
        return f"[{ipaddress.IPv6Address(gateway)}]"
    except ValueError:
        return gateway
