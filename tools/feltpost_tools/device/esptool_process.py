"""esptool at one board: a program of its own, so that ten run side by side and each can be ended.

    python -m feltpost_tools.device.esptool_process PORT look|identify
    python -m feltpost_tools.device.esptool_process PORT keep-files|lose-files [IMAGE SHA256]

It brings the chip into the loader in its ROM, tells what it is, writes what is wanted, and starts
what is in its flash. With `look` it has to be in the loader, and stays there. It prints JSON
objects, one a line: {"chip": …} once connected, {"done": …, "total": …} in bytes, and last
{"ended": true} or {"error": …, "detail": …}, whose values loader.py puts into words.
"""

import json
import sys
from pathlib import Path

from esptool import cmds
from esptool.loader import ESPLoader
from esptool.logger import TemplateLogger, log
from esptool.util import FatalError, flash_size_bytes
from serial import SerialException

from feltpost_tools.device import flash_plan, micropython_image, partitions
from feltpost_tools.device.micropython_image import CHIPS, MicropythonImage
from feltpost_tools.errors import UnusableImage

# What every usual bridge can do; four times as fast as the ROM begins.
_BAUD = 460_800
# A chip that is reset through the port's lines answers the first or second; one that is not reset
# is in its loader or is not.
_CONNECT_ATTEMPTS = {"default-reset": 2, "no-reset": 1}


class _Failed(Exception):
    """error: one of loader.py's."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.detail = detail


def _tell(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


class _Log(TemplateLogger):
    # esptool's words are for its own command line; its progress is of use.

    def __init__(self) -> None:
        self.progress = False

    def print(self, *args: object, **kwargs: object) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        pass

    def error(self, message: str) -> None:
        pass

    def stage(self, finish: bool = False) -> None:
        pass

    def set_verbosity(self, verbosity: str) -> None:
        pass

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        if self.progress:
            _tell(done=cur_iter, total=total_iters)


def _connect(port: str, mode: str = "default-reset") -> ESPLoader:
    try:
        return cmds.detect_chip(port, connect_mode=mode, connect_attempts=_CONNECT_ATTEMPTS[mode])
    except (FatalError, SerialException) as error:
        text = str(error)
        opened = "Could not open" not in text and "could not open" not in text
        raise _Failed("no-loader" if opened else "no-port", text) from None


def _write(esp: ESPLoader, image: MicropythonImage | None, lose_files: bool, quiet: _Log) -> None:
    chip = CHIPS.get(esp.CHIP_NAME)
    if chip is None or (image and image.chip != chip):
        raise _Failed("wrong-chip", esp.CHIP_NAME)
    flash_bytes = _flash_bytes(esp)
    try:
        plan = flash_plan.make(esp.read_flash, chip, flash_bytes, image, lose_files)
    except partitions.NoRoom as error:
        raise _Failed("no-room", str(error)) from None
    except flash_plan.TooLarge:
        raise _Failed("too-large") from None
    except flash_plan.LosesFiles:
        raise _Failed("loses-files") from None
    except flash_plan.NoApplication:
        raise _Failed("no-application") from None
    if plan.erase:
        # First: a table for which the file system has the wrong size is never there with it.
        cmds.erase_region(esp, *plan.erase)
    for address, data in plan.pieces:
        quiet.progress = bool(image and data == image.application)
        # esptool compares the MD5 that the chip tells with that of the data, and raises otherwise.
        cmds.write_flash(esp, [(address, data)], skip_flashed=True)


def _flash_bytes(esp: ESPLoader) -> int:
    size = flash_size_bytes(cmds.detect_flash_size(esp))
    if size is None:
        raise _Failed("failed", "the size of the flash is not known")
    return int(size)


def _start(esp: ESPLoader, port: str) -> None:
    # Let the chip start from its flash.
    try:
        esp._port.cts  # noqa: B018 - it raises where the port has no such lines
    except OSError:
        # A pseudo-terminal: the ROM's loader can be asked, the stub can't.
        cmds.reset_chip(esp, "no-reset")
        esp._port.close()
        rom = _connect(port, "no-reset")
        cmds.attach_flash(rom)
        cmds.reset_chip(rom, "soft-reset")
        rom._port.close()
    else:
        cmds.reset_chip(esp, "hard-reset")
        esp._port.close()


def _look(port: str) -> None:
    esp = _connect(port, "no-reset")
    cmds.attach_flash(esp)
    _tell_chip(esp)
    cmds.reset_chip(esp, "no-reset")
    esp._port.close()


def _work(port: str, task: str, image: MicropythonImage | None, quiet: _Log) -> None:
    esp = cmds.run_stub(_connect(port))
    cmds.attach_flash(esp)
    _tell_chip(esp)
    if task != "identify":
        esp.change_baud(_BAUD)
        _write(esp, image, task == "lose-files", quiet)
    _start(esp, port)


def _tell_chip(esp: ESPLoader) -> None:
    mac = bytes(esp.read_mac("BASE_MAC")).hex()
    _tell(chip={"name": esp.CHIP_NAME, "mac": mac, "flash_bytes": _flash_bytes(esp)})


def _run(port: str, task: str, path: str = "", sha256: str = "") -> None:
    quiet = _Log()
    log.set_logger(quiet)  # type: ignore[attr-defined]  # the proxy passes it on
    image = micropython_image.read(Path(path)) if path else None
    if image and image.sha256 != sha256:
        raise _Failed("image-changed")
    if task == "look":
        _look(port)
    else:
        _work(port, task, image, quiet)


def main() -> int:
    """Do what the arguments say; return the exit code."""
    try:
        _run(*sys.argv[1:])
    except _Failed as failed:
        _tell(error=failed.error, detail=failed.detail)
    except UnusableImage:
        _tell(error="image-changed", detail="")
    except (FatalError, OSError) as error:
        # pyserial's SerialException is an OSError.
        _tell(error="lost" if isinstance(error, OSError) else "failed", detail=str(error))
    else:
        _tell(ended=True)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
