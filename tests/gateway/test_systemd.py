"""What the gateway tells systemd; a sign of life is one of the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from tests.gateway.disks import failing_writes, tmpfs
from tests.gateway.operators import write_config

from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.store import Store
from feltpost_gateway.systemd import Supervisor
from feltpost_gateway.transaction import Transaction
from feltpost_gateway.watchdog import Watchdog

_WAIT_S = 30


class Systemd:
    """The other end of NOTIFY_SOCKET, in the abstract name space."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")
        self._socket.settimeout(_WAIT_S)
        self.environment = {"NOTIFY_SOCKET": self._socket.getsockname().decode().replace("\0", "@")}

    def next(self) -> dict[str, str]:
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def next_but_signs_of_life(self) -> dict[str, str]:
        while (notice := self.next()) == {"WATCHDOG": "1"}:
            pass
        return notice

    def is_silent(self) -> bool:
        return not select.select([self._socket], [], [], 0)[0]

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Store]:
    store = Store(directory / "feltpost.db")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    systemd = Systemd()
    yield systemd
    systemd.close()


@contextmanager
def service(directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    config = directory / "gateway.toml"
    line = [sys.executable, "-c", "from feltpost_gateway.cli import app; app()"]
    process = subprocess.Popen(
        [*line, "run", "--config", config], env=os.environ | environment, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(_WAIT_S)


def test_a_service_from_start_to_stop(tmp_path: Path, systemd: Systemd) -> None:
    write_config(tmp_path)
    watchdog = {"WATCHDOG_USEC": "300000"}
    with service(tmp_path, systemd.environment | watchdog) as process:
        assert systemd.next().keys() == {"EXTEND_TIMEOUT_USEC"}
        assert systemd.next() == {"READY": "1"}
        assert [systemd.next() for _ in range(2)] == [{"WATCHDOG": "1"}] * 2
        process.send_signal(signal.SIGHUP)
        reloading = systemd.next_but_signs_of_life()
        assert reloading.pop("RELOADING") == "1"
        assert reloading.keys() == {"MONOTONIC_USEC"}
        assert systemd.next_but_signs_of_life() == {"READY": "1"}
        process.send_signal(signal.SIGTERM)
        assert systemd.next_but_signs_of_life() == {"STOPPING": "1"}
        assert process.wait(_WAIT_S) == 0


def test_a_store_that_is_not_open_is_not_ready(tmp_path: Path, systemd: Systemd) -> None:
    with tmpfs(tmp_path / "disk", "1m") as disk:
        write_config(disk.path)
        disk.remount("ro")
        with service(disk.path, systemd.environment) as process:
            assert systemd.next().keys() == {"EXTEND_TIMEOUT_USEC"}
            assert process.stderr is not None
            # It serves by now, in that it refuses.
            assert any(b"feltpost.service ready" in line for line in process.stderr)
            process.send_signal(signal.SIGHUP)
            assert any(b"feltpost.service reloaded" in line for line in process.stderr)
            process.send_signal(signal.SIGTERM)
            assert systemd.next() == {"STOPPING": "1"}


def test_another_process_is_watched() -> None:
    watched = {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getppid())}
    assert Supervisor(watched).watchdog_s is None
    assert Supervisor(watched | {"WATCHDOG_PID": str(os.getpid())}).watchdog_s == 60


def test_a_probe_is_a_commit_that_reaches_the_disk(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as store:
            watchdog = Watchdog(store, Supervisor({}))
            await watchdog.probe()
            before = store.commits
            await watchdog.probe()
            assert store.commits == before + 1
            with failing_writes() as writes:
                writes.fail_from, writes.error_number = 0, errno.EIO
                with pytest.raises(StoreUnavailableError):
                    await watchdog.probe()
            await watchdog.probe()

    asyncio.run(run())


def test_no_sign_of_life_while_the_disk_takes_nothing(
    tmp_path: Path, systemd: Systemd, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        supervisor = Supervisor(systemd.environment | {"WATCHDOG_USEC": "30000"})
        async with opened(tmp_path) as store:
            with failing_writes() as writes:
                writes.fail_from, writes.error_number = 0, errno.EIO
                task = asyncio.create_task(Watchdog(store, supervisor).run())
                async with asyncio.timeout(_WAIT_S):
                    while "not-fed" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                        await asyncio.sleep(0)
                assert systemd.is_silent()
            assert await asyncio.to_thread(systemd.next) == {"WATCHDOG": "1"}
            task.cancel()

    asyncio.run(run())


def test_a_commit_of_others_spares_a_probe(tmp_path: Path) -> None:
    def note(transaction: Transaction) -> None:
        transaction.connection.execute("CREATE TABLE noted (what)")

    async def run() -> None:
        async with opened(tmp_path) as store:
            watchdog = Watchdog(store, Supervisor({}))
            await watchdog.probe()
            await store.write(note)
            before = store.commits
            await watchdog.probe()
            assert store.commits == before

    asyncio.run(run())
