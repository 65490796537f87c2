"""Times the node's encoder on MicroPython, against micropython-lib's (mp_encode.py)."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from feltpost_tools.errors import FeltpostError
from feltpost_tools.flashing.compile import compile_modules, firmware_source
from feltpost_tools.sim.interpreter import Interpreter

_SCRIPT = Path(__file__).with_name("mp_encode.py")
_TIMEOUT_S = 120

# What the encoding path of micropython-lib's senml and cbor2 (2023) took for the same readings on
# the 32-bit build of MicroPython 1.25: so many times the yardstick, and so many bytes of heap.
_RECORDED_YARDSTICKS = 2.9
_RECORDED_ALLOCATED = 10_000


@dataclass(frozen=True)
class Encoding:
    """What encoding and protecting twelve readings costs, and what encoding costs elsewhere.

    reference: how the reference was measured, for people.
    """

    message_bytes: int
    time_us: float
    allocated: int
    reference_us: float
    reference_allocated: int
    reference: str


def measure(
    interpreter: Interpreter, folder: Path, micropython_lib: Path | None = None
) -> Encoding:
    """Run the contestants; folder: for the compiled firmware.

    micropython_lib: a checkout to measure; without it the reference is the recorded one, scaled to
    this machine by the yardstick.
    """
    compile_modules(firmware_source() / "feltpost", folder / "feltpost")
    paths = [folder]
    if micropython_lib:
        for name in ("micropython/senml", "python-ecosys/cbor2"):
            if not (micropython_lib / name).is_dir():
                raise FeltpostError(f"{micropython_lib} has no {name}: not micropython-lib")
            paths.append(micropython_lib / name)
    done = subprocess.run(
        [*interpreter.command, "-X", "heapsize=128K", str(_SCRIPT)],
        env={**os.environ, "MICROPYPATH": ":".join([*map(str, paths), ".frozen"])},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    if done.returncode:
        raise FeltpostError(f"{_SCRIPT.name} failed:\n{done.stdout}{done.stderr}")
    answer = json.loads(done.stdout)
    time_us, allocated = answer["time_us"], answer["allocated"]
    if micropython_lib:
        reference_us, reference_allocated = time_us["theirs"], allocated["theirs"]
        reference = f"micropython-lib's senml and cbor2 measured in this run: {reference_us} µs."
    else:
        reference_us = _RECORDED_YARDSTICKS * time_us["yardstick"]
        reference_allocated = _RECORDED_ALLOCATED
        reference = (
            "micropython-lib's senml and cbor2 as recorded "
            f"({_RECORDED_YARDSTICKS} times a yardstick that took {time_us['yardstick']} µs in "
            f"this run; {_RECORDED_ALLOCATED:,} bytes of heap); --micropython-lib measures them."
        )
    return Encoding(
        message_bytes=answer["bytes"],
        time_us=time_us["ours"],
        allocated=allocated["ours"],
        reference_us=reference_us,
        reference_allocated=reference_allocated,
        reference=reference,
    )
