"""What serial and UDP links have in common towards aiocoap and the short way past it."""

import abc
from collections.abc import Callable

from aiocoap import error, interfaces
from aiocoap.message import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.constants import TransportTuning

from feltpost_gateway.coap_frame import Outer
from feltpost_gateway.logs import EventLog


class _LinkTuning(TransportTuning):
    """CoAP timing for requests of nodes.

    A commit may take longer than aiocoap's 0.1 s on an SD card. Waiting for it up to half of the
    node's ACK_TIMEOUT (RFC 7252 section 4.8) keeps the answer in the acknowledgement, one message
    instead of three.

    aiocoap keeps each message for EXCHANGE_LIFETIME, to recognise its repetitions. With the 100 s
    of latency that RFC 7252 allows for, that is 247 s; these links take no 10 s, and a repetition
    after the 67 s that follow from it is refused by OSCORE's replay window anyhow.
    """

    EMPTY_ACK_DELAY = 1.0
    MAX_LATENCY = 10.0


TUNING = _LinkTuning()


class LinkAddress(interfaces.EndpointAddress):
    """Where a message came from; equal addresses are the same peer to aiocoap.

    `key` identifies the peer among all links, `hostinfo` names it in the log.
    """

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False

    def __init__(self, key: tuple[object, ...], hostinfo: str) -> None:
        self._key = key
        self._hostinfo = hostinfo

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinkAddress) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._hostinfo}>"

    @property
    def hostinfo(self) -> str:
        """The peer's name."""
        return self._hostinfo

    @property
    def hostinfo_local(self) -> str:
        """Not known: the gateway makes no requests whose URI would need it."""
        raise error.AnonymousHost

    @property
    def uri_base(self) -> str:
        """The peer's URI."""
        return f"coap://{self._hostinfo}"

    @property
    def uri_base_local(self) -> str:
        """Not known, as `hostinfo_local`."""
        raise error.AnonymousHost

    @property
    def blockwise_key(self) -> tuple[object, ...]:
        """What tells block-wise transfers of different peers apart."""
        return self._key


class Link(interfaces.MessageInterface):
    """A message interface that serves requests and makes none.

    Each message that comes is offered to `take` first, which tells whether it took it.
    """

    def __init__(self, manager: MessageManager, take: "Take", log: EventLog) -> None:
        self._manager = manager
        self._take = take
        self._log = log

    def received(self, data: bytes, address: LinkAddress) -> None:
        """Hand a CoAP message on; whatever the bytes, nothing is raised."""
        if self._take(self, data, address):
            return
        try:
            message = Message.decode(data, address)
        except (error.UnparsableMessage, ValueError, IndexError):
            self._log.limited((), "not-coap", source=address.hostinfo, bytes=len(data))
            return
        message.transport_tuning = TUNING
        self._manager.dispatch_message(message)

    def send(self, message: Message) -> None:
        """Send a message of aiocoap's."""
        assert isinstance(message.remote, LinkAddress)
        self.send_bytes(message.encode(), message.remote)

    @abc.abstractmethod
    def send_bytes(self, message: bytes, address: LinkAddress) -> None:
        """Send a CoAP message; where that can't be done, CoAP's retransmission helps."""

    def send_separately(self, answer: Outer, token: bytes, address: LinkAddress) -> None:
        """Have aiocoap send an answer in a confirmable message of its own.

        That is for requests whose acknowledgement is out already (RFC 7252 section 5.2.2).
        """
        message = Message(code=answer.code, payload=answer.payload, transport_tuning=TUNING)
        message.opt.oscore = answer.oscore
        message.token = token
        message.remote = address
        self._manager.send_message(message, _ignore_reset)

    async def recognize_remote(self, remote: object) -> bool:
        """Tell aiocoap that no request can be sent over this link."""
        return False

    async def determine_remote(self, message: Message) -> None:
        """Tell aiocoap that no request can be sent over this link."""
        return


Take = Callable[[Link, bytes, LinkAddress], bool]


def _ignore_reset() -> None:
    """Do nothing: a node that resets an answer has given its request up."""
