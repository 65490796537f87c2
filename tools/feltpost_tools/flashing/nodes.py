"""Which node a board is to become: one named on the command line, or a row of a batch list."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from feltpost_tools.batch import DONE, Batch, Outcome, Row
from feltpost_tools.errors import AlreadyDone, NoNode
from feltpost_tools.language import _


class Nodes(Protocol):
    """Tells boards from one another by their MAC addresses, as `format_mac` writes them."""

    async def take(self, mac: str) -> Mapping[str, str] | None:
        """Return what is known of the node that a board becomes, by column; "board" is one.

        None where it stays what it is. Raises NoNode where there is none for it, AlreadyDone where
        nothing is left to be done.
        """
        ...

    async def record(self, mac: str, result: str | None, firmware: str) -> None:
        """Note what came of a board: result is None for success, else why it failed."""
        ...


class SameAsBefore:
    """Every board stays the node that it is, with its configuration."""

    async def take(self, mac: str) -> None:
        """Return None."""

    async def record(self, mac: str, result: str | None, firmware: str) -> None:
        """Note nothing."""


@dataclass
class One:
    """One node, whatever board it is given."""

    columns: Mapping[str, str]

    async def take(self, mac: str) -> Mapping[str, str]:
        """Return the node, see `Nodes`."""
        return self.columns

    async def record(self, mac: str, result: str | None, firmware: str) -> None:
        """Note nothing."""


class Listed:
    """The rows of a batch list; again: those that are done, too."""

    def __init__(self, batch: Batch, again: bool = False) -> None:
        self._batch = batch
        self._again = again
        self._rows: dict[str, Row] = {}

    @property
    def left(self) -> bool:
        """Whether a row is not done yet."""
        return not all(row.done for row in self._batch.rows)

    async def take(self, mac: str) -> Mapping[str, str]:
        """Return a board's row, see `Nodes`."""
        row = await asyncio.to_thread(self._batch.row_for, mac, again=self._again)
        if row is None and self._batch.done(mac):
            raise AlreadyDone(_("done before, the list says; --again does it again"))
        if row is None:
            raise NoNode(
                _("The list has no row left for {mac}. Add one to it, then run again.").format(
                    mac=mac
                )
            )
        self._rows[mac] = row
        return row.columns

    async def record(self, mac: str, result: str | None, firmware: str) -> None:
        """Write what came of a board into its row, if it has one. Raises BatchError."""
        if mac in self._rows:
            outcome = Outcome(DONE if result is None else result, firmware)
            await asyncio.to_thread(self._batch.record, self._rows[mac], outcome)
