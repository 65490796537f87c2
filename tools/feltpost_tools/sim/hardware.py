"""What a simulated board is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from feltpost_tools.sim.parts import Part


@dataclass(frozen=True)
class Hardware:
    """What a board is made of.

    mac: six bytes. heap_kib: what the application has of MicroPython's heap. parts: what its
    pins and buses lead to, by place. journal_blocks: the flash partition "journal" in blocks of
    4 KiB, 0 for a board without one. crystal_ppm: how much too fast its clock runs, parts per
    million; sleep_ppm: the same in deep sleep. epoch: the year from which its time.time() counts,
    2000 as on the ESP32 or 1970.
    """

    mac: bytes
    heap_kib: int
    parts: Mapping[str, Part]
    journal_blocks: int = 0
    crystal_ppm: int = 0
    sleep_ppm: int = 0
    epoch: int = 2000
