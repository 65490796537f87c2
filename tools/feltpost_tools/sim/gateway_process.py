"""The real gateway as a process of its own, on the run's clock.

It can be killed and restarted, and be told to die at a certain point or to have a failing disk
(`gateway_faults`).
"""

import asyncio
import contextlib
import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feltpost_tools.errors import FeltpostError

_READY_S = 30.0
_STOP_S = 20.0
# What feltpost_gateway.service logs once its links listen and its store is open.
_READY = b"feltpost.service ready"
# What gateway_faults says before it dies at a point; not imported, since it takes the whole
# gateway with it.
_LAST_WORDS = b"crash point "


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
    store_settings: Mapping[str, int | str] | None = None,
) -> None:
    """Write the gateway's configuration file, which only we may read.

    store_settings: what else its table ``[store]`` holds.
    """
    lines = [
        "[store]",
        f'path = "{store}"',
        # JSON writes strings and integers as TOML does.
        *(f"{name} = {json.dumps(value)}" for name, value in (store_settings or {}).items()),
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

    def __init__(self, configuration: Path, clock: Path, log: Path, tracer: Sequence[str] = ()):
        """tracer: a command in front of the gateway's, such as strace's with ``-D``."""
        self._configuration = configuration
        self._clock = clock
        self._log = log
        self._tracer = tracer
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._commands: list[str] = []
        self.crashed_at: str | None = None
        """Where the process that ran last said that it dies: the crash point and its number."""

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and return when it serves."""
        commands, self._commands = self._commands, []
        self.crashed_at = None
        self._process = await asyncio.create_subprocess_exec(
            *self._tracer,
            sys.executable,
            "-m",
            "feltpost_tools.sim.gateway",
            "--config",
            str(self._configuration),
            "--clock",
            str(self._clock),
            *(f"--command={command}" for command in commands),
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

    def tell(self, command: str) -> None:
        """Give the process a command of `gateway_faults`, which it carries out in a moment.

        One that is not running gets it before all else when it is started.
        """
        if not self.running or self._process is None:
            self._commands.append(command)
            return
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())

    def crash_at(self, point: str, nth: int = 1) -> None:
        """Have it die when it passes a point of `gateway_faults` for the nth time from then on."""
        self.tell(f"crash-at {point} {nth}")

    def fail_writes(self, error_number: int | None) -> None:
        """Have all writes to its store fail with that errno; None: have them succeed again."""
        self.tell(
            "heal" if error_number is None else f"fail-writes {errno.errorcode[error_number]}"
        )

    async def ended(self) -> int:
        """Wait until it has ended by itself; return its exit code, that of a signal negative."""
        if self._process is None or self._reader is None:
            raise FeltpostError("the gateway was not started")
        await self._reader
        return await self._process.wait()

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
        if self._process is None or self._reader is None:
            return
        # Not where it has closed its output and so has ended: subprocess would look for it first,
        # and take its exit code away from asyncio.
        if not self._reader.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self.ended()

    async def _copy_log(self, process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        assert process.stdout is not None
        with self._log.open("ab") as log:
            async for line in process.stdout:
                log.write(line)
                log.flush()
                if _READY in line:
                    ready.set()
                elif line.startswith(_LAST_WORDS):
                    self.crashed_at = line.removeprefix(_LAST_WORDS).decode().strip()
