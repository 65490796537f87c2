"""Targets that run on MicroPython, in a process with a board's heap, at the other end of a pipe."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz.target import Elsewhere, Refusal, Target

from feltpost_tools.sim.interpreter import find

_HERE = Path(__file__).parent
_FIRMWARE = _HERE.parents[1] / "firmware"
# Far more than any input takes on a busy machine.
_ANSWER_S = 60


class NodeTarget(Target):
    """A target in fuzz_decoders.py; what it raises is a refusal where `ours` says so."""

    refusals = (Refusal,)
    decoder = ""
    heap = "96K"
    max_bytes = 1200

    @contextmanager
    def opened(self) -> Iterator[None]:
        try:
            self._start()
            yield
        finally:
            self._stop()

    def _start(self) -> None:
        path = f"{_FIRMWARE}:{_HERE}:{_HERE.parent / 'firmware'}:.frozen"
        self._process = subprocess.Popen(
            [
                *find().command,
                "-X",
                f"heapsize={self.heap}",
                str(_HERE / "mp_node.py"),
                self.decoder,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MICROPYPATH": path},
        )
        self._unread = b""
        first = self._line()
        assert first == "ready", first

    def _stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ours(self, name: str, text: str) -> bool:
        """Tell whether a decoder may raise this: by accident, its text would not be ours."""
        return name == "ValueError" and text.partition(":")[0] in ("CBOR", "CoAP", "OSCORE", "CCM")

    def ask(self, data: bytes) -> str:
        """Return what the decoder says of an input; raise `Refusal` or `Elsewhere`."""
        assert self._process.stdin
        self._process.stdin.write(data.hex().encode() + b"\n")
        self._process.stdin.flush()
        said = self._line()
        verdict, _, rest = said.partition(" ")
        if verdict == "ok":
            return rest
        assert verdict == "raised", said
        name, text, *through = rest.split(" ")
        shown = bytes.fromhex(text.removeprefix("text:")).decode()
        if not self.ours(name, shown):
            where = through[-1] if through else "nowhere"
            raise Elsewhere(f"{name} at {where}", f"{shown} through {' '.join(through)}")
        raise Refusal(name, *through)

    def run(self, data: bytes) -> tuple[str, ...]:
        said = self.ask(data)
        self.check(data, said)
        return self.features(said)

    def check(self, data: bytes, said: str) -> None:
        """Assert what must hold of an input that was taken."""

    def features(self, said: str) -> tuple[str, ...]:
        """Return what tells one way of taking an input from another: its shape, not its values."""
        return ("".join(c if c.isalpha() or c in "[]{}" else "#" for c in said)[:40],)

    def _line(self) -> str:
        assert self._process.stdout
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], _ANSWER_S)
            more = os.read(self._process.stdout.fileno(), 65_536) if ready else b""
            if not more:
                seen = self._unread.decode(errors="replace")
                self._stop()
                self._start()
                raise AssertionError(f"{'it ended' if ready else 'it hangs'}: {seen}")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()
