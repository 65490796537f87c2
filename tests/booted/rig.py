"""A run whose gateway is the installed package on a booted machine; the rest is as in the demo."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.booted.machine import Machine

from feltpost_tools.sim.gateway_process import write_configuration
from feltpost_tools.sim.rig import OWNER, Plan, Rig

Result = TypeVar("Result")

SERVICE = "feltpost-gateway.service"
CONFIGURATION = "/etc/feltpost/gateway.toml"
PORT = "/dev/ttyFELT"
CREDENTIAL = "/etc/credstore/feltpost.broker-password"
_STATE_MIB = 48
_SETTLE_S = 60
_POLL_S = 0.2
# The shipped one takes a minute; nothing else of the service is changed.
_WATCHDOG = "[Service]\nWatchdogSec=9s\n"
_DIALOUT_GID = 20


@dataclass(frozen=True)
class Packages:
    """The package that was built, and others that are it but for their version."""

    built: Path

    async def copy(self, folder: Path, version: str, schema: int | None = None) -> Path:
        """Return a package in `folder` of another version, and of another schema of the store."""
        # The boards must not stand still meanwhile.
        return await asyncio.to_thread(self._copy, folder, version, schema)

    def _copy(self, folder: Path, version: str, schema: int | None) -> Path:
        tree = folder / "tree"
        subprocess.run(["dpkg-deb", "--raw-extract", self.built, tree], check=True)
        _replace(tree / "DEBIAN" / "control", r"^Version: .*", f"Version: {version}")
        if schema is not None:
            module = tree / "usr/lib/python3/dist-packages/feltpost_gateway/migrations.py"
            _replace(module, r"^SCHEMA_VERSION = \d+", f"SCHEMA_VERSION = {schema}")
        path = folder / f"feltpost-gateway_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--build", tree, path], check=True, stdout=subprocess.DEVNULL)
        return path


def _replace(path: Path, pattern: str, line: str) -> None:
    text, count = re.subn(pattern, line, path.read_text(), flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)


class InstalledGateway:
    """The service on the machine, as the rig sees it."""

    running = True

    def __init__(self, rig: BootedRig) -> None:
        self._rig = rig

    async def start(self) -> None:
        """Boot the machine, install the package as an operator would, and start the service."""
        rig, machine = self._rig, self._rig.machine
        port = rig.nodes[0].board.line.path.resolve()
        # As Debian's rules for serial ports have it.
        os.chown(port, 0, _DIALOUT_GID)
        port.chmod(0o660)
        await machine.boot({port: PORT})
        await rig.install(rig.packages.built)
        state = await machine.try_to_run("systemctl", "is-enabled", SERVICE)
        assert state[1] == "disabled", "an installation must not start what is not set up"
        (machine.outside / "watchdog.conf").write_text(_WATCHDOG)
        for line in (
            f"install -m 600 -o feltpost /outside/gateway.toml {CONFIGURATION}",
            f"install -D -m 600 /outside/password {CREDENTIAL}",
            f"install -D -m 644 /outside/watchdog.conf /etc/systemd/system/{SERVICE}.d/test.conf",
            "systemctl daemon-reload",
            f"systemctl enable {SERVICE}",
        ):
            await machine.run(*line.split())
        status, output = await machine.try_to_run("systemctl", "start", SERVICE)
        assert status == 0, f"{output}\n{await rig.journal()}"

    async def stop(self) -> None:
        """Switch the machine off."""
        await self._rig.machine.switch_off()


class BootedRig(Rig):
    """The run; `do` carries a coroutine out on its event loop."""

    def __init__(
        self, plan: Plan, folder: Path, packages: Packages, debian: Path, runner: asyncio.Runner
    ) -> None:
        super().__init__(plan, folder)
        self.packages = packages
        self._runner = runner
        (folder / "machine").mkdir()
        self.machine = Machine(debian, folder / "machine", _STATE_MIB)

    def do(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Return a coroutine's result; between two calls the boards stand still."""
        return self._runner.run(coroutine)

    async def install(self, package: Path) -> None:
        """Install a package, with the questions that come up answered by their defaults."""
        await asyncio.to_thread(shutil.copy, package, self.machine.outside)
        await self.machine.run("dpkg", "--install", f"/outside/{package.name}")

    async def journal(self) -> str:
        """Return what the machine logged last."""
        return (await self.machine.try_to_run("journalctl", "-b", "-n60", "--no-pager"))[1]

    async def logged(self, pattern: str) -> str:
        """Return the lines of the service's log that match; raise `CommandError` for none."""
        # What a service prints is on its way to the journal for a moment.
        await self.machine.run("journalctl", "--sync")
        return await self.machine.run("journalctl", "-b", "-u", SERVICE, "-g", pattern)

    async def property(self, name: str) -> str:
        """Return a property of the service."""
        return await self.machine.run("systemctl", "show", "--value", "-p", name, SERVICE)

    async def restarted(self, restarts: int) -> None:
        """Wait until systemd has restarted the service more often than that and it serves."""
        async with asyncio.timeout(_SETTLE_S):
            while not await self._is_restarted(restarts):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(_POLL_S)

    async def _is_restarted(self, restarts: int) -> bool:
        state = await self.property("ActiveState")
        return state == "active" and int(await self.property("NRestarts")) > restarts

    async def more_sampled(self, count: int = 8) -> None:
        """Wait until the boards have sampled so many more readings, wherever those are then."""
        until = self.ledger.outcome().sampled + count
        async with asyncio.timeout(_SETTLE_S):
            while self.ledger.outcome().sampled < until:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(_POLL_S)

    async def settled(self) -> None:
        """Wait until all that was sampled up to now has arrived, and nothing that was not."""
        waiting = list(self.ledger.missing)
        until_s = time.monotonic() + _SETTLE_S
        while left := [sample for sample in waiting if sample in self.ledger.missing]:
            assert time.monotonic() < until_s, f"{len(left)} of {len(waiting)} have not arrived"
            await self.next_arrival(_POLL_S)
        assert not self.ledger.wrong

    async def delivered_by(self, node: str) -> None:
        """Wait until another reading of a node's has arrived."""
        before = self.ledger.nodes[node].delivered
        until_s = time.monotonic() + _SETTLE_S
        while self.ledger.nodes[node].delivered == before:
            assert time.monotonic() < until_s, f"nothing arrives from {node}"
            await self.next_arrival(_POLL_S)

    def _make_gateway(self) -> Any:
        return InstalledGateway(self)

    def _write_gateway_configuration(self, broker: tuple[str, int]) -> None:
        outside = self.machine.outside
        path = outside / "gateway.toml"
        write_configuration(
            path,
            store=Path("/var/lib/feltpost/feltpost.db"),
            udp_port=self.udp_port,
            serial_ports=[Path(PORT)],
            broker=broker,
            nodes=[node.enrolled for node in self.nodes],
            owner=OWNER,
            site=self.site,
        )
        text = path.read_text()
        text = text.replace("[udp]", "min_free_mib = 4\n[udp]", 1)
        login = 'username = "feltpost"\npassword_file = "%d/feltpost.broker-password"\n'
        path.write_text(text.replace("[broker]\n", f"[broker]\n{login}", 1))
        (outside / "password").write_text("a password\n")
