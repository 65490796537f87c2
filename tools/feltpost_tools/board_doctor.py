"""What is wrong with a board on a cable: what was seen, what it means, what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from feltpost_tools.device import ports
from feltpost_tools.device.micropython_image import CHIPS, OLDEST
from feltpost_tools.device.state import BoardState, Doing
from feltpost_tools.errors import DeviceError
from feltpost_tools.language import _

_EMPTY_FLASH = "invalid header: 0xffffffff"


@dataclass(frozen=True)
class Finding:
    """A fault, in three sentences for the technician."""

    seen: str
    means: str
    advice: str


def of_no_port() -> Finding:
    """Return what it is when no board is found at all."""
    return Finding(
        seen=_("No port of a board is there."),
        means=_("The computer does not see the board, or the cable has no wires for data."),
        advice=ports.no_board(),
    )


def of_error(error: DeviceError) -> Finding:
    """Return what it is when the port can't be used."""
    return Finding(
        seen=error.happened,
        means=_("Nothing can be found out about the board."),
        advice=error.advice,
    )


def of_state(state: BoardState) -> list[Finding]:
    """Return what is wrong with the board, the most urgent first; nothing where all is well."""
    return [finding for check in _CHECKS for finding in check(state)]


def _power(state: BoardState) -> Iterator[Finding]:
    if state.brown_outs:
        yield Finding(
            _("The board said that its voltage was too low: “Brownout detector was triggered”."),
            _("The supply can't give what Wi-Fi takes in its peaks, some 500 mA."),
            _(
                "Use a shorter or thicker cable, a socket without a hub or a stronger supply; "
                "look for sensors or a battery that pull the voltage down."
            ),
        )


def _chip(state: BoardState) -> Iterator[Finding]:
    if state.chip and state.chip not in CHIPS:
        yield Finding(
            _("The board has the chip {chip}.").format(chip=state.chip),
            _("Feltpost does not run on this chip."),
            _("Use a board with one of: {chips}.").format(chips=", ".join(CHIPS)),
        )


def _doing(state: BoardState) -> Iterator[Finding]:
    explain = _EXPLAIN.get(state.doing)
    if explain:
        yield explain(state)


def _boot_loop(state: BoardState) -> Finding:
    if _EMPTY_FLASH in state.heard:
        return Finding(
            _("The chip starts over and over and finds nothing in its flash."),
            _("MicroPython is missing, as on a new board."),
            _("Flash the board with `feltpost flash`."),
        )
    return Finding(
        _("The chip starts over and over; last it said: {line}").format(line=_last(state.heard)),
        _("What is in its flash is damaged, for another chip, or its supply fails."),
        _("Flash MicroPython again: `feltpost flash --micropython FILE`; try another supply."),
    )


def _silent(state: BoardState) -> Finding:
    return Finding(
        _("The board says nothing and does not answer."),
        _(
            "It is in deep sleep, as nodes on a battery are most of the time; or the cable or the "
            "board is broken."
        ),
        _(
            "Wait until it wakes and try again. Press RESET (EN) only if readings that it has not "
            "sent may be lost; then try another cable, and hold BOOT while you press RESET."
        ),
    )


def _loader(state: BoardState) -> Finding:
    return Finding(
        _("The chip is in the loader in its ROM and waits to be flashed."),
        _("BOOT was held at reset, or its pin (GPIO 0 or 9) is pulled to ground."),
        _("Flash it with `feltpost flash`, or press RESET (EN) alone to start it."),
    )


def _unreadable(state: BoardState) -> Finding:
    return Finding(
        _("The board sends what is no text."),
        _("It sends at another speed than 115200 baud, or the line is disturbed."),
        _("Flash it with `feltpost flash`; where it stays, try another cable."),
    )


def _other(state: BoardState) -> Finding:
    return Finding(
        _("The board talks, but does not come to the prompt; last it said: {line}").format(
            line=_last(state.heard)
        ),
        _("Another program than MicroPython runs on it, or one that can't be interrupted."),
        _("Watch it with `feltpost monitor`; if it is no node of yours, `feltpost flash` it."),
    )


_EXPLAIN: dict[Doing, Callable[[BoardState], Finding]] = {
    Doing.BOOT_LOOP: _boot_loop,
    Doing.SILENT: _silent,
    Doing.LOADER: _loader,
    Doing.UNREADABLE: _unreadable,
    Doing.OTHER: _other,
}


def _micropython(state: BoardState) -> Iterator[Finding]:
    if state.micropython and state.micropython < OLDEST:
        yield Finding(
            _("MicroPython {version} is on the board.").format(version=_dotted(state.micropython)),
            _("It is too old; Feltpost needs {oldest}.").format(oldest=_dotted(OLDEST)),
            _("`feltpost flash` writes a newer one and keeps key and files."),
        )


def _application(state: BoardState) -> Iterator[Finding]:
    # Only where the prompt told what is on the board.
    if state.mac is None or state.doing is Doing.LOADER:
        return
    if state.feltpost is None:
        yield Finding(
            _("There is MicroPython on the board, and no Feltpost."),
            _("The board was never flashed, or that was interrupted."),
            _("Flash it with `feltpost flash`."),
        )
        return
    if not state.has_key or not state.key_id:
        yield Finding(
            _("There is no key on the board."),
            _("The node is not enrolled, so it can't speak to a gateway and does not start."),
            _("Enrol it: `feltpost flash` does, and leaves the rest as it is."),
        )
    if state.configuration_fault:
        yield Finding(
            _("The configuration can't be used: {fault}").format(fault=state.configuration_fault),
            _("The node does not know its links and sensors and does not start."),
            _("Write it anew with `feltpost flash`, or set it right with `feltpost config set`."),
        )
    for problem in state.left_out:
        yield Finding(
            _("A part of the configuration is left out: {problem}").format(problem=problem),
            _("The node runs without it."),
            _("Set it right with `feltpost config set`."),
        )
    if not state.has_journal:
        yield Finding(
            _("The flash has no partition for the journal."),
            _("Readings are kept in memory only; a power cut loses them."),
            _("`feltpost flash` makes room for it."),
        )


def _crashes(state: BoardState) -> Iterator[Finding]:
    if state.safe_mode:
        yield Finding(
            _("The node was in safe mode, without sensors."),
            _("Ten starts in a row went wrong."),
            _("See the crash, if one is shown; update with `feltpost flash`."),
        )
    if state.crash:
        yield Finding(
            _("The application has crashed: {line}").format(line=_last(state.crash)),
            _("Its traceback waits to be sent to the gateway."),
            _("`feltpost monitor` shows whether it goes on; report it with this message."),
        )


_CHECKS: tuple[Callable[[BoardState], Iterator[Finding]], ...] = (
    _power,
    _chip,
    _doing,
    _micropython,
    _application,
    _crashes,
)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
