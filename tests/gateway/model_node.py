"""A node for the model: model_board.py in a MicroPython process, and what it says of itself."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feltpost_tools.sim.interpreter import Interpreter

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("model_board.py")

# As in model_board.py. A block of 512 bytes has 27 slots, of which 8 are kept for what begins the
# next: a reading goes for want of room when its block is the oldest and the three others are full.
JOURNAL = 7
WRITES_UNTIL_FULL = 3 * (27 - 8)

CUTS = ("nothing", "prefix", "bits", "all")
"""What a power cut leaves of the operation that it strikes."""


class NodeOff(Exception):
    """The power went while a command was executed; `appended` is as in `Node.append`."""

    def __init__(self, appended: list[tuple[int, int]]) -> None:
        super().__init__("the power was cut")
        self.appended = appended


@dataclass(frozen=True)
class Request:
    """What the uplink asks; `content_format` is None where there is no payload."""

    code: int
    path: str
    content_format: int | None
    payload: bytes


@dataclass(frozen=True)
class Reply:
    """What it gets; `code` is as on the wire."""

    code: int
    is_protected: bool
    max_age_s: int
    payload: bytes


@dataclass(frozen=True)
class NodeState:
    """The journal: the oldest number kept, the next one, gaps (first, count, reason), writes."""

    first: int
    next: int
    gaps: list[tuple[int, int, int]]
    waiting: bool
    writes: int

    @property
    def freed_below(self) -> int:
        """The number below which nothing is left for the gateway to hear of."""
        return self.gaps[0][0] if self.gaps else self.first


class Node:
    """One MicroPython process, which a blank board makes a new node."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._process = self._start()
        self._boots = 0

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _start(self) -> subprocess.Popen[str]:
        path = f"{ROOT}/firmware:{ROOT}/tests/firmware:.frozen"
        return subprocess.Popen(
            [*self._interpreter.command, "-X", "heapsize=1M", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MICROPYPATH": path},
        )

    def blank(self) -> None:
        """Make it a node that was never used, and start it."""
        self._command("blank")
        self._boots = 0
        self.boot()

    def boot(self) -> None:
        """Start it, as often as the power goes meanwhile."""
        while True:
            self._boots += 1
            try:
                self._command(f"boot {self._boots}")
            except NodeOff:
                continue
            return

    def cut_in(self, operations: int, cut: str) -> None:
        """Cut the power in that write or erase of the flash, counted from 1 for the next one."""
        self._command(f"cut {operations} {CUTS.index(cut)}")

    def tick(self, milliseconds: int) -> None:
        self._command(f"tick {milliseconds}")

    def append(self, first: int, count: int, sign: int) -> list[tuple[int, int]]:
        """Keep so many values from `first` on; return number and writes of each that is kept."""
        appended: list[tuple[int, int]] = self._command(f"append {first} {count} {sign}")
        return appended

    def exchange(self, carry: Callable[[Request], Reply | None]) -> int:
        """Have the uplink make one exchange; return its pause. `carry` returns None for silence."""
        pause_ms: int = self._command("exchange", carry)
        return pause_ms

    def state(self) -> NodeState:
        return NodeState(*self._command("state"))

    def _command(self, line: str, carry: Callable[[Request], Reply | None] | None = None) -> Any:
        self._send(line)
        while True:
            assert self._process.stdout is not None
            verb, _, rest = self._process.stdout.readline().partition(" ")
            if verb == "answer":
                return ast.literal_eval(rest)
            if verb == "cut":
                raise NodeOff(ast.literal_eval(rest))
            assert verb == "request", f"the node died in: {line}"
            assert carry is not None
            try:
                reply = carry(_read(rest))
            except BaseException:
                # It would wait for its answer for ever.
                self.close()
                self._process = self._start()
                raise
            self._send(_write(reply))

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _read(line: str) -> Request:
    code, path, content_format, payload = line.split()
    number = int(content_format)
    return Request(
        int(code),
        path,
        None if number < 0 else number,
        b"" if payload == "-" else bytes.fromhex(payload),
    )


def _write(reply: Reply | None) -> str:
    if reply is None:
        return "none"
    return f"{reply.code} {int(reply.is_protected)} {reply.max_age_s} {reply.payload.hex() or '-'}"
