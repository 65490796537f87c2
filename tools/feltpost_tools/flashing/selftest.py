"""Lets a board test itself, and says what its answers mean and what to do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import SelftestFailed
from feltpost_tools.flashing import layout
from feltpost_tools.flashing.result import Progress, no_progress
from feltpost_tools.language import _

STEP = "selftest"

_MARK = "feltpost:"

# Sensors take up to half a minute each, a network 20 s.
_TIMEOUT_S = 240.0

_RUN = f"""\
import os

with open({layout.CURRENT!r}) as file:
    os.chdir({layout.SLOTS!r} + "/" + file.read())
try:
    from feltpost import selftest

    selftest.run()
finally:
    os.chdir("/")
"""

# The application with five sensors runs in as much (./run bench node).
_HEAP_LEAST_BYTES = 96 * 1024
_JOURNAL_LEAST_BYTES = 3 * 4096

# What a sensor in a room, a street or a stream can show at all, by what it measures: values beyond
# say that it is broken or wired wrong. In the units of firmware/feltpost/metrics.py.
_PLAUSIBLE = {
    "atmosphericPressure": (850.0, 1100.0),
    "co2": (300.0, 10_000.0),
    "distance": (0.0, 20.0),
    "illuminance": (0.0, 120_000.0),
    "relativeHumidity": (1.0, 100.0),
    "temperature": (-40.0, 60.0),
}


@dataclass(frozen=True)
class Check:
    """What came of one check.

    name: heap, nvs, files, journal, key, configuration, sensor or link. of: which sensor or link.
    essential: whether a node could do its work without; a network may be out of reach where boards
    are flashed. measured: what was read, for people.
    """

    name: str
    of: str
    ok: bool
    essential: bool
    why: str
    advice: str
    measured: Mapping[str, Any]


async def run(board: Mpremote, progress: Progress = no_progress) -> list[Check]:
    """Let a board test itself, and have all that is essential in order. Raises a DeviceError.

    SelftestFailed names every essential check that failed; the others are in what is returned.
    """
    progress(STEP, 0, 1)
    made = await checks(board)
    failed = [check for check in made if check.essential and not check.ok]
    if failed:
        raise SelftestFailed(
            board.port,
            " ".join(f"{check.name} {check.of}".strip() + f": {check.why}" for check in failed),
            failed[0].advice,
        )
    progress(STEP, 1, 1)
    return made


async def checks(board: Mpremote) -> list[Check]:
    """Run the self-test of the application in use, after a soft reset; return all checks.

    The board is at its prompt then. It uses up no sequence number and leaves the journal alone.
    Raises a DeviceError.
    """
    printed = await board.run(_RUN, timeout_s=_TIMEOUT_S, soft_reset=True)
    lines = [line[len(_MARK) :] for line in printed.splitlines() if line.startswith(_MARK)]
    return [_check(json.loads(line)) for line in lines]


def _check(told: dict[str, Any]) -> Check:
    name, of = told.pop("check"), told.pop("of")
    ok, why = told.pop("ok"), told.pop("why")
    if ok:
        why = _doubt(name, told)
    return Check(
        name=name,
        of=of,
        ok=not why,
        essential=name != "link",
        why=why,
        advice=_advice(name, told) if why else "",
        measured=told.get("values", told),
    )


def _doubt(name: str, told: Mapping[str, Any]) -> str:
    # What is wrong with an answer that the board itself has nothing against; "" for nothing.
    if name == "heap" and told["bytes"] < _HEAP_LEAST_BYTES:
        return _("The heap has {bytes} bytes only.").format(bytes=told["bytes"])
    if name == "journal" and told["bytes"] < _JOURNAL_LEAST_BYTES:
        return _("The partition has {bytes} bytes only.").format(bytes=told["bytes"])
    for quantity, value in told.get("values", {}).items():
        least, most = _PLAUSIBLE.get(quantity, (None, None))
        if value is not None and least is not None and not least <= value <= most:
            return _("{quantity} is {value}, which can't be.").format(
                quantity=quantity, value=value
            )
    return ""


def _advice(name: str, told: Mapping[str, Any]) -> str:
    if name == "link" and told["joined"]:
        return _("Check that the gateway runs and that its address in the configuration is right.")
    return {
        "heap": _("Use a board with more memory, or one whose MicroPython is a stock build."),
        "nvs": _("Erase the board with esptool and flash it again; it may be worn out."),
        "files": _("Remove files that do not belong to Feltpost; else the flash is worn out."),
        "journal": _("Flash again with MicroPython: that makes the partition for the journal."),
        "key": _("Flash the board, which gives it a key."),
        "configuration": _("Correct it with `feltpost config set`, or flash again."),
        "sensor": _("Check the sensor's wiring and power against the kit's wiring table."),
        "link": _("Check the network's name and password, and whether it reaches this place."),
    }[name]
