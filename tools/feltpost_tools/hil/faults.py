"""What a test can let go wrong around its board, each for the time of a with statement."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feltpost_tools.faults.disturbance import Disturbance
from feltpost_tools.hil.backend import Backend
from feltpost_tools.hil.background import Background
from feltpost_tools.hil.board import Board
from feltpost_tools.hil.services import Broker, Gateway


class Faults:
    """The fixture `faults` gives it."""

    def __init__(
        self, loop: Background, backend: Backend, board: Board, broker: Broker, gateway: Gateway
    ):
        self._loop = loop
        self._backend = backend
        self._board = board
        self._broker = broker
        self._gateway = gateway

    @contextmanager
    def link(self, seed: int, **shares: Any) -> Iterator[None]:
        """Have a bad link between board and gateway; seed: what repeats it, and is in the log.

        shares: as feltpost_tools.faults.disturbance.Disturbance takes them, such as loss=0.1.
        """
        serial = self._backend.entry.link == "serial"
        disturbance = Disturbance(seed, serial=serial, **shares)
        self._loop.call(lambda: self._disturb(f"bad from here, seed {seed}: {shares}", disturbance))
        yield
        self._loop.call(lambda: self._disturb("good again", None))

    @contextmanager
    def gateway_down(self) -> Iterator[None]:
        """Kill the gateway, as a power cut does; start it again."""
        self._gateway.kill()
        yield
        self._gateway.start()

    @contextmanager
    def broker_down(self) -> Iterator[None]:
        """Stop the broker; start it again."""
        self._broker.stop()
        yield
        self._broker.start()

    @contextmanager
    def pubacks_held(self) -> Iterator[None]:
        """Keep the broker's PUBACKs from the gateway; let them go again."""
        self._loop.call(self._broker.proxy.hold_pubacks)
        yield
        self._loop.call(self._broker.proxy.release_pubacks)

    @contextmanager
    def power_cut(self) -> Iterator[None]:
        """Cut the board's power; give it again. Needs "power"."""
        self._board.power_off()
        yield
        self._board.power_on()

    def _disturb(self, what: str, disturbance: Disturbance | None) -> None:
        self._backend.console.note(f"link {what}")
        self._backend.set_disturbance(disturbance)
