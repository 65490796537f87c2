"""TOML that technicians write for the tools: boards, kits, and the site's own file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.target import Target

from feltpost_tools import boards, kits
from feltpost_tools.errors import FeltpostError
from feltpost_tools.flashing import site


class Definitions(Target):
    """Each reader gets each file; only what none of them takes is refused."""

    refusals = (FeltpostError,)
    traced = (
        "feltpost_tools.boards",
        "feltpost_tools.kits",
        "feltpost_tools.hardware",
        "feltpost_tools.flashing.site",
    )
    tokens = (
        b"[pins.4]\n",
        b"[[sensors]]\n",
        b"[passwords]\n",
        b"true",
        b"-1",
        b"[]",
        b"{}",
        b"nan",
    )
    suffix = ".toml"
    max_bytes = 8192
    executions = 60

    @contextmanager
    def opened(self) -> Iterator[None]:
        with TemporaryDirectory() as folder:
            self._path = Path(folder, "definition.toml")
            self._path.touch(0o600)
            yield

    def run(self, data: bytes) -> tuple[str, ...]:
        self._path.write_bytes(data)
        taken = []
        for reader in (boards.read, kits.read, site.read):
            try:
                reader(self._path)
            except FeltpostError:
                continue
            taken.append(reader.__module__)
        if not taken:
            raise FeltpostError
        return tuple(taken)
