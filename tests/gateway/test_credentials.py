"""Passwords that the configuration names: found, read when they are needed, and kept quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.broker import Broker, password_line

from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.doctor import Level
from feltpost_gateway.doctor_brokers import check_broker
from feltpost_gateway.errors import CredentialError

SECRET = "hunter2hunter2"


def destination(**keys: Any) -> DestinationConfig:
    defaults = {"name": "mqtt", "host": "127.0.0.1", "username": "feltpost"}
    return DestinationConfig.model_validate(defaults | keys)


def test_the_directory_is_systemds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "feltpost.password").write_text(f"{SECRET}\n")
    found = destination(password_file="%d/feltpost.password")
    assert found.read_password() == SECRET
    keys = {"cert_file": "%d/feltpost.cert", "key_file": "%d/feltpost.key"}
    assert destination(tls=True, **keys).key_file == tmp_path / "feltpost.key"


def test_without_systemd_it_is_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    found = destination(password_file="%d/feltpost.password")
    assert found.password_file == Path("/etc/credstore/feltpost.password")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found = destination(password_file=str(tmp_path / "none"))
    with pytest.raises(CredentialError, match="none can't be read: No such file"):
        found.read_password()


def test_a_file_that_is_no_text_stays_quiet(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"\xff" + SECRET.encode())
    with pytest.raises(CredentialError) as caught:
        destination(password_file=str(path)).read_password()
    assert SECRET not in str(caught.value) and caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"password": SECRET, "password_file": "p"}, "don't go together"),
        ({"username": None, "password_file": "p"}, "without a username"),
        (
            {
                "username": None,
                "client_id": "{eui64}",
                "accounts": [{"node": "n", "username": "u"}],
            },
            "password or password_file is missing",
        ),
    ],
)
def test_refused(keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        destination(**keys)
    assert SECRET not in str(caught.value)


def test_the_broker_gets_it(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(password_line("feltpost", SECRET))
    secret = tmp_path / "secret"
    broker = Broker(tmp_path, f"password_file {passwords}")
    broker.start()
    try:
        found = destination(port=broker.port, password_file=str(secret))
        (missing,) = check_broker(found)
        assert missing.level is Level.FAILED and "can't be read" in str(missing.what)
        secret.write_text(SECRET)
        (let_in,) = check_broker(found)
        assert let_in.level is Level.OK
    finally:
        broker.stop()
