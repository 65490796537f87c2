"""Whole runs: real firmware on simulated boards, the real gateway, a real broker."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from feltpost_tools.sim.ledger import Ledger
from feltpost_tools.sim.rig import Plan, Rig, shared_recording
from feltpost_tools.sim.trace import Trace

RigFactory = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture(scope="session")
def recording() -> Trace:
    return Trace.load(shared_recording())


@pytest.fixture
def rig(recording: Trace, tmp_path: Path) -> RigFactory:
    """Return a function that makes a rig: ``async with rig(["serial", "udp"]) as running:``."""

    @asynccontextmanager
    async def make(
        links: list[Any], ledger: Ledger | None = None, **plan: Any
    ) -> AsyncIterator[Rig]:
        async with Rig(Plan(recording, links, **plan), tmp_path, ledger) as running:
            try:
                yield running
            except BaseException:
                _show_logs(tmp_path)
                raise

    return make


def _show_logs(folder: Path) -> None:
    # pytest shows what was printed where a test failed.
    for log in sorted(folder.glob("**/*.log")):
        lines = log.read_bytes().decode(errors="replace").splitlines()[-30:]
        print(f"== {log.relative_to(folder)}", *lines, sep="\n")
