"""What a board says: its lines with the time, in a file and to wait for."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

from feltpost_gateway import slipmux

# As long as the gateway waits for the rest of a line, or of a frame.
_QUIET_S = 0.25
_LAST_LINES = 5


class Console:
    """The text that came, console and diagnostics, without frames; to be used in the event loop.

    Each line goes to the log with the time, UTC, at which its end came.
    """

    def __init__(self, name: str, log: Path):
        """name: the board's, for messages."""
        self.log = log
        self._name = name
        self._decoder = slipmux.Decoder()
        self._text = ""
        self._seen = 0
        self._more = asyncio.Event()
        self._quiet: asyncio.TimerHandle | None = None

    def hear(self, data: bytes) -> None:
        """Take in what the board has sent."""
        self._take(self._decoder.feed(data))
        if self._quiet:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(_QUIET_S, self._pause)

    def note(self, text: str) -> None:
        """Put on record what was done to the board; nobody waits for it."""
        with self.log.open("a") as file:
            file.write(f"{_now()} -- {text}\n")

    async def wait_for(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Wait for text after what was waited for before. Raises TimeoutError with what came."""
        wanted = re.compile(pattern, re.MULTILINE)
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := wanted.search(self._text, self._seen)):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise TimeoutError(
                f"board {self._name} did not say {pattern!r} within {timeout_s:g} s; its last "
                f"words: {self.last_lines(_LAST_LINES) or 'none'}"
            ) from None
        self._seen = found.end()
        return found

    def last_lines(self, count: int) -> str:
        """Return the last lines that came."""
        return "\n".join(self._text.splitlines()[-count:])

    def close(self) -> None:
        """Hear no more."""
        if self._quiet:
            self._quiet.cancel()

    def _pause(self) -> None:
        self._take(self._decoder.abandon())

    def _take(self, items: list[slipmux.Item]) -> None:
        texts = [item.text for item in items if not isinstance(item, slipmux.Coap)]
        lines = [line for text in texts for line in text.splitlines()]
        if not lines:
            return
        with self.log.open("a") as file:
            for line in lines:
                file.write(f"{_now()} {line}\n")
        self._text += "".join(f"{line}\n" for line in lines)
        self._more.set()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
