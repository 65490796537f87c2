"""What strace writes down of a process: its system calls, with all that they carried."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Whatever changes a file or a directory, and what goes to sockets and comes from them.
_CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate,"
    "copy_file_range,sendfile,fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,"
    "renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,sendto,sendmsg,sendmmsg,recvfrom"
)

_LINE = re.compile(r"(\d+) +(?:(\w+)\(|<\.\.\. (\w+) resumed>)(.*)")
_UNFINISHED = "<unfinished ...>"
_RESULT = re.compile(r"(.*)\) += (-?\d+)[^\"]*")


@dataclass(frozen=True)
class Call:
    """A system call that has succeeded.

    `begun` and `ended` order the moments at which calls were entered and left.
    """

    name: str
    arguments: str
    result: int
    begun: int
    ended: int

    @property
    def path(self) -> str:
        """The path behind its first descriptor, or what socket that is."""
        match = re.match(r"\w+<((?:[^>]|(?<=-)>)*)>", self.arguments)
        return text(match[1]) if match else ""

    @property
    def strings(self) -> list[bytes]:
        """Its strings and buffers."""
        return [_unescape(string) for string in re.findall(r'"([^"]*)"', self.arguments)]

    @property
    def last_number(self) -> int:
        """Its last argument."""
        return int(self.arguments.rpartition(",")[2])


def tracer(trace: Path) -> tuple[str, ...]:
    """Return the command to have in front of a traced one.

    Raises `OSError` with the reason where nothing can be traced here.
    """
    # -D leaves the traced process our child, which signals reach.
    options = ("-D", "-f", "-qq", "-yy", "-xx", "-s", "200000", "-e", "signal=none")
    command = ("strace", *options, "--seccomp-bpf", "-o", str(trace), "-e", f"trace={_CALLS}")
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OSError("strace, which sees what the gateway writes, is not installed") from None
    if tried.returncode != 0 or tried.stderr:
        raise OSError(f"strace may not trace here: {tried.stderr.strip()}")
    return command


def read(trace: Path) -> Iterator[Call]:
    """Return the calls that succeeded, in the order in which they were left."""
    entered: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(trace.read_text().splitlines()):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        thread, name, resumed, rest = match.groups()
        begin, begun = entered.pop(thread) if resumed else ("", number)
        if rest.endswith(_UNFINISHED):
            entered[thread] = (rest.removesuffix(_UNFINISHED), begun)
            continue
        result = _RESULT.fullmatch(begin + rest)
        if result is not None and int(result[2]) >= 0:
            yield Call(name or resumed, result[1], int(result[2]), begun, number)


def text(escaped: str) -> str:
    """Return a path or the name of a socket, of which strace escapes only the first."""
    return _unescape(escaped).decode() if escaped.startswith("\\x") else escaped


def _unescape(string: str) -> bytes:
    return bytes.fromhex(string.replace("\\x", ""))
