"""Kits: what comes of them on a board, and that the guides say the same."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from feltpost_tools import boards, hardware, kits
from feltpost_tools.errors import DefinitionError, UnsuitableBoard
from feltpost_tools.kits import Connection, Kit
from feltpost_tools.sim import kit as simulated
from feltpost_tools.sim.interpreter import Interpreter

UDP = {"kind": "udp", "host": "192.0.2.1", "port": 5683, "ssid": "net"}
SERIAL = {"kind": "serial"}
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def kit() -> Kit:
    return kits.load("indoor-climate")


def test_is_the_kit_that_is_simulated(kit: Kit) -> None:
    expanded = kits.expand(kit, boards.load("esp32-devkitc"), [SERIAL])
    assert expanded == simulated.configuration([SERIAL], 300)


@pytest.mark.parametrize("board_name", boards.names())
@pytest.mark.parametrize("kit_name", kits.names())
def test_every_kit_fits_every_board(kit_name: str, board_name: str) -> None:
    board = boards.load(board_name)
    expanded = kits.expand(kits.load(kit_name), board, [UDP, SERIAL])
    assert boards.check(board, expanded) == []


@pytest.mark.parametrize("kit_name", kits.names())
def test_the_firmware_accepts_it(kit_name: str, tmp_path: Path, micropython: Interpreter) -> None:
    expanded = kits.expand(kits.load(kit_name), boards.load("esp32-devkitc"), [UDP])
    (tmp_path / "feltpost.json").write_text(json.dumps(expanded))
    # What the firmware's reader takes without complaint, and whether the drivers measure what the
    # channels ask for.
    (tmp_path / "probe.py").write_text(
        "import json, sys\n"
        f"sys.path.insert(0, {str(REPOSITORY / 'firmware')!r})\n"
        "from feltpost import config, sensor\n"
        "print(len(config.load('feltpost.json').sensors))\n"
        "for entry in json.load(open('feltpost.json'))['sensors']:\n"
        "    measured = [name for name, _ in sensor.load(entry['driver']).CHANNELS]\n"
        "    print(set(entry['channels']) <= set(measured))\n"
    )
    run = subprocess.run(
        [*micropython.command, "probe.py"], cwd=tmp_path, capture_output=True, text=True
    )
    count = len(expanded["sensors"])
    assert run.stdout.split() == [str(count)] + ["True"] * count, run.stdout + run.stderr


def test_expansions_share_nothing(kit: Kit) -> None:
    board = boards.load("esp32-devkitc")
    expanded = kits.expand(kit, board, [SERIAL])
    expanded["sensors"][0]["channels"]["co2"] = "co2.other"
    expanded["links"][0]["kind"] = "udp"
    assert kits.expand(kit, board, [SERIAL]) == simulated.configuration([{"kind": "serial"}], 300)


def test_wiring_names_what_is_printed_on_the_board(kit: Kit) -> None:
    wiring = kits.wiring(kit, boards.load("esp32-s3-devkitc-1"))
    assert Connection("scd41", "SCL", "9") in wiring
    assert Connection("bh1750", "ADDR", "G") in wiring
    assert len(wiring) == len(kit.wires) == 13


def test_board_without_the_bus(kit: Kit) -> None:
    board = dataclasses.replace(boards.load("esp32-c3-devkitm-1"), i2c=())
    with pytest.raises(UnsuitableBoard, match=r"indoor-climate needs I2C bus 0, .*esp32-c3"):
        kits.expand(kit, board, [SERIAL])
    with pytest.raises(UnsuitableBoard, match=r"indoor-climate needs i2c0\.scl, .*esp32-c3"):
        kits.wiring(kit, board)


def test_board_without_the_pin() -> None:
    kit = kits.load("stream-level")
    board = dataclasses.replace(boards.load("esp32-devkitc"), digital=(4,))
    with pytest.raises(UnsuitableBoard, match=r"stream-level needs digital1, .*esp32-devkitc"):
        kits.expand(kit, board, [SERIAL])
    with pytest.raises(UnsuitableBoard, match=r"stream-level needs digital1, .*esp32-devkitc"):
        kits.wiring(kit, board)


def test_pins_by_what_they_are_for() -> None:
    kit = kits.load("stream-level")
    board = boards.load("esp32-s3-devkitc-1")
    (sensor,) = kits.expand(kit, board, [SERIAL])["sensors"]
    assert (sensor["trigger"], sensor["echo"]) == (15, 16)
    assert "bus" not in sensor
    assert Connection("jsnsr04t", "Echo", "16") in kits.wiring(kit, board)


@pytest.mark.parametrize("name", kits.names())
def test_every_sensor_is_wired_and_bought(name: str) -> None:
    kit = kits.load(name)
    wired = {wire.part for wire in kit.wires}
    assert {sensor.part for sensor in kit.sensors} <= wired
    assert wired < kit.parts.keys()


def test_unknown_kit() -> None:
    with pytest.raises(DefinitionError, match=r"no kit 'garden'; known are .*indoor-climate"):
        kits.load("garden")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('part = "scd41"', 'part = "scd40"', r"wiring\[0\]\.part: is 'scd40', which parts"),
        ("interval_s = 300", "interval_s = 0", r"sensors\[0\]\.interval_s: is 0, must be 1 to"),
        ('{ co2 = "co2" }', "{ co2 = 1 }", r"sensors\[0\]\.channels\.co2: must be a text"),
        ('{ co2 = "co2" }', "3", r"sensors\[0\]\.channels: must be a table"),
        (
            '{ co2 = "co2" }',
            '{ co2 = { name = "co2", unit = "percent" } }',
            r"sensors\[0\]\.channels\.co2: 'percent' is not a unit of RFC 8428 or RFC 8798",
        ),
        ("quantity = 1, ", "", r"parts\.board\.quantity: is missing"),
        ("[[sensors]]", "[[sensor]]", r"sensor: no such setting"),
        ('SCL = "i2c0.scl"', "SCL = 22", r"wiring\[0\]\.terminals\.SCL: must be a text"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "kit.toml"
    good = (hardware.folder() / "kits" / "indoor-climate" / "kit.toml").read_text()
    assert old in good
    path.write_text(good.replace(old, new, 1))
    with pytest.raises(DefinitionError, match=rf"kit\.toml: {complaint}"):
        kits.read(path)


def test_channel_settings_are_handed_to_the_node(tmp_path: Path) -> None:
    path = tmp_path / "kit.toml"
    good = (hardware.folder() / "kits" / "indoor-climate" / "kit.toml").read_text()
    path.write_text(good.replace('{ co2 = "co2" }', '{ co2 = { name = "co2", deadband = 10 } }'))
    expanded = kits.expand(kits.read(path), boards.load("esp32-devkitc"), [SERIAL])
    assert expanded["sensors"][0]["channels"] == {"co2": {"name": "co2", "deadband": 10}}


@pytest.mark.parametrize("name", kits.names())
def test_readme_agrees(name: str) -> None:
    kit = kits.load(name)
    rows = table_rows(hardware.folder() / "kits" / name / "README.md")
    assert {(p.name, str(p.quantity)) for p in kit.parts.values()} <= {row[:2] for row in rows}
    header = next(row for row in rows if row[:2] == ("part", "terminal"))
    assert sorted(header[2:]) == boards.names()
    columns: list[list[Connection]] = [kits.wiring(kit, boards.load(b)) for b in header[2:]]
    expected: list[tuple[Any, ...]] = [
        (wires[0].part, wires[0].terminal, *(wire.label for wire in wires))
        for wires in zip(*columns, strict=True)
    ]
    start = rows.index(header) + 2
    assert rows[start : start + len(expected)] == expected


def table_rows(path: Path) -> list[tuple[str, ...]]:
    return [
        tuple(cell.strip(" `") for cell in line.strip("|").split("|"))
        for line in path.read_text().splitlines()
        if line.startswith("|")
    ]
