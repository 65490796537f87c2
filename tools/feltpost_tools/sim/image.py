"""Makes what is on a board's file system: the firmware, compiled, and its configuration."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feltpost_tools.flashing import layout
from feltpost_tools.flashing.compile import build, compile_modules
from feltpost_tools.sim import littlefs
from feltpost_tools.sim.interpreter import Interpreter

SHIMS = Path(__file__).parent / "shims"


class Image:
    """The compiled firmware and shims of one run; boards get copies of the firmware."""

    def __init__(self, folder: Path, firmware: Path | None = None):
        """Compile into folder; firmware: another source tree than the project's."""
        self._folder = folder
        self._firmware = folder / "firmware"
        self.shims = folder / "shims"
        compile_modules(SHIMS, self.shims)
        self.application = build(folder / "application", firmware)
        layout.lay_out(self.application, self._firmware)
        # The shim that runs main.py stays as it is: that is how a board finds it.
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
