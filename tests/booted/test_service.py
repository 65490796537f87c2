"""An installed gateway under what happens to it in years; nothing that was sampled is missing."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from tests.booted.rig import CONFIGURATION, CREDENTIAL, PORT, SERVICE, BootedRig

from feltpost_gateway.migrations import SCHEMA_VERSION
from feltpost_tools.sim.rig import OWNER

pytestmark = pytest.mark.timeout(240)

STATE = "/var/lib/feltpost"
# What setup has the gateway listen on.
_COAP_PORT = 5683


def test_readings_arrive(booted: BootedRig) -> None:
    async def run() -> None:
        await booted.more_sampled()
        await booted.settled()
        # The subscriber would get readings without a store, too.
        files = await booted.machine.run("stat", "--format=%U %a", STATE, f"{STATE}/feltpost.db")
        assert files.split("\n") == ["feltpost 700", "feltpost 600"]

    booted.do(run())


def test_an_operator_can_ask(booted: BootedRig) -> None:
    async def run() -> None:
        said = await booted.machine.run("feltpost-gateway", "status", "--json")
        destinations = json.loads(said)["destinations"]
        assert [found["name"] for found in destinations] == ["mqtt"]

    booted.do(run())


def test_reload(booted: BootedRig) -> None:
    async def run() -> None:
        process = await booted.property("MainPID")
        await booted.machine.run("systemctl", "reload", SERVICE)
        assert "destinations=1" in await booted.logged("service reloaded")
        assert await booted.property("MainPID") == process

    booted.do(run())


def test_killed(booted: BootedRig) -> None:
    async def run() -> None:
        restarts = int(await booted.property("NRestarts"))
        await booted.more_sampled(1)
        await booted.machine.run("systemctl", "kill", "--signal=KILL", SERVICE)
        await booted.restarted(restarts)
        await booted.more_sampled()
        await booted.settled()

    booted.do(run())


def test_a_process_that_stands_still_is_restarted(booted: BootedRig) -> None:
    async def run() -> None:
        restarts = int(await booted.property("NRestarts"))
        await booted.machine.run("systemctl", "kill", "--signal=STOP", SERVICE)
        await booted.restarted(restarts)
        await booted.logged("Watchdog timeout")
        await booted.more_sampled()
        await booted.settled()

    booted.do(run())


def test_disk_full(booted: BootedRig) -> None:
    async def run() -> None:
        # Until nothing more goes in; its failure is what is wanted.
        fill = f"cat /dev/zero > {STATE}/filler; test -s {STATE}/filler"
        await booted.machine.run("sh", "-c", fill)
        await booted.more_sampled(16)
        # The nodes keep what the gateway can't.
        assert booted.ledger.missing
        await booted.machine.run("rm", f"{STATE}/filler")
        await booted.more_sampled()
        await booted.settled()

    booted.do(run())


def test_stop_in_the_middle_of_traffic(booted: BootedRig) -> None:
    async def run() -> None:
        await booted.more_sampled(1)
        await booted.machine.run("systemctl", "stop", SERVICE)
        # It would be another one if systemd had to kill it after its ten seconds.
        assert await booted.property("Result") == "success"
        await booted.machine.run("systemctl", "start", SERVICE)
        await booted.settled()

    booted.do(run())


def test_reboot(booted: BootedRig) -> None:
    async def run() -> None:
        await booted.more_sampled(1)
        await booted.machine.reboot()
        await booted.more_sampled()
        await booted.settled()

    booted.do(run())


def test_upgrade_with_a_backlog(booted: BootedRig, tmp_path: Path) -> None:
    async def run() -> None:
        assert booted.broker is not None
        await booted.broker.stop()
        await booted.more_sampled(16)
        before = await booted.property("MainPID")
        configuration = await booted.machine.run("cat", CONFIGURATION)
        newer = await booted.packages.copy(tmp_path, "99.0")
        await booted.install(newer)
        assert await booted.property("MainPID") not in (before, "0")
        assert await booted.machine.run("cat", CONFIGURATION) == configuration
        await booted.broker.start()
        await booted.settled()

    booted.do(run())


def test_downgrade_is_refused(booted: BootedRig, tmp_path: Path) -> None:
    async def run() -> None:
        older = await booted.packages.copy(tmp_path, "0.0.1", schema=SCHEMA_VERSION - 1)
        await booted.install(older)
        log = await booted.logged("schema version")
        refusal = f"has schema version {SCHEMA_VERSION}; this gateway knows versions up to"
        assert refusal in log and "Install the newer gateway" in log
        await booted.install(booted.packages.built)
        await booted.machine.run("systemctl", "start", SERVICE)
        await booted.more_sampled()
        await booted.settled()

    booted.do(run())


def test_from_nothing_to_the_first_reading(booted: BootedRig) -> None:
    """As an operator does it by hand, with setup and the board on the cable."""
    (node, _) = booted.nodes
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", _COAP_PORT))
        except OSError:
            pytest.skip(f"UDP port {_COAP_PORT} of this machine is in use")

    async def run() -> None:
        machine = booted.machine
        await machine.run("dpkg", "--purge", "feltpost-gateway")
        await machine.run("find", STATE, "-mindepth", "1", "-delete")
        await booted.install(booted.packages.built)
        broker = booted.broker
        assert broker is not None
        said = await machine.run(
            *("feltpost-gateway", "setup", "--yes", "--no-wait", "--serial", PORT, "--no-tls"),
            *("--owner", OWNER, "--site", booted.site, "--broker", broker.host),
            *("--port", str(broker.port), "--username", "feltpost"),
            *("--password-file", "/outside/password"),
        )
        assert "The gateway runs" in said
        assert await machine.run("stat", "--format=%a %U", CREDENTIAL) == "600 root"
        # The disk is smaller than what the gateway would leave free.
        await machine.run("sed", "-i", "s/^path = .*/&\\nmin_free_mib = 4/", CONFIGURATION)
        await machine.run("systemctl", "restart", SERVICE)
        key = {"key_id": node.enrolled.key_id.hex(), "key": node.enrolled.key.hex()}
        (machine.outside / "key.json").write_text(json.dumps(key))
        columns = {
            "mac": node.enrolled.mac.hex(":"),
            "name": node.name,
            "owner": OWNER,
            "site": booted.site,
        }
        settings = [part for c, value in columns.items() for part in ("--set", f"{c}={value}")]
        await machine.run("feltpost-gateway", "nodes", "add", *settings)
        await machine.run("install", "-m", "600", "/outside/key.json", "/root/key.json")
        line = ["feltpost-gateway", "nodes", "rotate", node.name, "--key-file", "/root/key.json"]
        await machine.run(*line)
        await booted.delivered_by(node.name)

    booted.do(run())


def test_removal_keeps_what_purge_is_not_told_to_remove(booted: BootedRig) -> None:
    async def run() -> None:
        machine = booted.machine
        await machine.run("dpkg", "--purge", "feltpost-gateway")
        assert await machine.run("find", "/proc", "-maxdepth", "1", "-user", "feltpost") == ""
        assert "feltpost.db" in await machine.run("ls", STATE)
        assert (await machine.try_to_run("test", "-e", CONFIGURATION))[0] == 1
        await booted.install(booted.packages.built)
        # The question has been answered by then.
        answer = "feltpost-gateway feltpost-gateway/remove-state boolean true"
        await machine.run("sh", "-c", f"echo {answer} | debconf-set-selections")
        await machine.run("dpkg", "--purge", "feltpost-gateway")
        assert not re.findall("feltpost", await machine.run("ls", STATE))

    booted.do(run())
