"""CoAP over UDP (RFC 7252), IPv4 or IPv6.

The destination address of each datagram is kept and becomes the source of the answer, so that a
gateway with several addresses can listen on all of them.
"""

import asyncio
import contextlib
import socket
from typing import Any

from aiocoap.messagemanager import MessageManager

from feltpost_gateway.config import UdpConfig
from feltpost_gateway.links.base import Link, LinkAddress, Take
from feltpost_gateway.logs import EventLog

# Linux's IP_PKTINFO, which Python's socket module doesn't name.
_IP_PKTINFO = 8
_DATAGRAM_MAX_BYTES = 65_535
_ANCILLARY_MAX_BYTES = 128
# Room in the kernel for what arrives while the gateway is busy: the requests of a thousand nodes,
# of which each takes 768 bytes there or more (docs/decisions/0011). It is as much as the system
# allows, if that is less (net.core.rmem_max).
_RECEIVE_BUFFER_BYTES = 1 << 20
# Datagrams taken in one go, so that a flood on UDP doesn't starve the serial ports.
_READS_AT_ONCE = 64

_Ancillary = list[tuple[int, int, bytes]]


class UdpAddress(LinkAddress):
    """A UDP peer, with the control message that makes answers leave from the right address."""

    def __init__(self, sockaddr: Any, ancillary: _Ancillary) -> None:
        host, port = sockaddr[:2]
        hostinfo = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__(("udp", sockaddr), hostinfo)
        self.sockaddr = sockaddr
        self.ancillary = ancillary


class UdpLink(Link):
    """One listening UDP socket."""

    def __init__(self, manager: MessageManager, take: Take, config: UdpConfig) -> None:
        """Bind the socket; raises `OSError` where that can't be done."""
        super().__init__(manager, take, EventLog("udp"))
        family = socket.AF_INET6 if ":" in config.bind else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if family == socket.AF_INET6:
                # "::" takes IPv4 as well, so that one socket serves every node.
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            self._socket.bind((config.bind, config.port))
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)

    @property
    def port(self) -> int:
        """The port that the socket listens on."""
        return int(self._socket.getsockname()[1])

    def send_bytes(self, message: bytes, address: LinkAddress) -> None:
        """Send a message; where the socket can't take it, CoAP's retransmission helps."""
        assert isinstance(address, UdpAddress)
        try:
            self._socket.sendmsg([message], address.ancillary, 0, address.sockaddr)
        except OSError as error:
            self._log.limited((error.errno,), "unsent", to=address.hostinfo, error=error)

    async def shutdown(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS_AT_ONCE):
                self._read_one()

    def _read_one(self) -> None:
        try:
            data, ancillary, _, sockaddr = self._socket.recvmsg(
                _DATAGRAM_MAX_BYTES, _ANCILLARY_MAX_BYTES
            )
        except BlockingIOError:
            raise
        except OSError as error:
            # An ICMP error of an earlier answer; the next datagram has nothing to do with it.
            self._log.limited((error.errno,), "receive-failed", error=error)
            return
        self.received(data, UdpAddress(sockaddr, _answer_ancillary(ancillary)))


def _answer_ancillary(received: _Ancillary) -> _Ancillary:
    """Turn the control messages of a datagram into those of its answer."""
    answer = []
    for level, kind, data in received:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            answer.append((level, kind, data))
        elif (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            # struct in_pktinfo: interface, local address, destination address of the header. The
            # local address is the source of what is sent; the route chooses the interface.
            answer.append((level, kind, bytes(4) + data[4:8] + bytes(4)))
    return answer
