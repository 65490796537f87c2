"""The configuration file: what is refused, and that the message helps and keeps secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from feltpost_gateway.cli import app
from feltpost_gateway.config import load
from feltpost_gateway.errors import ConfigError

SECRET = "00112233445566778899aabbccddeeff"
NODE = f"""
[[nodes]]
name = "gym"
owner = "favrskov"
site = "skole"
mac = "02:00:00:00:00:01"
key_id = "01"
key = "{SECRET}"
"""
GOOD = f"""
[store]
path = "/var/lib/feltpost/feltpost.db"
[udp]
[[serial]]
port = "/dev/ttyUSB0"
[broker]
host = "mqtt.example"
username = "feltpost"
password = "hunter2hunter2"
{NODE}
"""


def write(directory: Path, text: str, mode: int = 0o600) -> Path:
    path = directory / "gateway.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(directory, text))
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("latitude = 56.3", "nodes[0]: latitude and longitude are given both or neither"),
        ("elevation_m = 20", "nodes[0]: elevation_m is given without latitude and longitude"),
        ("latitude = 91\nlongitude = 9", "nodes[0].latitude: Input should be less than or equal"),
        ("latitude = 9\nlongitude = nan", "nodes[0].longitude: "),
    ],
)
def test_places_that_are_none(tmp_path: Path, keys: str, message: str) -> None:
    (line,) = refusal(tmp_path, GOOD + keys)
    assert message in line


def test_good(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert config.nodes[0].urn == "urn:dev:mac:020000fffe000001"
    assert config.nodes[0].key.get_secret_value() == bytes.fromhex(SECRET)
    assert config.udp is not None
    assert config.udp.port == 5683
    assert config.broker is not None
    assert config.broker.window == 20
    assert "hunter2" not in repr(config)
    assert SECRET not in repr(config)
    assert str(bytes.fromhex(SECRET)) not in repr(config)


def test_64_bit_address(tmp_path: Path) -> None:
    text = GOOD.replace("02:00:00:00:00:01", "02-00-00-ff-FE-00-00-01")
    assert load(write(tmp_path, text)).nodes[0].eui64.hex() == "020000fffe000001"


def test_every_error_is_named_with_file_and_key(tmp_path: Path) -> None:
    text = f"""
    [store]
    path = "/x"
    retention_days = "many"
    max_size_mib = 0
    when_full = "drop"
    [udp]
    bind = "localhost"
    [broker]
    port = 99999
    topic = "a/{{sensor}}"
    {NODE.replace(SECRET, SECRET[:-1]).replace('"gym"', '"a/b"').replace("mac", "mack")}
    """
    lines = refusal(tmp_path, text)
    path = tmp_path / "gateway.toml"
    expected = {
        "store.retention_days": "valid integer",
        "store.max_size_mib": "greater than or equal to 1",
        "store.when_full": "'refuse' or 'evict-oldest'",
        "udp.bind": "is not an IPv4 or IPv6 address",
        "broker.host": "is missing",
        "broker.port": "65535",
        "broker.topic": "has a field other than",
        "nodes[0].name": "MQTT topics don't allow",
        "nodes[0].mac": "is missing",
        "nodes[0].mack": "is not a key of this table",
        "nodes[0].key": "is not 16 bytes in hexadecimal",
    }
    assert len(lines) == len(expected)
    for key, text in expected.items():
        (line,) = [line for line in lines if line.startswith(f"{path}: {key}: ")]
        assert text in line
    assert SECRET[:-1] not in "\n".join(lines)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('"02:00:00:00:00:01"', '"02:00:00:00:00"', "is not a MAC address"),
        ('"02:00:00:00:00:01"', '"02:00:00:00:00:01:02"', "has 56 bits"),
        ('key_id = "01"', 'key_id = "0102030405060708"', "1 to 7 bytes"),
        ('key_id = "01"', "key_id = 1", "1 to 7 bytes"),
        ('username = "feltpost"', "", "password is given without a username"),
        ("[udp]", "[udp]\nport = 70000", "65535"),
        (NODE, NODE + NODE, "nodes[0] and nodes[1] have the same key_id, 01"),
        ("[store]", "[store", "is not TOML"),
    ],
)
def test_single_errors(tmp_path: Path, old: str, new: str, text: str) -> None:
    assert old in GOOD
    lines = refusal(tmp_path, GOOD.replace(old, new))
    assert any(text in line for line in lines)
    assert SECRET not in "\n".join(lines)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_keys_that_others_can_read_are_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, GOOD, mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        load(path)
    without_keys = '[store]\npath = "/x"\n'
    assert load(write(tmp_path, without_keys, mode)).nodes == ()


def test_command_line(tmp_path: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(app, ["check-config", "--config", str(write(tmp_path, GOOD))])
    assert good.exit_code == 0
    assert "1 nodes, 1 serial ports, 1 destinations, 1 warnings" in good.output
    absent = os.fspath(tmp_path / "absent.toml")
    for command in ("run", "check-config"):
        result = runner.invoke(app, [command, "--config", absent])
        assert result.exit_code == 2
        assert f"{absent}: can't be read" in result.output
