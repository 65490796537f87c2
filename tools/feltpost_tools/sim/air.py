"""What carries a simulated board's datagrams: between its UDP socket and the gateway's."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from feltpost_tools.faults.disturbance import Disturbance, carry
from feltpost_tools.sim.radio import AccessPoint, Radio

if TYPE_CHECKING:
    from feltpost_tools.sim.tap import Tap

_DATAGRAM_MOST = 65_536

# The network that simulated boards are configured for unless a test says otherwise.
SSID = "simulated"


class Air:
    """A relay on the loopback interface, one for each board.

    The board sends to ``port``; the gateway sees a peer of its own for each board. Nothing is
    carried while ``radio`` is on no network, and what is carried goes through ``disturbance``.
    """

    def __init__(
        self,
        gateway: tuple[str, int],
        now_us: Callable[[], int],
        sent: Callable[[], None],
        arriving: Callable[[Callable[[], None]], None],
        unreachable: Callable[[], None],
        later: Callable[[int, Callable[[], object]], object],
    ):
        """now_us: returns simulated Unix time. sent is called for each datagram from the board;
        arriving for each one to it, with a function that delivers it; unreachable when nobody
        listens at the gateway's port, or a datagram is lost; later: calls a function after so many
        simulated milliseconds."""
        self.disturbance: Disturbance | None = None
        self.tap: Tap | None = None
        self.radio = Radio([AccessPoint(SSID)], now_us)
        self._sent = sent
        self._arriving = arriving
        self._unreachable = unreachable
        self._later = later
        self._board_address: tuple[str, int] | None = None
        self._inner = _bound_socket()
        self._outer = _bound_socket()
        self._outer.connect(gateway)
        self.port: int = self._inner.getsockname()[1]
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inner, self.collect)
        loop.add_reader(self._outer, self._from_gateway)

    @property
    def up(self) -> bool:
        """Whether any network is in reach; to be set for all of them at once."""
        return any(point.up for point in self.radio.reach)

    @up.setter
    def up(self, up: bool) -> None:
        for point in self.radio.reach:
            point.up = up

    def collect(self) -> None:
        """Carry all that the board has sent up to now."""
        while True:
            try:
                data, self._board_address = self._inner.recvfrom(_DATAGRAM_MOST)
            except BlockingIOError:
                return
            if self._carries():
                if self.tap:
                    self.tap.from_node(data)
                way = self.disturbance.from_node if self.disturbance else None
                if not carry(way, data, self._to_gateway, self._later):
                    self._unreachable()

    def close(self) -> None:
        """Take the air away."""
        loop = asyncio.get_running_loop()
        for side in (self._inner, self._outer):
            loop.remove_reader(side)
            side.close()

    def _to_gateway(self, data: bytes) -> None:
        if self._outer.fileno() < 0:
            # It was on its way when the air was taken away.
            return
        self._sent()
        # The gateway may be down, which the board must find out by itself.
        with contextlib.suppress(ConnectionRefusedError):
            self._outer.send(data)

    def _from_gateway(self) -> None:
        try:
            data = self._outer.recv(_DATAGRAM_MOST)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._unreachable()
            return
        if self._carries():
            way = self.disturbance.to_node if self.disturbance else None
            if not carry(way, data, self._to_board, self._later):
                self._unreachable()

    def _carries(self) -> bool:
        point = self.radio.point
        return point is not None and point.carries

    def _to_board(self, data: bytes) -> None:
        address = self._board_address
        if address and self._inner.fileno() >= 0:
            self._arriving(lambda: self._deliver(data, address))

    def _deliver(self, data: bytes, address: tuple[str, int]) -> None:
        if self.tap:
            self.tap.to_node(data)
        self._inner.sendto(data, address)


def _bound_socket() -> socket.socket:
    side = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    side.setblocking(False)
    side.bind(("127.0.0.1", 0))
    return side
