"""Puts the application on a board, into a slot beside the one that is in use.

A slot is filled, read back on the board, compared, and only then put in use, by one rename. A board
that has a working application has one at every moment; what was interrupted is finished by doing it
again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import NotVerified
from feltpost_tools.flashing import configuration, layout, script
from feltpost_tools.flashing.compile import Application
from feltpost_tools.flashing.configuration import Settings
from feltpost_tools.flashing.result import Progress, no_progress
from feltpost_tools.language import _

LOOK, COPY, VERIFY, USE = "look", "copy", "verify", "use"
"""The steps that install() tells of."""

_SCRIPTS = ("slots", "settings")
_LOOK_S = 60.0
_USE_S = 60.0
# 90 kB in 76 files; 1.9 kB/s have been seen at 115,200 baud.
_COPY_S = 300.0
_COPIES = 2

# Appended to the slot's name where a whole slot of that name turns out to be damaged: it may be in
# use, and so is left as it is.
_VARIANTS = ("", "b", "c")


@dataclass(frozen=True)
class Slot:
    """A slot on a board: whether it was declared complete, and its files' digests as read back."""

    complete: bool
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Survey:
    """What a board has: the name in /current, slots by name, digest of main.py, configuration."""

    current: str
    slots: Mapping[str, Slot]
    main: str
    configuration: bytes

    def starts(self, application: Application) -> bool:
        """Tell whether the board has that application, whole, and starts it."""
        slot = self.slots.get(self.current)
        return (
            slot is not None
            and slot == Slot(True, application.digests)
            and self.main == application.main_digest
        )


async def install(
    board: Mpremote,
    application: Application,
    settings: Settings | None = None,
    progress: Progress = no_progress,
) -> None:
    """Have the board start that application from now on, with that configuration.

    settings: None leaves the board's own. The board is at its prompt afterwards. Raises a
    DeviceError: NotVerified where what was written does not read back, FlashFull, or another.
    """
    progress(LOOK, 0, 1)
    survey = await look(board, application)
    progress(LOOK, 1, 1)
    slot = await _filled(board, application, survey, progress)
    progress(USE, 0, 1)
    # What is cut short between two of them is an application with the former configuration.
    calls = [script.call("use", slot, application.main)]
    if settings:
        calls.append(configuration.call(settings))
    calls.append(script.call("clear", slot))
    await script.run(board, _SCRIPTS, *calls, timeout_s=_USE_S)
    progress(USE, 1, 1)


async def look(board: Mpremote, application: Application) -> Survey:
    """Return what the board has, after a soft reset; make room for the application's slot."""
    return await _look(board, application, application.name, soft_reset=True)


async def _look(
    board: Mpremote, application: Application, slot: str, soft_reset: bool = False
) -> Survey:
    room = script.call("make_room", slot, list(application.digests))
    survey = script.call("survey", [application.name + variant for variant in _VARIANTS])
    told = await script.run(board, _SCRIPTS, room, survey, timeout_s=_LOOK_S, soft_reset=soft_reset)
    return _survey(told)


def _survey(told: Iterable[list[Any]]) -> Survey:
    single: dict[str, Any] = {}
    complete: dict[str, bool] = {}
    digests: dict[str, dict[str, str]] = {}
    for what, *values in told:
        if what == "slot":
            complete[values[0]] = values[1]
        elif what == "file":
            digests.setdefault(values[0], {})[values[1]] = values[2]
        else:
            single[what] = values[0]
    return Survey(
        current=single["current"],
        slots={name: Slot(whole, digests.get(name, {})) for name, whole in complete.items()},
        main=single["main"],
        configuration=bytes.fromhex(single["configuration"]),
    )


async def _filled(
    board: Mpremote, application: Application, survey: Survey, progress: Progress
) -> str:
    # Return the name of a slot that holds the application, as the board itself has read it.
    slot = _target(board, application, survey)
    if slot != application.name:
        survey = await _look(board, application, slot)
    for _copy in range(_COPIES):
        wrong = _wrong(application, survey, slot)
        if not wrong:
            return slot
        await _copy_to(board, application, slot, progress)
        progress(VERIFY, 0, 1)
        survey = await _look(board, application, slot)
        progress(VERIFY, 1, 1)
    wrong = _wrong(application, survey, slot)
    if wrong:
        raise _not_verified(board, wrong)
    return slot


def _target(board: Mpremote, application: Application, survey: Survey) -> str:
    # The slot that has it already, else one that nobody counts on.
    names = [application.name + variant for variant in _VARIANTS]
    for name in names:
        if not _wrong(application, survey, name):
            return name
    for name in names:
        if name not in survey.slots or not survey.slots[name].complete:
            return name
    raise _not_verified(board, _wrong(application, survey, names[0]))


def _wrong(application: Application, survey: Survey, slot: str) -> list[str]:
    # The files that a slot lacks, has otherwise, or should not have.
    found = survey.slots[slot].digests if slot in survey.slots else {}
    return sorted(
        path
        for path in found.keys() | application.digests.keys()
        if found.get(path) != application.digests.get(path)
    )


async def _copy_to(
    board: Mpremote, application: Application, slot: str, progress: Progress
) -> None:
    done = 0
    total = len(application.digests)

    def begun(_path: str) -> None:
        nonlocal done
        progress(COPY, done, total)
        done += 1

    await board.copy(application.folder, layout.slot(slot), timeout_s=_COPY_S, progress=begun)
    progress(COPY, total, total)


def _not_verified(board: Mpremote, wrong: list[str]) -> NotVerified:
    return NotVerified(
        board.port,
        _("What was written does not read back: {files}.").format(files=", ".join(wrong)),
        _("Try again with another cable; where it stays, the board's flash is worn out."),
    )
