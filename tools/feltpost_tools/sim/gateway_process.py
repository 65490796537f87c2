"""The real gateway as a process of its own, on the run's clock; it can be killed and restarted."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feltpost_tools.errors import FeltpostError

_READY_S = 30.0
_STOP_S = 20.0
# What feltpost_gateway.service logs once its links listen and its store is open.
_READY = b"feltpost.service ready"


@dataclass(frozen=True)
class Enrolled:
    """A node as the gateway's configuration has it; key is its OSCORE master secret."""

    name: str
    mac: bytes
    key_id: bytes
    key: bytes


def write_configuration(
    path: Path,
    *,
    store: Path,
    udp_port: int,
    serial_ports: Sequence[Path],
    broker: tuple[str, int],
    nodes: Sequence[Enrolled],
    owner: str,
    site: str,
) -> None:
    """Write the gateway's configuration file, which only we may read."""
    lines = [
        "[store]",
        f'path = "{store}"',
        "[udp]",
        'bind = "127.0.0.1"',
        f"port = {udp_port}",
        "[broker]",
        f'host = "{broker[0]}"',
        f"port = {broker[1]}",
        f'client_id = "feltpost-{site}"',
    ]
    for port in serial_ports:
        lines += ["[[serial]]", f'port = "{port}"']
    for node in nodes:
        lines += [
            "[[nodes]]",
            f'name = "{node.name}"',
            f'owner = "{owner}"',
            f'site = "{site}"',
            f'mac = "{node.mac.hex(":")}"',
            f'key_id = "{node.key_id.hex()}"',
            f'key = "{node.key.hex()}"',
        ]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


class GatewayProcess:
    """``feltpost-gateway run``, but for the clock."""

    def __init__(self, configuration: Path, clock: Path, log: Path):
        self._configuration = configuration
        self._clock = clock
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and return when it serves."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "feltpost_tools.sim.gateway",
            "--config",
            str(self._configuration),
            "--clock",
            str(self._clock),
            # It ends when this pipe does, however we end: one that lived on would take the
            # pseudo-terminals of later runs for its own, since their names come back.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        ready = asyncio.Event()
        self._reader = asyncio.create_task(self._copy_log(self._process, ready))
        waiter = asyncio.create_task(ready.wait())
        await asyncio.wait(
            {waiter, self._reader}, timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED
        )
        waiter.cancel()
        if not ready.is_set():
            await self.kill()
            raise FeltpostError(f"the gateway did not start; its log is {self._log}")

    async def stop(self) -> None:
        """Ask it to stop and wait until it has."""
        if not self.running or self._process is None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._reader:
            await self._reader

    async def _copy_log(self, process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        assert process.stdout is not None
        with self._log.open("ab") as log:
            async for line in process.stdout:
                log.write(line)
                log.flush()
                if _READY in line:
                    ready.set()
