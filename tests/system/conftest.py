"""Whole runs: real firmware on simulated boards, the real gateway, a real broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.bench import CONFIGURATION, PROMPT, Bench, on_bench
from tests.support.workshop import SPEED, Workshop

from feltpost_tools.sim.image import Image
from feltpost_tools.sim.ledger import Ledger
from feltpost_tools.sim.rig import Plan, Rig, shared_recording
from feltpost_tools.sim.trace import Trace

RigFactory = Callable[..., AbstractAsyncContextManager[Rig]]
WorkshopScript = Callable[[Workshop], Awaitable[None]]
BenchScript = Callable[[Bench], Awaitable[None]]


@pytest.fixture(scope="session")
def recording() -> Trace:
    return Trace.load(shared_recording())


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the project's own firmware as boards have it, compiled once for all tests."""
    return Image(tmp_path_factory.mktemp("firmware"))


@pytest.fixture
def rig(recording: Trace, firmware: Image, tmp_path: Path) -> RigFactory:
    """Return a function that makes a rig: ``async with rig(["serial", "udp"]) as running:``."""

    @asynccontextmanager
    async def make(
        links: list[Any], ledger: Ledger | None = None, **plan: Any
    ) -> AsyncIterator[Rig]:
        plan = {"image": firmware, **plan}
        async with Rig(Plan(recording, links, **plan), tmp_path, ledger) as running:
            try:
                yield running
            except BaseException:
                _show_logs(tmp_path)
                raise

    return make


@pytest.fixture
def workshop(rig: RigFactory, tmp_path: Path) -> Callable[[WorkshopScript], None]:
    """Return a function that runs a coroutine function with a workshop."""

    def go(script: WorkshopScript) -> None:
        async def run() -> None:
            async with rig([], speed=SPEED) as running:
                shop = Workshop(running, tmp_path / "workshop")
                shop.folder.mkdir()
                try:
                    await script(shop)
                finally:
                    for board in shop.boards:
                        await board.close()

        asyncio.run(run())

    return go


@pytest.fixture
def on_boards(firmware: Image, tmp_path: Path) -> Callable[..., None]:
    """Return a function that runs a coroutine function with so many boards, without power."""

    def go(
        script: Callable[..., Awaitable[None]],
        count: int = 1,
        configuration: dict[str, object] = CONFIGURATION,
    ) -> None:
        async def run() -> None:
            async with AsyncExitStack() as stack:
                benches = []
                for i in range(count):
                    folder = tmp_path / f"bench-{i}"
                    folder.mkdir()
                    bench = on_bench(firmware, folder, configuration)
                    benches.append(await stack.enter_async_context(bench))
                await script(*benches)

        asyncio.run(run())

    return go


@pytest.fixture
def at_prompt(on_boards: Callable[..., None]) -> Callable[[BenchScript], None]:
    """Return a function that runs a coroutine function with a board at the prompt, for no key."""

    def go(script: BenchScript) -> None:
        async def run(bench: Bench) -> None:
            await bench.board.power_on()
            await bench.printed(PROMPT)
            await script(bench)

        on_boards(run)

    return go


def _show_logs(folder: Path) -> None:
    # pytest shows what was printed where a test failed.
    for log in sorted(folder.glob("**/*.log")):
        lines = log.read_bytes().decode(errors="replace").splitlines()[-30:]
        print(f"== {log.relative_to(folder)}", *lines, sep="\n")
