"""What the plugin keeps with pytest's own objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    # They take half a second to import, and more packages than are there where only Feltpost's
    # gateway is in use: sessions without a board do without.
    from feltpost_tools.hil.bench import Bench
    from feltpost_tools.hil.inventory import BoardEntry
    from feltpost_tools.hil.station import Station

BOARDS: pytest.StashKey[list[BoardEntry]] = pytest.StashKey()
BENCH: pytest.StashKey[Bench] = pytest.StashKey()
STATION: pytest.StashKey[Station] = pytest.StashKey()

_STRANGE = re.compile(r"[^\w.=-]+")


def boards(config: pytest.Config) -> list[BoardEntry]:
    """Return the session's boards; complain of one that is not there, or can't be used so."""
    from feltpost_tools.errors import FeltpostError
    from feltpost_tools.hil import inventory

    if BOARDS in config.stash:
        return config.stash[BOARDS]
    try:
        named = config.getoption("inventory")
        path = Path(named) if named else inventory.default(config.rootpath)
        found = inventory.find(config.getoption("board") or [inventory.SIMULATED], path)
    except FeltpostError as error:
        raise pytest.UsageError(str(error)) from None
    if _spread(config) and not all(board.simulated for board in found):
        raise pytest.UsageError(
            "A real board is one process's: run with --numprocesses=0, or with --dist=loadgroup, "
            "which keeps the tests of each board together."
        )
    config.stash[BOARDS] = found
    return found


def bench(config: pytest.Config, folder: Path) -> Bench:
    """Return the session's bench, made when it is asked for first; folder: for what it writes."""
    from feltpost_tools.hil.bench import Bench

    if BENCH not in config.stash:
        config.stash[BENCH] = Bench(folder, config.getoption("board_wait"))
    return config.stash[BENCH]


def log_file(config: pytest.Config, folder: Path, item: pytest.Item) -> Path:
    """Return the file for what the board says in a test; folder: where --board-logs names none."""
    wanted = config.getoption("board_logs")
    logs = Path(wanted).absolute() if wanted else folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{_STRANGE.sub('-', item.nodeid).strip('-')}.log"
    log.write_text("")
    return log


def _spread(config: pytest.Config) -> bool:
    # Whether several processes may run the tests of one board.
    return config.getoption("dist", "no") not in ("no", "loadgroup")
