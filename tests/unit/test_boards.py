"""Board definitions: they hold together, and `check` finds what would not work on the board."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feltpost_tools import boards, hardware
from feltpost_tools.boards import Board, Fault, Problem, Severity
from feltpost_tools.errors import DefinitionError, FeltpostError

NAMES = boards.names()
UDP = {"kind": "udp", "host": "192.0.2.1", "ssid": "net"}
SERIAL = {"kind": "serial"}
GPIO = st.integers(0, 63)

# What the chip's documents say of all its pins, as rules and not pin by pin, so that a slip in a
# file shows. The sets are those of the pins that the headers carry.
ADC1 = {
    "ESP32": {36: 0, 39: 3, 32: 4, 33: 5, 34: 6, 35: 7},
    "ESP32-S3": {channel + 1: channel for channel in range(10)},
    "ESP32-C3": {channel: channel for channel in range(5)},
    "ESP32-C6": {channel: channel for channel in range(7)},
}
ADC2 = {
    "ESP32": {4: 0, 0: 1, 2: 2, 15: 3, 13: 4, 12: 5, 14: 6, 27: 7, 25: 8, 26: 9},
    "ESP32-S3": {channel + 11: channel for channel in range(10)},
    "ESP32-C3": {5: 0},
    "ESP32-C6": {},
}
STRAPPING = {
    "ESP32": {0, 2, 5, 12, 15},
    "ESP32-S3": {0, 3, 45, 46},
    "ESP32-C3": {2, 8, 9},
    "ESP32-C6": {4, 5, 8, 9, 15},
}
WAKES = {
    "ESP32": {0, 2, 4, *range(12, 16), *range(25, 28), *range(32, 37), 39},
    "ESP32-S3": set(range(22)),
    "ESP32-C3": set(range(6)),
    "ESP32-C6": set(range(8)),
}
HEADER_PINS = {"ESP32": 32, "ESP32-S3": 36, "ESP32-C3": 15, "ESP32-C6": 23}


@pytest.fixture(params=NAMES)
def board(request: pytest.FixtureRequest) -> Board:
    return boards.load(request.param)


def configuration(
    scl: int = 22, sda: int = 21, adc: int | None = None, link: dict[str, Any] = SERIAL
) -> dict[str, Any]:
    sensors: list[dict[str, Any]] = [{"driver": "scd41", "bus": 0, "interval_s": 60}]
    if adc is not None:
        sensors.append({"driver": "analog", "adc": adc, "interval_s": 60})
    return {"links": [link], "i2c": [{"id": 0, "scl": scl, "sda": sda}], "sensors": sensors}


DS18B20 = {"driver": "ds18b20", "pin": 4}


def sensors(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"sensors": list(entries)}


def found(name: str, content: dict[str, Any]) -> list[tuple[str, Fault]]:
    return [(problem.key, problem.fault) for problem in boards.check(boards.load(name), content)]


def test_the_four_boards_are_there() -> None:
    assert {boards.load(name).chip for name in NAMES} == set(HEADER_PINS)
    assert len(NAMES) == 4


def test_pins_agree_with_the_chips_rules(board: Board) -> None:
    adc = {pin.gpio: pin.adc for pin in board.pins.values() if pin.adc}
    assert adc == {gpio: f"ADC1_CH{channel}" for gpio, channel in ADC1[board.chip].items()} | {
        gpio: f"ADC2_CH{channel}" for gpio, channel in ADC2[board.chip].items()
    }
    assert {p.gpio for p in board.pins.values() if p.strapping} == STRAPPING[board.chip]
    assert {p.gpio for p in board.pins.values() if p.wakes} == WAKES[board.chip]
    assert len(board.pins) == HEADER_PINS[board.chip]
    assert all(pin.gpio == gpio for gpio, pin in board.pins.items())
    labels = [pin.label for pin in board.pins.values()]
    assert len(set(labels)) == len(labels)
    assert {p.gpio for p in board.pins.values() if p.input_only} == (
        {34, 35, 36, 39} if board.chip == "ESP32" else set()
    )


def test_parts_of_a_definition_agree(board: Board) -> None:
    by_taker = {
        taker: {pin.gpio for pin in board.pins.values() if pin.taken_by is taker}
        for taker in boards.Taker
    }
    assert by_taker[boards.Taker.LED] == ({board.led.pin} if board.led else set())
    assert len(by_taker[boards.Taker.CONSOLE]) == 2
    assert len(by_taker[boards.Taker.USB]) in (0, 2)
    assert board.consoles
    assert board.sources
    assert board.adc_works_beside_wifi <= board.adc_works


def test_default_pins_have_no_restrictions_and_leave_room_for_analogue(board: Board) -> None:
    content: dict[str, Any] = {
        "links": [UDP],
        "i2c": [dataclasses.asdict(bus) for bus in board.i2c],
        "uart": [dataclasses.asdict(uart) for uart in board.uarts],
    }
    on_no_bus = [DS18B20 | {"pin": gpio} for gpio in board.digital]
    on_no_bus += [{"adc": gpio} for gpio in board.analogue]
    assert len(on_no_bus) == 3
    assert boards.check(board, content | sensors(*on_no_bus)) == []
    used = {entry[key] for entry in content["i2c"] for key in ("scl", "sda")}
    used |= {entry[key] for entry in content["uart"] for key in ("tx", "rx")}
    free = [
        gpio
        for gpio in board.pins.keys() - used
        if not boards.check(board, content | {"sensors": [{"adc": gpio}]})
    ]
    assert len(free) >= 3


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("esp32-devkitc", configuration(), []),
        # Pins that the chip has and the header lacks, and that neither has.
        ("esp32-devkitc", configuration(scl=37), [("i2c[0].scl", Fault.ABSENT)]),
        ("esp32-devkitc", configuration(sda=63), [("i2c[0].sda", Fault.ABSENT)]),
        ("esp32-c3-devkitm-1", configuration(scl=7, sda=22), [("i2c[0].sda", Fault.ABSENT)]),
        ("esp32-devkitc", configuration(scl=34), [("i2c[0].scl", Fault.INPUT_ONLY)]),
        ("esp32-devkitc", configuration(sda=9), [("i2c[0].sda", Fault.FLASH)]),
        ("esp32-devkitc", configuration(sda=3), [("i2c[0].sda", Fault.CONSOLE)]),
        ("esp32-devkitc", configuration(sda=16), [("i2c[0].sda", Fault.PSRAM)]),
        ("esp32-s3-devkitc-1", configuration(scl=9, sda=20), [("i2c[0].sda", Fault.USB)]),
        ("esp32-s3-devkitc-1", configuration(scl=38, sda=8), [("i2c[0].scl", Fault.LED)]),
        # A pull-up on this one sets the flash's supply to 1.8 V.
        ("esp32-devkitc", configuration(sda=12), [("i2c[0].sda", Fault.STRAPPED_LOW)]),
        ("esp32-devkitc", configuration(sda=0), [("i2c[0].sda", Fault.STRAPPED)]),
        ("esp32-devkitc", configuration(sda=5), [("i2c[0].sda", Fault.STRAPPING)]),
        (
            "esp32-c3-devkitm-1",
            configuration(scl=7, sda=8),
            [("i2c[0].sda", Fault.LED), ("i2c[0].sda", Fault.STRAPPED)],
        ),
        ("esp32-devkitc", configuration(scl=22, sda=22), [("i2c[0].sda", Fault.TWICE)]),
        ("esp32-devkitc", configuration(adc=34, link=UDP), []),
        ("esp32-devkitc", configuration(adc=25), []),
        ("esp32-devkitc", configuration(adc=25, link=UDP), [("sensors[1].adc", Fault.ADC_WIFI)]),
        ("esp32-devkitc", configuration(adc=23), [("sensors[1].adc", Fault.NO_ADC)]),
        (
            "esp32-devkitc",
            configuration(adc=22),
            [("sensors[1].adc", Fault.NO_ADC), ("sensors[1].adc", Fault.TWICE)],
        ),
        (
            "esp32-c3-devkitm-1",
            configuration(scl=7, sda=6, adc=5),
            [("sensors[1].adc", Fault.ADC_BROKEN)],
        ),
        # The bootloader wants GPIO2 low. What transmits to the board rests high, the board itself
        # does not drive the pin before the firmware runs.
        (
            "esp32-devkitc",
            {"uart": [{"id": 1, "tx": 2, "rx": 18}]},
            [("uart[0].tx", Fault.STRAPPED)],
        ),
        (
            "esp32-devkitc",
            {"uart": [{"id": 1, "tx": 19, "rx": 2}]},
            [("uart[0].rx", Fault.STRAPPED_LOW)],
        ),
        ("esp32-devkitc", {"uart": [{"id": 1, "tx": 19, "rx": 34}]}, []),
        (
            "esp32-devkitc",
            {"uart": [{"id": 0, "tx": 19, "rx": 18}]},
            [("uart[0].id", Fault.NO_UART)],
        ),
        # Sensors that are on no bus.
        ("esp32-devkitc", sensors(DS18B20 | {"pin": 34}), [("sensors[0].pin", Fault.INPUT_ONLY)]),
        ("esp32-devkitc", sensors(DS18B20 | {"pin": 12}), [("sensors[0].pin", Fault.STRAPPED_LOW)]),
        (
            "esp32-devkitc",
            sensors({"driver": "pulses", "pin": 6}),
            [("sensors[0].pin", Fault.FLASH)],
        ),
        ("esp32-devkitc", sensors({"trigger": 13, "echo": 34}), []),
        (
            "esp32-devkitc",
            sensors({"trigger": 35, "echo": 37}),
            [("sensors[0].trigger", Fault.INPUT_ONLY), ("sensors[0].echo", Fault.ABSENT)],
        ),
        # Several may be on one 1-Wire bus, and nothing else with them.
        ("esp32-devkitc", sensors(DS18B20, DS18B20, DS18B20), []),
        (
            "esp32-devkitc",
            sensors(DS18B20, DS18B20, {"driver": "pulses", "pin": 4}, {"trigger": 4, "echo": 13}),
            [("sensors[2].pin", Fault.TWICE), ("sensors[3].trigger", Fault.TWICE)],
        ),
        (
            "esp32-c6-devkitc-1",
            {"i2c": [{"id": 1, "scl": 7, "sda": 6}]},
            [("i2c[0].id", Fault.NO_I2C)],
        ),
        (
            "esp32-devkitc",
            {"i2c": [{"id": 0, "scl": "22", "sda": True}]},
            [("i2c[0].scl", Fault.NOT_A_PIN), ("i2c[0].sda", Fault.NOT_A_PIN)],
        ),
    ],
)
def test_check(name: str, content: dict[str, Any], expected: list[tuple[str, Fault]]) -> None:
    assert found(name, content) == expected


@pytest.mark.parametrize(
    "content", [{}, {"i2c": 3}, {"i2c": [None, "x"]}, {"links": {"kind": "udp"}}, {"sensors": [{}]}]
)
def test_other_shapes_are_left_to_the_firmwares_reader(content: dict[str, Any]) -> None:
    assert found("esp32-devkitc", content) == []


def test_what_a_message_says() -> None:
    (problem,) = boards.check(boards.load("esp32-devkitc"), configuration(scl=22, sda=34))
    assert problem.severity is Severity.ERROR
    assert str(problem) == (
        "esp32-devkitc: i2c[0].sda: GPIO 34 (pin IO34) can only be read, and this use has to drive "
        "it; use another pin (4, 13, 14, 18, 19, 21)"
    )


def test_warnings_are_told_from_errors() -> None:
    (problem,) = boards.check(boards.load("esp32-devkitc"), configuration(sda=5))
    assert problem.severity is Severity.WARNING


@pytest.mark.parametrize("fault", Fault)
def test_texts_can_be_filled_in(fault: Fault) -> None:
    fields = ("value", "id", "ids", "gpio", "label", "adc", "level", "other", "free")
    problem = Problem.of("board", "key", fault, **dict.fromkeys(fields, "x"))
    assert "{" not in str(problem)


@given(name=st.sampled_from(NAMES), scl=GPIO, sda=GPIO, adc=GPIO)
def test_following_the_advice_helps(name: str, scl: int, sda: int, adc: int) -> None:
    board = boards.load(name)
    content = configuration(scl, sda, adc, UDP)
    # Every round mends one key for good: what is advised is nobody else's and has no fault itself.
    for _ in range(3):
        problems = boards.check(board, content)
        if not problems:
            return
        key = problems[0].key
        advised = int(problems[0].remedy.split("(")[1].split(",")[0].split(")")[0])
        section, _, rest = key.partition("[")
        content[section][int(rest[0])][key.rpartition(".")[2]] = advised
    assert boards.check(board, content) == []


def test_unknown_board() -> None:
    with pytest.raises(DefinitionError, match=r"no board 'esp8266'; known are .*esp32-devkitc"):
        boards.load("esp8266")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('chip = "ESP32"', "", r"esp32-devkitc\.toml: chip: is missing"),
        ("flash_mib = 4", 'flash_mib = "4"', r"toml: flash_mib: must be a whole number"),
        ("flash_mib = 4", "flash_mib = true", r"toml: flash_mib: must be a whole number"),
        ("flash_mib = 4", "flash_mib = 0", r"toml: flash_mib: is 0, must be 1 to 128"),
        ("scl = 22", "scl = 37", r"toml: i2c\[0\]\.scl: is 37, which pins does not have"),
        ("scl = 22", "scl = 22\nclock = 1", r"toml: i2c\[0\]\.clock: no such setting"),
        ("[adc]", "[adc]\nbits = 12", r"toml: adc\.bits: no such setting"),
        ("[adc]", "[adcs]", r"toml: adc: is missing"),
        ("digital = [4, 13]", "digital = [4, 37]", r"toml: sensors\.digital: has 37, which pins "),
        ("analogue = [34]", "analogue = [true]", r"toml: sensors\.analogue: must be a list of who"),
        ("[power]", "[[power]]", r"toml: power: must be a table"),
        ('works = ["ADC1", "ADC2"]', "works = [1]", r"toml: adc\.works: must be a list of texts"),
        ('"low"', '"floating"', r"toml: pins\.12\.strapping: is 'floating', must be one of low, h"),
        ('"flash" }', '"flash", dac = 1 }', r"toml: pins\.9\.dac: no such setting"),
        ("36 = {", "VP = {", r"toml: pins\.VP: must be a GPIO number, 0 to 63"),
        ("[pins]", "[pins", r"toml: is not TOML: .*line"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "esp32-devkitc.toml"
    good = (hardware.folder() / "boards" / path.name).read_text()
    assert old in good
    path.write_text(good.replace(old, new, 1))
    with pytest.raises(DefinitionError, match=complaint):
        boards.read(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"none\.toml: cannot be read"):
        boards.read(tmp_path / "none.toml")


def test_definitions_are_found_in_a_wheel_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "feltpost_tools"
    monkeypatch.setattr(hardware, "__file__", str(package / "hardware.py"))
    with pytest.raises(FeltpostError, match="install feltpost again"):
        hardware.folder()
    source = Path(__file__).parents[2] / "hardware"
    shutil.copytree(source, package / "_hardware")
    assert hardware.folder() == package / "_hardware"
    assert boards.load("esp32-devkitc").chip == "ESP32"


def test_readme_lists_every_board(board: Board) -> None:
    readme = (hardware.folder() / "boards" / "README.md").read_text()
    assert f"| `{board.name}` | {board.title} | {board.chip} | {board.flash_mib} |" in readme


@pytest.mark.parametrize("driver", ["contact", "pir", "pulses"])
def test_what_is_counted_needs_a_pull(driver: str) -> None:
    def counted(pin: int) -> list[tuple[str, Fault]]:
        sensors = [{"driver": driver, "pin": pin, "interval_s": 60}]
        return found("esp32-devkitc", {"links": [SERIAL], "sensors": sensors})

    assert counted(27) == []
    assert counted(35) == [("sensors[0].pin", Fault.NO_PULL)]
