"""One board's way from what it is to a node that its gateway knows, step by step.

Each step finds out what is done already, so that a run that was cut short is finished by another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from feltpost_gateway.enrolment import COLUMNS, Enrolment
from feltpost_gateway.nodes import format_mac, parse_mac
from feltpost_tools import boards, kits
from feltpost_tools.boards import Board
from feltpost_tools.device import image_cache, state
from feltpost_tools.device.loader import RomLoader
from feltpost_tools.device.micropython_image import OLDEST
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.device.state import BoardState, Doing
from feltpost_tools.enrolment.base import describe
from feltpost_tools.errors import AlreadyDone, BatchError, DeviceError, NoAnswer, NoNode
from feltpost_tools.flashing import application, configuration, factory_reset, key, selftest
from feltpost_tools.flashing.configuration import Settings
from feltpost_tools.flashing.key import KeyOnBoard
from feltpost_tools.flashing.nodes import Nodes
from feltpost_tools.flashing.order import Order
from feltpost_tools.flashing.result import BoardResult, Progress, StepResult, attempt
from feltpost_tools.language import _

LOOK = "board"
MICROPYTHON = "micropython"
APPLICATION = "application"
KEY = "key"
SELFTEST = "selftest"
ENROL = "enrol"
START = "start"

_NEEDS_MICROPYTHON = (Doing.LOADER, Doing.BOOT_LOOP)


@dataclass(frozen=True)
class Report:
    """What came of a board. Empty texts are what is not known.

    node, site: as they were asked for. outcome: what became of it, in a few words. notes: what
    is to be known besides: a network out of reach, a list that could not be written.
    """

    result: BoardResult
    chip: str
    mac: str
    node: str
    site: str
    firmware: str
    micropython: str
    outcome: str
    notes: tuple[str, ...]


def _eui64(mac: bytes) -> bytes:
    # A MAC-48 as an EUI-64, as nodes.parse_mac() makes it.
    return parse_mac(mac.hex(":"))


class Job:
    """The board at a port, and all that is to be done with it; run() once."""

    def __init__(self, port: str, order: Order, nodes: Nodes, progress: Progress) -> None:
        self._port = port
        self._order = order
        self._nodes = nodes
        self._progress = progress
        self._board = Mpremote(port)
        self._state = BoardState(port, Doing.SILENT)
        self._columns: Mapping[str, str] = {}
        self._settings: Settings | None = None
        self._key: KeyOnBoard | None = None
        self._installed = False
        self._outcome = ""
        self._notes: list[str] = []

    async def run(self) -> Report:
        """Do it all, up to the first step that fails; return what came of it.

        A cancellation ends the step under way and is reported as any other failure.
        """
        steps: list[StepResult] = []
        try:
            for step, work in self._steps():
                self._progress(step, 0, 1)
                steps.append(await attempt(step, work()))
                if not steps[-1].ok:
                    break
        except AlreadyDone as done:
            self._outcome = str(done)
        except asyncio.CancelledError:
            steps.append(
                StepResult(step, False, _("It was interrupted."), _("Run it again to finish."))
            )
        result = BoardResult(self._port, tuple(steps))
        if step != START and self._state.doing is Doing.APPLICATION:
            # What ran before runs again.
            with suppress(DeviceError):
                await self._board.hard_reset()
        await self._record(result)
        return self._report(result)

    def _steps(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        steps = [(LOOK, self._look), (MICROPYTHON, self._give_micropython)]
        steps += [(APPLICATION, self._install), (KEY, self._give_key), (SELFTEST, self._test)]
        if self._order.enroller:
            steps.append((ENROL, self._enrol))
        return [*steps, (START, self._board.hard_reset)]

    # The steps

    async def _look(self) -> None:
        self._state = await state.find_out(self._port, goes_on=False)
        if self._state.doing is Doing.SILENT and not self._order.reset:
            raise NoAnswer(
                self._port,
                _("The board says nothing."),
                _(
                    "It may be asleep, with readings that a reset would lose: wait until it "
                    "wakes. A board that is no node yet: let it be reset, with --reset."
                ),
            )
        if self._state.mac is None:
            found = await RomLoader(self._port).identify()
            self._state = BoardState(self._port, Doing.LOADER, chip=found.name, mac=found.mac)
        columns = await self._nodes.take(self._mac)
        if columns is not None:
            self._columns = {**self._order.site.columns, **columns}
            self._settings = configuration.make(
                kits.load(self._columns["kit"]),
                self._definition(),
                self._order.site.links,
                self._order.site.options,
                self._order.site.passwords,
            )
        elif not self._state.has_key:
            raise NoNode(
                _("{port}: The board is no node yet. Say what it becomes: --name, --kit.").format(
                    port=self._port
                )
            )

    async def _give_micropython(self) -> None:
        loader = RomLoader(self._port)
        # Nobody's files are lost without being asked about, and where nobody can tell.
        lose_files = self._order.lose_files or self._state.files == ()
        if self._state.doing in _NEEDS_MICROPYTHON or (self._state.micropython or OLDEST) < OLDEST:
            image = image_cache.find(self._state.chip or "", self._order.micropython)
            await loader.write(
                image,
                lose_files=lose_files,
                progress=lambda done, total: self._progress(MICROPYTHON, done, total),
            )
            self._state = replace(self._state, micropython=image.version)
        elif not self._state.has_journal:
            await loader.add_journal(lose_files=lose_files)

    async def _install(self) -> None:
        await application.install(
            self._board, self._order.application, self._settings, self._progress
        )
        self._installed = True

    async def _give_key(self) -> None:
        if self._order.erase_journal:
            await factory_reset.erase_journal(self._board)
        self._key = await key.ensure(self._board, self._order.new_identity)

    async def _test(self) -> None:
        made = await selftest.run(self._board)
        self._notes += [f"{check.why} {check.advice}" for check in made if not check.ok]

    async def _enrol(self) -> None:
        enroller, on_board = self._order.enroller, self._key
        assert enroller
        assert on_board
        if await enroller.known(self._mac, on_board.check) and not self._order.update:
            self._outcome = _("enrolled already")
            return
        if not self._columns:
            # Its gateway may be another one than this.
            self._outcome = _("not known to this gateway")
            return
        made = on_board.made or await key.read_key(self._board)
        columns = {name: self._columns[name] for name in COLUMNS if name in self._columns}
        enrolment = Enrolment(
            {**columns, "mac": self._mac},
            made.key_id,
            made.key,
            replaces=self._order.new_identity,
            update=self._order.update,
        )
        self._outcome = describe(await enroller.enrol(enrolment))

    # What is known

    @property
    def _mac(self) -> str:
        return format_mac(_eui64(self._state.mac or b""))

    def _definition(self) -> Board:
        # Which of the boards that Feltpost knows it is: the one named, or the only one of its chip.
        if "board" in self._columns:
            return boards.load(self._columns["board"])
        known = [boards.load(name) for name in boards.names()]
        fitting = [board for board in known if board.chip == self._state.chip]
        if len(fitting) == 1:
            return fitting[0]
        raise NoNode(
            _("{port}: Say which board it is with --board: {names}.").format(
                port=self._port, names=", ".join(board.name for board in fitting or known)
            )
        )

    async def _record(self, result: BoardResult) -> None:
        if self._state.mac is None:
            return
        failed = result.failed
        firmware = self._order.application.version if self._installed else ""
        try:
            await self._nodes.record(self._mac, failed.why if failed else None, firmware)
        except BatchError as error:
            self._notes.append(str(error))

    def _report(self, result: BoardResult) -> Report:
        return Report(
            result=result,
            chip=self._state.chip or "",
            mac=self._mac if self._state.mac else "",
            node=self._columns.get("name", ""),
            site=self._columns.get("site", ""),
            firmware=self._order.application.version if self._installed else "",
            micropython=".".join(map(str, self._state.micropython or ())),
            outcome=self._outcome,
            notes=tuple(self._notes),
        )
