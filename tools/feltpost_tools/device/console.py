"""What a board says by itself, and whether it comes to MicroPython's prompt when it is asked to.

Nothing is changed by listening. Asking stops what runs: the application sees a keyboard interrupt.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import serial

from feltpost_gateway import slipmux
from feltpost_tools.device import rights
from feltpost_tools.errors import DeviceError, NoAnswer, PortLost
from feltpost_tools.language import _

BAUD = 115_200
_LISTEN_S = 2.0
_PROMPT_S = 3.0
_START_S = 30.0
_AGAIN_S = 0.5
_CHUNK = 4096
# Out of what runs, then out of the raw prompt that a tool may have left it at.
_INTERRUPT = b"\r\x03\r\x02"
_PROMPT = b">>> "

# What ROM, bootloader and ESP-IDF print when a chip starts, starts over, or can't.
_START = re.compile(
    r"\brst:0x|invalid header: 0x|csum err|Guru Meditation|partition table has no valid"
    r"|No bootable app|restarts in \d+ s;"
)
_BROWN_OUT = re.compile(r"Brownout detector was triggered|BROWN_?OUT_R")
_DOWNLOAD = "waiting for download"
_BANNER = re.compile(r"MicroPython v(\d+)\.(\d+)(?:\.(\d+))?\S* on [^;]*; (.*)")

_UNREADABLE = 0.3


@dataclass(frozen=True)
class Said:
    """What a board has said.

    unasked: its text before it was asked, without frames. answer: the text after that. frames: how
    many CoAP messages and diagnostics came. prompt: whether it came to the prompt.
    """

    unasked: str
    answer: str
    frames: int
    prompt: bool

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.unasked}\n{self.answer}".strip()

    @property
    def interrupted(self) -> bool:
        """Whether something ran until it was asked for the prompt."""
        return "KeyboardInterrupt" in self.answer

    @property
    def starts(self) -> int:
        """How often the chip has started, or tried to."""
        return len(_START.findall(self.text))

    @property
    def brown_outs(self) -> int:
        """How often its voltage was too low."""
        return len(_BROWN_OUT.findall(self.text))

    @property
    def in_loader(self) -> bool:
        """Whether the last that it said is that its loader waits."""
        return self.text.rstrip().endswith(_DOWNLOAD)

    @property
    def unreadable(self) -> bool:
        """Whether it says what is no text, as when its speed is another one."""
        text = self.text
        strange = sum(c == "\ufffd" or (c < " " and c not in "\r\n\t\x1b") for c in text)
        return strange > _UNREADABLE * len(text)

    @property
    def micropython(self) -> tuple[int, ...] | None:
        """The version in its banner."""
        found = list(_BANNER.finditer(self.text))
        return tuple(int(part) for part in found[-1].groups("0")[:3]) if found else None

    @property
    def machine(self) -> str | None:
        """What the banner says that MicroPython runs on."""
        found = list(_BANNER.finditer(self.text))
        return found[-1][4].strip() if found else None


async def ask(port: str) -> Said:
    """Listen to a board for two seconds at most, then bring it to its prompt.

    Raises PortUnavailable or PortLost.
    """
    with _opened(port) as line:
        listener = _Listener(line)
        await listener.until(lambda: listener.frames > 0 or listener.at_prompt, _LISTEN_S)
        if not listener.in_loader:
            listener.ask(_INTERRUPT)
            await listener.until(lambda: listener.at_prompt, _PROMPT_S)
        return listener.said()


async def starting(port: str) -> None:
    """Wait until a board that has just been reset says something, for three seconds at most.

    What it is sent before that would be lost. Raises PortUnavailable or PortLost.
    """
    with _opened(port) as line:
        listener = _Listener(line)
        await listener.until(lambda: listener.heard, _PROMPT_S)


async def come_to_prompt(port: str) -> None:
    """Bring a board that has just been reset to its prompt, however long it takes to start.

    It may have a file system to make first, in which nothing must disturb it, and its port may be
    gone meanwhile. Raises NoAnswer.
    """
    try:
        async with asyncio.timeout(_START_S):
            # A port that is gone has no event for its coming back.
            while not await _at_prompt(port):  # noqa: ASYNC110
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        raise NoAnswer(
            port,
            _("MicroPython does not start."),
            _("Press RESET (EN) and try again; or ask `feltpost doctor`."),
        ) from None


async def _at_prompt(port: str) -> bool:
    try:
        return (await ask(port)).prompt
    except DeviceError:
        return False


@contextmanager
def _opened(port: str) -> Iterator[serial.Serial]:
    try:
        line = serial.Serial(port, BAUD, timeout=0, exclusive=True)
    except OSError:
        raise rights.unavailable(port) from None
    with line:
        yield line


class _Listener:
    def __init__(self, line: serial.Serial) -> None:
        self._line = line
        self._decoder = slipmux.Decoder()
        self._lines: list[str] = []
        self.frames = 0
        # What came, since it was asked if it was; how many lines had come by then.
        self._bytes = b""
        self._lines_before: int | None = None

    @property
    def heard(self) -> bool:
        """Whether anything came."""
        return bool(self._bytes)

    @property
    def at_prompt(self) -> bool:
        """Whether the last that came is the prompt."""
        return self._bytes.endswith(_PROMPT)

    @property
    def in_loader(self) -> bool:
        """Whether the last that came is that the loader waits."""
        return self._bytes.rstrip().endswith(_DOWNLOAD.encode())

    def ask(self, request: bytes) -> None:
        """Send that; what comes from now on is the answer."""
        self._bytes = b""
        self._lines_before = len(self._lines)
        self._line.write(request)

    def said(self) -> Said:
        """Return what has come."""
        self._take(self._decoder.abandon())
        before = len(self._lines) if self._lines_before is None else self._lines_before
        return Said(
            unasked="\n".join(self._lines[:before]).strip(),
            answer="\n".join(self._lines[before:]).strip(),
            frames=self.frames,
            prompt=self.at_prompt,
        )

    async def until(self, done: Callable[[], bool], timeout_s: float) -> None:
        # Read until that is so, or for so long.
        loop = asyncio.get_running_loop()
        more = asyncio.Event()
        loop.add_reader(self._line.fileno(), more.set)
        try:
            async with asyncio.timeout(timeout_s):
                while not done():
                    await more.wait()
                    more.clear()
                    self._read()
        except TimeoutError:
            pass
        except OSError:
            raise PortLost(
                str(self._line.port),
                _("The board went away."),
                _("Check that the cable sits firmly at both ends, then try again."),
            ) from None
        finally:
            loop.remove_reader(self._line.fileno())

    def _read(self) -> None:
        data = self._line.read(_CHUNK)
        self._bytes += data
        self._take(self._decoder.feed(data))

    def _take(self, items: list[slipmux.Item]) -> None:
        for item in items:
            if isinstance(item, slipmux.Coap):
                self.frames += 1
            else:
                self.frames += isinstance(item, slipmux.Diagnostic)
                self._lines.append(item.text)
