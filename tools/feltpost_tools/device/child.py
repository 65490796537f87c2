"""Runs a tool in a process of its own: given its input, heard line by line, ended in time."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

_CHUNK = 4096


class Late(Exception):
    """The tool was ended because its time was over; heard: whether it had printed anything."""

    def __init__(self, heard: bool) -> None:
        super().__init__("the tool took too long")
        self.heard = heard


@dataclass(frozen=True)
class Ended:
    """How a tool ended: its exit code, and what it wrote to stderr."""

    code: int
    errors: str


async def run(
    module: str,
    arguments: Sequence[str],
    *,
    heard: Callable[[str], None],
    first_s: float,
    timeout_s: float,
    given: str = "",
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a Python module as a program; return once it has ended.

    heard takes each line that it prints, with its newline. first_s: by when the first one must
    have come; timeout_s: how long the rest may take. given: what its stdin holds, which nobody
    else can read and no disk sees. environment: what is added to ours. Raises Late. Whatever ends
    this call, the tool and all that it has started are gone then.
    """
    with tempfile.TemporaryFile() as errors, _input(given) as stdin:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-m", module, *arguments),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=os.environ | (environment or {}),
            start_new_session=True,
        )
        assert process.stdout
        spoken = False
        try:
            async with asyncio.timeout(first_s) as limit:
                async for line in _lines(process.stdout):
                    if not spoken:
                        spoken = True
                        limit.reschedule(asyncio.get_running_loop().time() + timeout_s)
                    heard(line)
                code = await process.wait()
        except TimeoutError:
            raise Late(spoken) from None
        finally:
            await _end(process)
        errors.seek(0)
        return Ended(code, errors.read().decode(errors="replace"))


def _input(given: str) -> IO[bytes]:
    # A file in memory, which the tool can open anew as /dev/stdin; asyncio's own pipe may be a
    # socket, which can't be opened.
    file = os.fdopen(os.memfd_create("input"), "w+b")
    file.write(given.encode())
    file.seek(0)
    return file


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield (line + b"\n").decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    # Its group is its own, see start_new_session, and is there still where a child of it is.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
