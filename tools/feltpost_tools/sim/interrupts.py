"""Which pins of a simulated board interrupt it, and when."""

from collections.abc import Iterator, Mapping

from feltpost_tools.sim.lines import Line
from feltpost_tools.sim.parts import Part


class PinInterrupts:
    """The pins whose edges the board waits for. Times are simulated Unix microseconds."""

    def __init__(self, parts: Mapping[str, Part]):
        """parts: what the board's pins lead to, by place."""
        self._parts = parts
        # By pin: which edges interrupt the board, and up to when it has been told of them.
        self._armed: dict[int, tuple[int, int]] = {}

    def arm(self, pin: int, trigger: int, now_us: int) -> None:
        """Wait for the pin's edges from now on; trigger: which (see lines.py), 0 for none."""
        self._armed.pop(pin, None)
        if trigger and isinstance(self._parts.get(f"pin{pin}"), Line):
            self._armed[pin] = trigger, now_us

    def clear(self) -> None:
        """Wait for no edge, as after a reset."""
        self._armed.clear()

    def next_us(self) -> int | None:
        """Return when the next interrupt comes; None: never."""
        edge = self._next()
        return edge and edge[0]

    def take(self, now_us: int) -> Iterator[int]:
        """Give the pin of each interrupt that has come by now, once."""
        while (edge := self._next()) and edge[0] <= now_us:
            edge_us, pin = edge
            self._armed[pin] = self._armed[pin][0], edge_us
            yield pin

    def _next(self) -> tuple[int, int] | None:
        edges = []
        for pin, (trigger, told_us) in self._armed.items():
            line = self._parts[f"pin{pin}"]
            assert isinstance(line, Line)
            edge_us = line.next_edge_us(told_us, trigger)
            if edge_us is not None:
                edges.append((edge_us, pin))
        return min(edges, default=None)
