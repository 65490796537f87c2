"""How MicroPython is started as a simulated board's processor."""

from dataclasses import dataclass

from feltpost_tools.sim.chipflash import ChipFlash
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.interpreter import Interpreter

# What the shims and the prompt take of the heap (30 kB without asyncio, 32-bit); on a board the
# like is in flash. It is given on top, so that heap_kib means what it means on a board.
_SHIMS_KIB = 29

# Exit codes with which a board asks for a soft reset, see shims/boot.py.
_SOFT_RESET = 64
_SOFT_RESET_RAW = 66


def asks_for_soft_reset(code: int) -> bool:
    """Tell whether MicroPython ended with that code to be started again."""
    return code in (_SOFT_RESET, _SOFT_RESET_RAW)


def asks_for_raw_prompt(code: int) -> bool:
    """Tell whether it is to be started with the raw prompt, as mpremote wants it."""
    return code == _SOFT_RESET_RAW


@dataclass(frozen=True)
class Launcher:
    """Starts an interpreter with the shims of an image on a chip's flash."""

    interpreter: Interpreter
    image: Image
    hardware: Hardware
    chip: ChipFlash

    def command(self) -> tuple[str, ...]:
        """Return the command line."""
        return (
            *self.interpreter.command,
            "-X",
            f"heapsize={self.hardware.heap_kib + _SHIMS_KIB}K",
            str(self.image.shims / "boot.py"),
        )

    def environment(self, version: str, raw: bool) -> dict[str, str]:
        """Return what the shims are told; version: of the MicroPython that the flash has."""
        return {
            "MICROPYPATH": f"{self.image.shims}:.frozen",
            "FELTPOST_SHIMS": str(self.image.shims),
            "FELTPOST_FLASH": str(self.chip.path),
            "FELTPOST_FILES": f"{self.chip.files_start} {self.chip.files.blocks}",
            "FELTPOST_VERSION": version,
            "FELTPOST_RAW": str(int(raw)),
            "FELTPOST_EPOCH": str(self.hardware.epoch),
            "TZ": "UTC",
        }
