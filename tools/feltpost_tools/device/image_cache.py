"""Where MicroPython's images are found on this computer when no file is named."""

import os
import re
from pathlib import Path

from feltpost_tools.device import micropython_image
from feltpost_tools.device.micropython_image import CHIPS, OLDEST, MicropythonImage
from feltpost_tools.errors import MissingTool, UnusableImage
from feltpost_tools.language import _


def folder() -> Path:
    """Return the folder with images: micropython, in Feltpost's cache (XDG_CACHE_HOME)."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "feltpost" / "micropython"


def find(chip: str, file: Path | None = None) -> MicropythonImage:
    """Return the image for a chip: that file, or the newest in the folder.

    chip: esptool's name for it. An image in the folder is named like ``ESP32-1.26.1.bin`` and has
    its SHA-256 beside it. Raises UnusableImage, and MissingTool where there is none.
    """
    if file:
        image = micropython_image.read(file)
    else:
        path = _newest(chip)
        if path is None:
            raise _missing(chip)
        if not path.with_name(path.name + ".sha256").exists():
            raise UnusableImage(path, _("Its SHA-256 is not beside it."))
        image = micropython_image.read(path)
    if image.chip.name != chip:
        raise UnusableImage(
            image.path,
            _("It is for {other}, the board has {chip}.").format(other=image.chip.name, chip=chip),
        )
    if image.version and image.version < OLDEST:
        raise UnusableImage(
            image.path,
            _("It is MicroPython {version}; {oldest} or later is needed.").format(
                version=_dotted(image.version), oldest=_dotted(OLDEST)
            ),
        )
    return image


def _newest(chip: str) -> Path | None:
    found: dict[tuple[int, ...], Path] = {}
    for path in folder().glob(f"{chip}-*.bin"):
        version = re.fullmatch(rf"{chip}-(\d+(?:\.\d+)*)\.bin", path.name)
        if version:
            found[tuple(map(int, version[1].split(".")))] = path
    return found[max(found)] if found else None


def _missing(chip: str) -> MissingTool:
    if chip not in CHIPS:
        return MissingTool(
            _("MicroPython for {chip}").format(chip=chip),
            _("Feltpost does not run on this chip."),
            _("Use a board with one of: {chips}.").format(chips=", ".join(CHIPS)),
        )
    return MissingTool(
        _("MicroPython for {chip}").format(chip=chip),
        _("There is none on this computer."),
        _(
            "Fetch {download} {oldest} or later (.bin) from micropython.org/download and give it "
            "with --micropython FILE; or keep it as {folder}/{chip}-VERSION.bin with the output of "
            "sha256sum in {chip}-VERSION.bin.sha256."
        ).format(download=CHIPS[chip].download, oldest=_dotted(OLDEST), folder=folder(), chip=chip),
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
