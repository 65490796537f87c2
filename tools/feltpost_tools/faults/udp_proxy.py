"""A bad network between nodes and a gateway: a UDP relay that disturbs what it carries.

Nodes are told the relay's address in the gateway's place. Each gets a socket of its own towards the
gateway, which so tells them apart by their ports as it does without a relay.
"""

import asyncio
import contextlib
import functools
import socket
from typing import Any, Self

from feltpost_tools.faults.disturbance import Disturbance, carry, later

_DATAGRAM_MOST = 65_536


class UdpProxy:
    """An asynchronous context manager: inside, it relays.

    address: where it listens. disturbance: what the datagrams of all nodes go through, None for
    nothing; it may be changed at any time.
    """

    def __init__(
        self,
        gateway: tuple[str, int],
        listen: tuple[str, int],
        disturbance: Disturbance | None = None,
    ):
        """gateway, listen: hosts and ports; listening on port 0 takes a free one."""
        self.address: Any = listen
        self.disturbance = disturbance
        self._gateway = gateway
        self._inner: socket.socket | None = None
        self._outer: dict[Any, socket.socket] = {}

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError where an address can't be had or is not known."""
        self._gateway = (await _look_up(self._gateway))[:2]
        self._inner = _socket(await _look_up(self.address))
        self.address = self._inner.getsockname()[:2]
        asyncio.get_running_loop().add_reader(self._inner, self._from_nodes)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; what is still on its way is lost."""
        loop = asyncio.get_running_loop()
        for side in (self._inner, *self._outer.values()):
            if side:
                loop.remove_reader(side)
                side.close()

    def _from_nodes(self) -> None:
        assert self._inner is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                data, node = self._inner.recvfrom(_DATAGRAM_MOST)
                way = self.disturbance.from_node if self.disturbance else None
                carry(way, data, functools.partial(_send, self._towards_gateway(node)), later)

    def _towards_gateway(self, node: Any) -> socket.socket:
        if node not in self._outer:
            outer = _socket(("", 0))
            outer.connect(self._gateway)
            self._outer[node] = outer
            take = functools.partial(self._from_gateway, outer, node)
            asyncio.get_running_loop().add_reader(outer, take)
        return self._outer[node]

    def _from_gateway(self, outer: socket.socket, node: Any) -> None:
        # Where the gateway is down, which its node must find out by itself, reading tells so.
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            data = outer.recv(_DATAGRAM_MOST)
            way = self.disturbance.to_node if self.disturbance else None
            carry(way, data, functools.partial(_send, self._inner, to=node), later)


async def _look_up(address: tuple[str, int]) -> Any:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*address, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    return found[0][4]


def _socket(address: Any) -> socket.socket:
    side = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    side.setblocking(False)
    side.bind(address)
    return side


def _send(side: socket.socket | None, data: bytes, to: Any = None) -> None:
    # A datagram that can't be sent is lost, as others are. One that was delayed may find it closed.
    if side is None or side.fileno() < 0:
        return
    with contextlib.suppress(OSError):
        side.send(data) if to is None else side.sendto(data, to)
