"""Shows a run as it goes: a live table in a terminal, a line now and then elsewhere."""

import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from feltpost_tools.sim.rig import Node, Rig

_LINE_EVERY_S = 5.0
_COLUMNS = (
    ("temperature", "°C", ".2f"),
    ("relativeHumidity", "%RH", ".2f"),
    ("co2", "ppm", ".0f"),
    ("illuminance", "lx", ".0f"),
)


class Display:
    """A context manager; ``phase`` says what the run is at, refresh() shows the newest state."""

    def __init__(self, console: Console, rig: Rig):
        self.phase = "starting"
        self._console = console
        self._rig = rig
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False)
        self._line_phase = ""
        self._line_s = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def refresh(self) -> None:
        """Show the newest state."""
        if self._live:
            self._live.update(self._picture(), refresh=True)
            return
        now_s = time.monotonic()
        if self.phase != self._line_phase or now_s - self._line_s >= _LINE_EVERY_S:
            self._line_phase, self._line_s = self.phase, now_s
            self._console.print(self._summary())

    def _picture(self) -> RenderableType:
        table = Table(title="Readings at the MQTT subscriber")
        table.add_column("node")
        table.add_column("link")
        table.add_column("time (UTC)")
        for _, unit, _ in _COLUMNS:
            table.add_column(unit, justify="right")
        for heading in ("sampled", "delivered", "dup.", "ms"):
            table.add_column(heading, justify="right")
        for node in self._rig.nodes:
            table.add_row(*self._row(node))
        return Group(table, Text(self._summary()))

    def _row(self, node: Node) -> list[str]:
        account = self._rig.ledger.nodes[node.name]
        newest = max((reading.unix_s for reading in account.latest.values()), default=None)
        link = node.link
        if link == "serial" and not node.board.line.plugged:
            return [node.name, "unplugged", *self._cells(node, newest)]
        return [node.name, link, *self._cells(node, newest)]

    def _cells(self, node: Node, newest: float | None) -> list[str]:
        account = self._rig.ledger.nodes[node.name]
        cells = [
            datetime.fromtimestamp(newest, UTC).strftime("%m-%d %H:%M:%S") if newest else "",
        ]
        for name, _, form in _COLUMNS:
            reading = account.latest.get(name)
            cells.append(format(reading.value, form) if reading else "")
        cells += [str(account.sampled), str(account.delivered), str(account.duplicates)]
        cells.append("" if account.latency_ms is None else f"{account.latency_ms:.0f}")
        return cells

    def _summary(self) -> str:
        outcome = self._rig.ledger.outcome()
        on_the_way = "missing" if self.phase == "done" else "on the way"
        return (
            f"{self.phase}: {outcome.sampled} sampled, {outcome.delivered} delivered, "
            f"{outcome.missing} {on_the_way}, {outcome.duplicates} duplicates"
            + (f", {outcome.wrong} wrong" if outcome.wrong else "")
        )
