"""A node's configuration before it is written: made, checked with the firmware's code, compared."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from feltpost_tools import boards, kits
from feltpost_tools.errors import ConfigurationError, UnsuitableBoard
from feltpost_tools.flashing import configuration
from feltpost_tools.flashing.configuration import Change, Settings

UDP = {"kind": "udp", "host": "192.0.2.1", "ssid": "Skole Ø"}
PASSWORD = "hemmelig"


def made(**options: Any) -> Settings:
    kit, board = kits.load("indoor-climate"), boards.load("esp32-devkitc")
    return configuration.make(kit, board, [UDP], options, {UDP["ssid"]: PASSWORD})


@pytest.fixture
def good() -> dict[str, Any]:
    return dict(made().configuration)


def test_passwords_are_beside_it_and_in_no_text() -> None:
    settings = made(health={"interval_s": 60})
    assert settings.networks == ["Skole Ø"]
    assert settings.passwords == {"Skole Ø": PASSWORD}
    assert PASSWORD not in settings.text + repr(settings)
    assert configuration.parsed(settings.text.encode()) == settings.configuration


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("links[0].kind", "lora", "links[0].kind: is 'lora'"),
        ("links[0].password", PASSWORD, "links[0].password: no such setting"),
        ("health.interval_s", "5", "health.interval_s: is 5, must be 60 to 86400"),
        ("sensors[0].driver", "scd40", "sensors[0].driver: there is no driver 'scd40'"),
        ("sensors[0].channels.co2", '{"name": "co2", "samples": 0}', "channels.co2.samples"),
        ("i2c[0].sda", "6", "GPIO 6"),
    ],
)
def test_what_the_firmware_or_the_board_refuses_is_refused_here(
    good: dict[str, Any], path: str, value: str, complaint: str
) -> None:
    changed = configuration.changed(good, path, value)
    with pytest.raises(ConfigurationError) as caught:
        configuration.check(changed, boards.load("esp32-devkitc"))
    assert complaint in str(caught.value)
    assert "feltpost.json" in str(caught.value) or "GPIO" in complaint


def test_a_kit_that_the_board_has_no_bus_for_is_refused() -> None:
    board = dataclasses.replace(boards.load("esp32-devkitc"), i2c=())
    with pytest.raises(UnsuitableBoard):
        configuration.make(kits.load("indoor-climate"), board, [UDP])


def test_settings_are_found_and_changed_by_path(good: dict[str, Any]) -> None:
    assert configuration.setting(good, "links[0].host") == "192.0.2.1"
    assert configuration.setting(good, "sensors[0].driver") == good["sensors"][0]["driver"]
    other = configuration.changed(good, "links[0].host", "gateway.local")
    other = configuration.changed(other, "power.mode", "battery")
    other = configuration.changed(other, "sensors[0].interval_s", "300")
    assert configuration.diff(good, other) == [
        Change("links[0].host", "192.0.2.1", "gateway.local"),
        Change("power.mode", None, "battery"),
    ]
    assert configuration.diff(other, good)[1] == Change("power.mode", "battery", None)
    assert good == made().configuration


@pytest.mark.parametrize(
    "path", ["", "links[", "links[9].host", "links.host", "[0]", "links[0]x.y"]
)
def test_a_path_that_leads_nowhere_is_told(good: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigurationError):
        configuration.setting(good, path)
    with pytest.raises(ConfigurationError):
        configuration.changed(good, path, "1")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"3"])
def test_a_file_without_a_configuration_is_none(content: bytes) -> None:
    assert configuration.parsed(content) is None
