"""`doctor`: each fault is found and said with what to do, and none where all is well."""

from __future__ import annotations

import grp
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import make_config, running
from tests.support.authority import Authority
from tests.support.broker import Broker, free_port, password_line
from typer.testing import CliRunner

from feltpost_gateway import doctor
from feltpost_gateway.cli import app
from feltpost_gateway.config import Config
from feltpost_gateway.doctor import Finding, Level
from feltpost_gateway.doctor_brokers import check_broker

Run = Callable[[Coroutine[Any, Any, None]], None]
MIB = 1 << 20


def only(findings: Any) -> Finding:
    (found,) = list(findings)
    return found


def worst(findings: Any) -> Finding:
    order = list(Level)
    return max(findings, key=lambda finding: order.index(finding.level))


def destination(directory: Path, **keys: Any) -> Any:
    broker = {"host": "127.0.0.1", **keys}
    return make_config(directory, broker=broker).all_destinations[0]


def test_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(doctor.check_clock(lambda: 0)).level is Level.OK
    unkept = only(doctor.check_clock(lambda: 5))
    assert unkept.level is Level.WARNING
    assert "set-ntp" in str(unkept.advice)
    assert 0 <= doctor._clock_state() <= 5
    monkeypatch.setattr(doctor.SystemClock, "is_set", lambda _: False)
    assert only(doctor.check_clock(lambda: 0)).level is Level.FAILED


def mount_table(path: Path, kind: str, options: str) -> str:
    return (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
        f"36 22 98:0 / {path} rw,noatime master:1 - {kind} /dev/x {options}\n"
    )


@pytest.mark.parametrize(
    ("kind", "options", "level", "said"),
    [
        ("tmpfs", "rw", Level.WARNING, "empty after a restart"),
        ("vfat", "rw", Level.WARNING, "power cut"),
        ("ext4", "rw,nobarrier", Level.WARNING, "nobarrier"),
        ("ext4", "rw,data=writeback", Level.WARNING, "data=writeback"),
        ("nfs4", "rw", Level.FAILED, "network"),
    ],
)
def test_disks_that_lose_what_was_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    options: str,
    level: Level,
    said: str,
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(mount_table(tmp_path, kind, options))
    monkeypatch.setattr(doctor, "_MOUNTS", table)
    found = only(doctor.check_disk(tmp_path / "s.db", 0))
    assert found.level is level
    assert said in str(found.what)
    assert found.advice is not None
    table.write_text(mount_table(tmp_path, "ext4", "rw"))
    assert only(doctor.check_disk(tmp_path / "s.db", 0)).level is Level.OK


def test_disk_without_room_or_place(tmp_path: Path) -> None:
    assert "min_free_mib" in str(worst(doctor.check_disk(tmp_path / "s.db", 1 << 60)).advice)
    absent = only(doctor.check_disk(tmp_path / "absent" / "s.db", 0))
    assert absent.level is Level.FAILED
    assert str(tmp_path / "absent") in str(absent.advice)


def test_store(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    path = config.store.path

    async def make() -> None:
        async with running(config):
            pass

    assert only(doctor.check_store(path)).level is Level.OK
    run(make())
    assert {found.level for found in doctor.check_store(path)} == {Level.OK}
    path.chmod(0o644)
    assert "chmod 600" in str(worst(doctor.check_store(path)).advice)
    path.chmod(0o600)
    (tmp_path / "feltpost.db.damaged-1").write_bytes(b"")
    (tmp_path / "feltpost.db.damaged-1-wal").write_bytes(b"")
    assert [f.level for f in doctor.check_store(path)].count(Level.WARNING) == 1
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'nodes'"
        ).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * 1024)
        file.write(b"\xff" * 1024)
    assert worst(doctor.check_store(path)).level is Level.FAILED


def test_serial_ports(tmp_path: Path) -> None:
    assert doctor.check_serial(tmp_path / "ttyUSB0").level is Level.WARNING
    (tmp_path / "ttyUSB0").write_text("")
    assert "/dev/serial/by-id" in str(doctor.check_serial(tmp_path / "ttyUSB0").advice)
    host, board = os.openpty()
    try:
        assert doctor.check_serial(Path(os.ttyname(board))).level is Level.OK
    finally:
        os.close(host)
        os.close(board)


def test_serial_port_of_another_group(monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests run as root in some places, and root may use every port.
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    found = doctor.check_serial(Path("/dev/tty"))
    assert found.level is Level.FAILED
    group = grp.getgrgid(Path("/dev/tty").stat().st_gid).gr_name
    assert f"usermod -aG {group} USER" in str(found.advice)


def test_ports() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = taken.getsockname()
        found = doctor.check_port("udp", address, socket.SOCK_DGRAM, None)
        assert found.level is Level.FAILED
        assert str(address[1]) in found.subject
        ours = doctor.check_port("udp", address, socket.SOCK_DGRAM, 4711)
        assert ours.level is Level.OK
        assert "4711" in str(ours.what)
    assert doctor.check_port("udp", address, socket.SOCK_DGRAM, None).level is Level.OK


def test_a_broker_that_lets_in(tmp_path: Path, broker: Broker) -> None:
    for protocol in ("5", "3.1.1"):
        to = destination(tmp_path, port=broker.port, protocol=protocol)
        found = only(check_broker(to))
        assert (found.check, found.level) == ("login", Level.OK)


def test_a_broker_that_is_away(tmp_path: Path) -> None:
    found = only(check_broker(destination(tmp_path, port=free_port())))
    assert (found.check, found.level) == ("broker", Level.FAILED)
    assert "firewall" in str(found.advice)


def test_a_port_that_speaks_something_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        to = destination(tmp_path, port=server.getsockname()[1])

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        found = only(check_broker(to))
        thread.join()
    assert (found.check, found.level) == ("login", Level.FAILED)
    assert "does not speak MQTT" in str(found.what)


def secure_broker(directory: Path, authority: Authority) -> Broker:
    directory.mkdir()
    cert, key = authority.issue("localhost", days=10)
    passwords = directory / "passwords"
    passwords.write_text(password_line("feltpost", "right"))
    broker = Broker(directory)
    config = directory / "mosquitto.conf"
    config.write_text(
        config.read_text().replace("allow_anonymous true", "allow_anonymous false")
        + f"certfile {cert}\nkeyfile {key}\npassword_file {passwords}\n"
    )
    return broker


def test_tls_and_credentials(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    broker = secure_broker(tmp_path / "b", authority)
    broker.start()
    try:
        keys: dict[str, Any] = {
            "host": "localhost",
            "port": broker.port,
            "tls": True,
            "ca_file": str(authority.file),
            "username": "feltpost",
            "password": "right",
        }
        found = list(check_broker(destination(tmp_path, **keys)))
        assert [(f.check, f.level) for f in found] == [
            ("tls", Level.OK),
            ("tls", Level.WARNING),
            ("login", Level.OK),
        ]
        assert "renew it" in str(found[1].advice)
        refused = list(check_broker(destination(tmp_path, **keys | {"password": "wrong"})))
        assert (refused[-1].check, refused[-1].level) == ("login", Level.FAILED)
        assert "username and password" in str(refused[-1].advice)
        assert "wrong" not in str(refused[-1].what)
        other = Authority(tmp_path / "b")
        unproved = worst(check_broker(destination(tmp_path, **keys | {"ca_file": str(other.file)})))
        assert (unproved.check, unproved.level) == ("tls", Level.FAILED)
        assert "ca_file" in str(unproved.advice)
        absent = only(check_broker(destination(tmp_path, **keys | {"ca_file": "/absent.pem"})))
        assert (absent.check, absent.level) == ("tls", Level.FAILED)
    finally:
        broker.stop()


def test_the_command_ends_with_what_it_found(run: Run, tmp_path: Path, broker: Broker) -> None:
    path = tmp_path / "gateway.toml"

    def write(port: int) -> None:
        path.write_text(
            f'[store]\npath = "{tmp_path}/feltpost.db"\nmin_free_mib = 0\n'
            f'[broker]\nhost = "127.0.0.1"\nport = {port}\n'
        )

    runner = CliRunner(env={"LC_ALL": "C"})
    write(broker.port)
    good = runner.invoke(app, ["doctor", "--config", str(path), "--json"])
    assert good.exit_code == 0, good.output
    assert {found["check"] for found in json.loads(good.output)} >= {"clock", "disk", "login"}
    write(free_port())
    bad = runner.invoke(app, ["doctor", "--config", str(path)])
    assert bad.exit_code == 1
    assert "→ look at host and port" in bad.output


def test_config_of_a_running_gateway(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            tables = {"udp": {"bind": "127.0.0.1", "port": gateway.udp_port}}
            config: Config = make_config(tmp_path, **tables)
            found = [f for f in doctor.check_here(config) if f.check == "udp"]
            assert [f.level for f in found] == [Level.OK]
            assert str(os.getpid()) in str(found[0].what)

    run(scenario())
