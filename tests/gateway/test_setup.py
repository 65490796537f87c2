"""`feltpost-gateway setup`: what it asks, tries before it changes anything, and writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.broker import Broker, password_line
from typer.testing import CliRunner, Result

from feltpost_gateway import credentials, first_run
from feltpost_gateway.cli import app
from feltpost_gateway.config import load

SECRET = "hunter2hunter2"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="setup is root's")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    passwords = tmp_path / "passwords"
    passwords.write_text(password_line("feltpost", SECRET))
    broker = Broker(tmp_path, f"password_file {passwords}")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer whose systemctl writes down what it is told, and fails where a file says so."""
    programs = tmp_path / "bin"
    programs.mkdir()
    systemctl = programs / "systemctl"
    systemctl.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n'
        f"test ! -e {tmp_path}/broken || {{ echo 'Job failed.' >&2; exit 1; }}\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(credentials, "CREDENTIAL_STORE", tmp_path / "credstore")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return tmp_path


def set_up(directory: Path, *options: str, answers: str = "") -> Result:
    line = ["setup", "--config", str(directory / "etc" / "gateway.toml"), "--no-wait", *options]
    return CliRunner().invoke(app, line, input=answers)


def options_of(broker: Broker, directory: Path, password: str = SECRET) -> list[str]:
    file = directory / "password"
    file.write_text(f"{password}\n")
    given = {
        "owner": "aarhus",
        "site": 'skole "x"',
        "broker": "127.0.0.1",
        "port": broker.port,
        "username": "feltpost",
        "password-file": file,
        "serial": "/dev/feltpost/1",
    }
    return ["--no-tls", *(part for k, v in given.items() for part in (f"--{k}", str(v)))]


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_the_packages_own_configuration_takes_three_lines() -> None:
    packaged = Path(__file__).parents[2] / "gateway" / "debian" / "gateway.toml"
    loaded = load(packaged)
    assert loaded.store.path == first_run.STORE
    assert loaded.broker is not None and loaded.broker.tls
    assert loaded.broker.password_file == Path("/etc/credstore") / first_run.CREDENTIAL
    steps = [line for line in packaged.read_text().splitlines() if line[2:4] in ("1.", "2.", "3.")]
    assert len(steps) == 3


def test_with_options(guarded: Broker, computer: Path) -> None:
    done = set_up(computer, *options_of(guarded, computer))
    assert done.exit_code == 0, done.output
    written = computer / "etc" / "gateway.toml"
    assert SECRET not in done.output + written.read_text()
    loaded = load(written)
    assert loaded.broker is not None
    assert loaded.broker.client_id == 'feltpost-aarhus-skole "x"'
    assert loaded.broker.read_password() == SECRET
    assert [serial.port for serial in loaded.serial] == ["/dev/feltpost/1"]
    secret = computer / "credstore" / first_run.CREDENTIAL
    assert [path.stat().st_mode & 0o777 for path in (written, secret)] == [0o644, 0o600]
    told = (computer / "told").read_text().splitlines()
    assert told == [f"enable {first_run.SERVICE}", f"restart {first_run.SERVICE}"]


def test_with_questions(guarded: Broker, computer: Path) -> None:
    answers = f"aarhus\nskole-x\n127.0.0.1\nn\nfeltpost\n{SECRET}\n"
    done = set_up(computer, "--port", str(guarded.port), answers=answers)
    assert done.exit_code == 0, done.output
    assert SECRET not in done.output
    assert load(computer / "etc" / "gateway.toml").broker is not None


def test_a_wrong_password_changes_nothing(guarded: Broker, computer: Path) -> None:
    done = set_up(computer, *options_of(guarded, computer, "wrong"))
    assert done.exit_code == 1
    assert "Nothing was changed" in done.output
    assert not files_in(computer / "etc") and not files_in(computer / "credstore")
    assert not (computer / "told").exists()


def test_a_name_that_can_not_be(guarded: Broker, computer: Path) -> None:
    options = options_of(guarded, computer)
    done = set_up(computer, *options, "--site", "\x07")
    assert done.exit_code == 2
    assert "broker.client_id" in done.output
    assert not files_in(computer / "etc")


def test_the_authority_goes_where_the_service_can_read_it(computer: Path) -> None:
    home = computer / "home"
    home.mkdir(mode=0o700)
    (home / "ca.pem").write_text("certificate")
    answers = first_run.Answers(
        "aarhus", "skole-x", "localhost", None, True, home / "ca.pem", None, None
    )
    path = computer / "etc" / "gateway.toml"
    first_run.save(answers, path)
    kept = path.with_name(first_run.CA_FILE)
    assert kept.read_text() == "certificate" and kept.stat().st_mode & 0o777 == 0o644
    broker = load(path).broker
    assert broker is not None and broker.ca_file == kept


def test_what_was_there_is_kept(guarded: Broker, computer: Path) -> None:
    path = computer / "etc" / "gateway.toml"
    path.parent.mkdir()
    path.write_text("before")
    options = options_of(guarded, computer)
    assert set_up(computer, *options, answers="n\n").exit_code == 1
    assert path.read_text() == "before"
    assert set_up(computer, *options, "--yes").exit_code == 0
    assert files_in(path.parent) == ["gateway.toml", "gateway.toml.before-setup"]
    assert path.with_name("gateway.toml.before-setup").read_text() == "before"


def test_a_service_that_does_not_start(guarded: Broker, computer: Path) -> None:
    (computer / "broken").touch()
    done = set_up(computer, *options_of(guarded, computer))
    assert done.exit_code == 1
    assert "systemctl enable failed: Job failed. See: journalctl" in done.output


def test_only_root(guarded: Broker, computer: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = set_up(computer, *options_of(guarded, computer))
    assert done.exit_code == 1
    assert "sudo" in done.output
