"""How fast the journal wears the flash, on a raw partition as it is and in files on LittleFS.

``rows()`` measures and yields the rows for the bench's table; ``python -m bench.journal_wear``
prints them alone. Erases are counted on a chip in MicroPython (mp_journal_wear.py) for a while, and
scaled to a year of one set of four readings a minute in 1 MiB.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.table import Row, Section, show
from feltpost_tools.errors import FeltpostError
from feltpost_tools.flashing.compile import firmware_source
from feltpost_tools.sim.interpreter import find

_SCRIPT = Path(__file__).with_name("mp_journal_wear.py")
_TIMEOUT_S = 120

_BLOCKS = 256
_READINGS_A_SET = 4
_SETS_A_YEAR = 365.25 * 24 * 60
# What makers of such chips promise each block (e.g. Winbond W25Q32JV, "Features").
_CYCLES = 100_000
_YEARS_AT_LEAST = 10

# On raw flash the blocks take turns, so few of them for many rounds tell what many will do.
# LittleFS chooses its blocks, so it gets all of them.
_RAW_BLOCKS, _RAW_SETS = 16, 4_000
_FILES_BLOCKS, _FILES_SETS = _BLOCKS, 400


@dataclass(frozen=True)
class Wear:
    """What a chip has seen after so many sets of readings."""

    sets: int
    writes: int
    programmed_bytes: int
    erases: int
    cuts: int
    cuts_with_loss: int

    @property
    def erases_a_year(self) -> float:
        """Erases per block and year in 1 MiB, if they spread evenly."""
        return self.erases / self.sets * _SETS_A_YEAR / _BLOCKS

    @property
    def years(self) -> float:
        """Years until the blocks reach their rated cycles, if the erases spread evenly."""
        return _CYCLES / self.erases_a_year

    @property
    def bytes_a_reading(self) -> float:
        """Bytes programmed for each reading, its share of the mark that frees it included."""
        return self.programmed_bytes / self.sets / _READINGS_A_SET


def measure(kind: str, blocks: int, sets: int) -> Wear:
    """Run ``raw`` or ``littlefs`` on a chip of so many blocks, for so many sets."""
    done = subprocess.run(
        [*find().command, "-X", "heapsize=8M", str(_SCRIPT), kind, str(blocks), str(sets)],
        env={**os.environ, "MICROPYPATH": f"{firmware_source()}:.frozen"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    if done.returncode:
        raise FeltpostError(f"{_SCRIPT.name} failed:\n{done.stdout}{done.stderr}")
    return Wear(sets, *map(int, done.stdout.split()))


def rows() -> Iterator[Row]:
    """Measure both, and yield the rows: the journal's with its budget, LittleFS's to compare."""
    raw = measure("raw", _RAW_BLOCKS, _RAW_SETS)
    yield Row("journal of 1 MiB: erases per block and year", raw.erases_a_year, "")
    yield Row(
        f"journal of 1 MiB: until {_CYCLES:,} erases per block",
        raw.years,
        "years",
        at_least=_YEARS_AT_LEAST,
    )
    yield Row("journal: programmed per reading", raw.bytes_a_reading, "bytes")
    files = measure("littlefs", _FILES_BLOCKS, _FILES_SETS)
    yield Row("the same in files on LittleFS: erases per block and year", files.erases_a_year, "")
    yield Row(f"the same on LittleFS: until {_CYCLES:,} erases per block", files.years, "years")
    yield Row("the same on LittleFS: programmed per reading", files.bytes_a_reading, "bytes")
    yield Row(
        f"the same on LittleFS: of {files.cuts} power cuts, with loss", files.cuts_with_loss, ""
    )


def _main() -> None:
    interpreter = find()
    version = ".".join(map(str, interpreter.version))
    section = Section(
        "The journal's wear",
        list(rows()),
        f"MicroPython {version}, {interpreter.bits} bits",
        ["One set of four readings a minute, each on flash before the next."],
    )
    show([section], Console())


if __name__ == "__main__":
    _main()
