"""The loader in a chip's ROM: what chip it is, and MicroPython written to its flash.

esptool does it, in a process of its own for each board (esptool_process.py).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from feltpost_tools.device import child, console, rights
from feltpost_tools.device.micropython_image import CHIPS, MicropythonImage
from feltpost_tools.errors import (
    DeviceError,
    NoAnswer,
    NoJournalRoom,
    PortLost,
    TookTooLong,
    ToolFailed,
    WouldLoseFiles,
    WrongChip,
)
from feltpost_tools.language import _

_PROCESS = "feltpost_tools.device.esptool_process"
# esptool gives a chip up after some seconds; loading it for ten boards at once may take a small
# computer longer than that.
_ANSWER_S = 30.0
_IDENTIFY_S = 20.0
# 1.7 MB at 460,800 baud take 40 s at most; a flash chip may erase at 50 kB/s.
_WRITE_S = 180.0

Progress = Callable[[int, int], None]
"""Told how much is written and how much there is to write, in packed bytes."""


@dataclass(frozen=True)
class ChipFound:
    """A chip. name: esptool's, such as "ESP32-C3". mac: of its eFuses. flash_bytes: its flash."""

    name: str
    mac: bytes
    flash_bytes: int


class RomLoader:
    """The loader of the board at a port.

    The port's lines reset the chip into it; a port without them, or a board without the circuit for
    it, has to be brought there by its buttons. Afterwards the chip starts what is in its flash. All
    methods raise a DeviceError.
    """

    def __init__(self, port: str) -> None:
        self.port = port

    async def look(self) -> ChipFound:
        """Return what chip the board has, if it is in the loader; it stays as it is."""
        return await self._call(["look"], _IDENTIFY_S)

    async def identify(self) -> ChipFound:
        """Return what chip the board has. It is reset for it, and then starts from its flash."""
        return await self._call(["identify"], _IDENTIFY_S)

    async def write(
        self,
        image: MicropythonImage,
        *,
        lose_files: bool = False,
        progress: Progress | None = None,
    ) -> ChipFound:
        """Write MicroPython and a partition table with a journal, and verify both.

        Key, journal and files stay, where they are ours. lose_files: whether the file system may
        be lost; it is where the board had no journal, as room must be made for it. The board is at
        its prompt when this returns. Raises WrongChip before anything is written, WouldLoseFiles,
        NoJournalRoom.
        """
        arguments = [_consent(lose_files), str(image.path), image.sha256]
        found = await self._call(arguments, _WRITE_S, progress)
        await console.come_to_prompt(self.port)
        return found

    async def add_journal(self, *, lose_files: bool = False) -> ChipFound:
        """Give a board that has MicroPython a journal, where it has none; see write()."""
        found = await self._call([_consent(lose_files)], _IDENTIFY_S)
        await console.come_to_prompt(self.port)
        return found

    async def _call(
        self, arguments: list[str], timeout_s: float, progress: Progress | None = None
    ) -> ChipFound:
        told: dict[str, Any] = {}

        def heard(line: str) -> None:
            fields = json.loads(line)
            told.update(fields)
            if progress and "done" in fields:
                progress(fields["done"], fields["total"])

        try:
            ended = await child.run(
                _PROCESS,
                [self.port, *arguments],
                heard=heard,
                first_s=_ANSWER_S,
                timeout_s=timeout_s,
            )
        except child.Late as late:
            raise self._late(late, timeout_s) from None
        if "ended" not in told:
            last_line = ended.errors.strip().rpartition("\n")[2]
            raise self._failure(told.get("error", ""), told.get("detail") or last_line)
        found = told["chip"]
        return ChipFound(found["name"], bytes.fromhex(found["mac"]), found["flash_bytes"])

    def _late(self, late: child.Late, timeout_s: float) -> DeviceError:
        if not late.heard:
            return self._no_answer()
        return TookTooLong(
            self.port,
            _("The board was not ready within {seconds:.0f} seconds.").format(seconds=timeout_s),
            _("Check the cable and try again; what was begun is finished then."),
        )

    def _failure(self, error: str, detail: str) -> DeviceError:
        # What esptool_process.py tells, as an exception for people.
        port = self.port
        match error:
            case "no-loader":
                return self._no_answer()
            case "no-port":
                return rights.unavailable(port)
            case "lost":
                return PortLost(
                    port,
                    _("The board went away."),
                    _("Plug it in again and try again; what was begun is finished then."),
                )
            case "wrong-chip":
                return WrongChip(
                    port,
                    _("The board has the chip {chip}.").format(chip=detail),
                    _("Use a MicroPython for that chip; Feltpost runs on {chips}.").format(
                        chips=", ".join(CHIPS)
                    ),
                )
            case "no-room":
                return NoJournalRoom(port, detail, _("Use a board with a larger flash."))
            case "too-large":
                return NoJournalRoom(
                    port,
                    _("This MicroPython does not fit beside the board's journal."),
                    _("Use an older one, or erase the whole flash once its readings are sent."),
                )
            case "loses-files":
                return WouldLoseFiles(
                    port,
                    _("The board has files which would be lost, as the journal needs room."),
                    _("Save what you need of them, then let them be erased, with --erase-files."),
                )
            case "no-application":
                return ToolFailed(
                    port, _("The board has no MicroPython."), _("Write one to it first.")
                )
            case "image-changed":
                return ToolFailed(
                    port, _("The file with MicroPython has changed meanwhile."), _("Try again.")
                )
        return ToolFailed(
            port,
            _("esptool failed: {error}.").format(error=detail.rstrip(".")),
            _("Try again; where it stays, try another cable and another USB port."),
        )

    def _no_answer(self) -> NoAnswer:
        return NoAnswer(
            self.port,
            _("The chip's loader does not answer."),
            _("Hold the button BOOT, press RESET (EN), let go of BOOT, and try again."),
        )


def _consent(lose_files: bool) -> str:
    return "lose-files" if lose_files else "keep-files"
