"""What goes to and from a simulated board, as far as somebody in the run has to wait for it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from feltpost_gateway import slipmux
from feltpost_tools.sim.clock import monotonic_us
from feltpost_tools.sim.world import ANSWER_WAIT_US

if TYPE_CHECKING:
    from feltpost_tools.sim.tap import Tap


class Exchanges:
    """Knows until when an answer is awaited, and shows a tap the messages on the cable.

    awaited_until_us: in real time, microseconds of the monotonic clock; 0 for no longer.
    """

    def __init__(self, changed: Callable[[], None]):
        """changed: called when an answer is awaited no more."""
        self.tap: Tap | None = None
        self.awaited_until_us = 0
        self._changed = changed
        self._sent = slipmux.Decoder()
        self._received = slipmux.Decoder()

    def begin(self) -> None:
        """Begin again, as after a reset, which may have come in the middle of a frame."""
        self._sent = slipmux.Decoder()
        self._received = slipmux.Decoder()
        self.awaited_until_us = 0

    def sent(self, data: bytes) -> None:
        """Look at what the board sent on its cable."""
        for item in self._sent.feed(data):
            if isinstance(item, slipmux.Coap):
                self.request_sent()
                if self.tap:
                    self.tap.from_node(item.message)

    def received(self, data: bytes) -> None:
        """Look at what came to the board on its cable."""
        answers = [i for i in self._received.feed(data) if isinstance(i, slipmux.Coap)]
        if answers:
            self.none_expected()
            if self.tap:
                for answer in answers:
                    self.tap.to_node(answer.message)
        elif not self._received.in_frame:
            # Somebody types, or a tool does, and has its time-outs in real time.
            self.request_sent()

    def request_sent(self) -> None:
        """Await an answer from now on."""
        self.awaited_until_us = monotonic_us() + ANSWER_WAIT_US

    def none_expected(self) -> None:
        """Await no answer any more."""
        self.awaited_until_us = 0
        self._changed()
