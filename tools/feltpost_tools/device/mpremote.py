"""MicroPython's prompt on a board, through the unmodified command mpremote.

Each call is a run of mpremote, with `resume` or `soft-reset` always said. It stops what runs on the
board; hard_reset() lets the application run again.
"""

import ast
import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from feltpost_tools.device import child, console, rights
from feltpost_tools.errors import (
    DeviceError,
    FlashFull,
    NoAnswer,
    NotAtPrompt,
    PortLost,
    PortUnavailable,
    ScriptFailed,
    TookTooLong,
    ToolFailed,
)
from feltpost_tools.language import _

ANSWER_S = 15.0
"""By when a board must have answered."""
_RESET_S = 15.0

# What the board prints once it has answered, and when a script has come to its end. Without the
# second one it left by SystemExit, which mpremote takes for success.
_BEGUN = "\x1dbegun\x1d"
_ENDED = "\x1dended\x1d"
_SAY = "print({!r})"

# A technician's own configuration may give mpremote's commands another meaning.
_NO_CONFIGURATION = {"XDG_CONFIG_HOME": "/nonexistent"}

_TRACEBACK = "Traceback (most recent call last):"
_SAID_CHARACTERS = 200

# How a board's own traceback tells of ENOSPC; LittleFS's errors have no name in all builds.
_NO_SPACE = re.compile(r"OSError: (28\b|\[Errno 28\])")

# How pyserial tells that the port is gone, in the traceback that mpremote ends with.
_LOST = re.compile(r"SerialException|termios\.error|\[Errno \d+\] (Input/output|No such device)")

_MAKE_FOLDERS = """
import os
for folder in {!r}:
    try:
        os.mkdir(folder)
    except OSError as error:
        if error.errno != 17:
            raise
"""


class Mpremote:
    """The board at a port, which is a path or what pyserial takes for one.

    All methods raise a DeviceError: PortUnavailable, NoAnswer (within 15 seconds), NotAtPrompt,
    TookTooLong, PortLost, FlashFull, ScriptFailed or ToolFailed.
    """

    def __init__(self, port: str) -> None:
        self.port = port

    async def run(self, script: str, *, timeout_s: float, soft_reset: bool = False) -> str:
        """Run a script on the board; return what it printed, with "\\n" for the ends of lines.

        The script may hold a secret: no argument, file or message shows it. timeout_s: how long it
        may run. soft_reset: begin with a new interpreter, see soft_reset().
        """
        script = f"{script}\n{_SAY.format(_ENDED)}\n"
        printed = await self._call(["run", "/dev/stdin"], timeout_s, soft_reset, script=script)
        text, ended, _rest = printed.rpartition(_ENDED + "\n")
        if not ended:
            raise ScriptFailed(
                self.port,
                _("A script left before its end."),
                _("This is an error in Feltpost; please report it."),
                printed,
            )
        return text

    async def copy(
        self,
        source: Path,
        target: str,
        *,
        timeout_s: float,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Copy a folder's content into the folder target on the board, which need not be there.

        What is there already with the same SHA-256 is left alone; nothing is removed. progress is
        told each file's path below source when its turn comes. Not verified after writing.
        """
        by_folder = _by_folder(source, target)
        commands = ["exec", _MAKE_FOLDERS.format(_with_parents(by_folder))]
        for inside, files in by_folder.items():
            commands += ["+", "fs", "cp", *map(str, files), f":{inside}/"]

        def heard(line: str) -> None:
            if progress and line.startswith("cp "):
                path, _colon, _target = line.removeprefix("cp ").rpartition(" :")
                progress(str(Path(path).relative_to(source)))

        await self._call(commands, timeout_s, heard=heard)

    async def soft_reset(self) -> None:
        """Begin with a new interpreter: boot.py has run, main.py has not, the heap is fresh."""
        await self._call([], _RESET_S, soft_reset=True)

    async def hard_reset(self) -> None:
        """Reset the chip by machine.reset(): what is on the board starts as after power-on.

        Returns once it has begun to, so that whoever comes next is heard.
        """
        await self._call(["reset"], _RESET_S)
        # The chip's own USB goes away with the reset, and comes back by itself.
        with contextlib.suppress(PortUnavailable, PortLost):
            await console.starting(self.port)

    async def _call(
        self,
        commands: Sequence[str],
        timeout_s: float,
        soft_reset: bool = False,
        script: str = "",
        heard: Callable[[str], None] = lambda line: None,
    ) -> str:
        # Return what mpremote printed after the board had answered.
        enter = "soft-reset" if soft_reset else "resume"
        arguments = ["connect", self.port, enter, "exec", _SAY.format(_BEGUN), *commands]
        lines: list[str] = []

        def take(line: str) -> None:
            line = line.replace("\r\n", "\n")
            lines.append(line)
            heard(line)

        try:
            ended = await child.run(
                "mpremote",
                arguments,
                heard=take,
                first_s=ANSWER_S,
                timeout_s=timeout_s,
                given=script,
                environment=_NO_CONFIGURATION,
            )
        except child.Late as late:
            if not late.heard:
                raise self._no_answer() from None
            raise TookTooLong(
                self.port,
                _("The board was not ready within {seconds:.0f} seconds.").format(
                    seconds=timeout_s
                ),
                _("Check the cable and try again."),
            ) from None
        printed = "".join(lines)
        answered, begun, printed = printed.partition(_BEGUN + "\n")
        if ended.code == 0 and begun:
            return printed
        raise self._failure(printed if begun else answered, ended.errors)

    def _failure(self, printed: str, errors: str) -> DeviceError:
        # Tell from mpremote's words what has happened.
        if "failed to access" in errors:
            return rights.unavailable(self.port)
        if "could not enter raw repl" in errors:
            return self._not_at_prompt(printed)
        _before, found, traceback = printed.rpartition(_TRACEBACK)
        if "No space left on device" in errors or found and _NO_SPACE.search(traceback):
            return FlashFull(
                self.port,
                _("The board's file system is full."),
                _("Remove files that do not belong to Feltpost from it, and try again."),
            )
        if _LOST.search(errors) or not Path(self.port).exists():
            return PortLost(
                self.port,
                _("The board went away."),
                _("Check that the cable sits firmly at both ends, then try again."),
            )
        if found:
            return ScriptFailed(
                self.port,
                _("The board reports an error: {error}.").format(error=_last_line(traceback)),
                _("Try again; where it stays, report it with this message."),
                (found + traceback).strip(),
            )
        return ToolFailed(
            self.port,
            _("mpremote failed: {error}.").format(error=_last_line(errors) or _last_line(printed)),
            _("Try again; `feltpost doctor` tells what the board is doing."),
        )

    def _not_at_prompt(self, printed: str) -> DeviceError:
        # mpremote prints what the board has said meanwhile, as a bytes literal.
        said = b""
        literal = re.search(r"^b(['\"]).*\1$", printed, re.MULTILINE)
        if literal:
            said = ast.literal_eval(literal.group())
        if not said:
            return self._no_answer()
        text = said.decode(errors="replace").strip()[-_SAID_CHARACTERS:]
        return NotAtPrompt(
            self.port,
            _("The board does not come to MicroPython's prompt."),
            _("`feltpost doctor` tells what it is doing."),
            text,
        )

    def _no_answer(self) -> NoAnswer:
        return NoAnswer(
            self.port,
            _("The board says nothing."),
            _("Press its button RESET (EN) and try again; or ask `feltpost doctor`."),
        )


def _by_folder(source: Path, target: str) -> dict[str, list[Path]]:
    # Return the files below source by the folder on the board that they go to.
    found: dict[str, list[Path]] = {}
    for path in sorted(source.rglob("*")):
        if path.is_file():
            inside = path.parent.relative_to(source).parts
            found.setdefault("/".join([target.rstrip("/"), *inside]), []).append(path)
    return found


def _with_parents(folders: Iterable[str]) -> list[str]:
    # Return the folders and those around them, outermost first.
    found: dict[str, None] = {}
    for folder in folders:
        parts = folder.split("/")
        for count in range(1, len(parts) + 1):
            found["/".join(parts[:count])] = None
    return [folder for folder in found if folder]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else ""
