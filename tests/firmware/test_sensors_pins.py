"""The drivers of DS18B20, JSN-SR04T and analogue inputs, on MicroPython, against their models.

The waits of drivers and shims move the models' clock and nothing else does, so that every one of
them counts, and none takes wall time.
"""

from __future__ import annotations

import ast
import json
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feltpost_tools.sim.image import SHIMS
from feltpost_tools.sim.interpreter import Interpreter
from feltpost_tools.sim.parts import OneWireBus, Part
from feltpost_tools.sim.sensors.analogue import Analogue
from feltpost_tools.sim.sensors.device import Device, Readout
from feltpost_tools.sim.sensors.ds18b20 import Ds18b20
from feltpost_tools.sim.sensors.jsnsr04t import Jsnsr04t
from feltpost_tools.sim.sensors.onewire import crc8

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = Path(__file__).with_name("part_node.py")
ENODEV = 19

DS18B20 = {"driver": "ds18b20", "pin": 4, "channels": {"temperature": "temperature"}}
JSNSR04T = {"driver": "jsnsr04t", "trigger": 25, "echo": 26, "channels": {"distance": "distance"}}
ANALOGUE = {"driver": "analogue", "adc": 34, "channels": {"voltage": "voltage"}}

MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class DriverError(Exception):
    """A SensorError on the node: its class, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Node:
    """A MicroPython process with drivers, and the parts of its board."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._process = subprocess.Popen(
            [*interpreter.command, str(SCRIPT), str(SHIMS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        )
        self.now_us = 0
        self.reset()

    def reset(self) -> None:
        self.parts: dict[str, Part] = {}
        self.environment = {"temperature": 17.4, "distance": 1.234, "voltage": 1.5}
        self.readouts: list[Readout] = []
        self.after_sleep: Callable[[], None] = lambda: None
        # The bus's slots take time, by which no model of a chip is disturbed.
        self.slept_us: list[int] = []

    def close(self) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0
        self._process.stdout.close()

    def sense(self, quantity: str, now_us: int) -> float:
        return self.environment[quantity]

    def wire(self, *devices: Ds18b20) -> OneWireBus:
        self.parts["pin4"] = bus = OneWireBus(devices)
        return bus

    def ds18b20(self, serial: str = "ff641e0f3c5a") -> Ds18b20:
        return Ds18b20(self.sense, self.readouts.append, bytes.fromhex(serial))

    def connect(self, *entries: dict[str, Any]) -> tuple[list, list, list]:
        sensors = [
            {"name": f"s{i}", "interval_s": 60} | entry for i, entry in enumerate(entries, start=1)
        ]
        return self.command("connect " + json.dumps(sensors))

    def start(self, number: int = 0) -> None:
        self.command(f"start {number}")

    def sample(self, number: int = 0) -> int:
        (value,) = self.command(f"sample {number}")
        return value

    def command(self, line: str):
        """Execute a command on the node, serving its parts and clock until it is done."""
        self._send(line)
        while True:
            answer = self._process.stdout.readline().rstrip("\n")
            verb, _, rest = answer.partition(" ")
            if verb == "result":
                return ast.literal_eval(rest)
            if verb == "error":
                kind, untouched, text = rest.split(" ", 2)
                assert untouched == "True", "an error left a value behind"
                raise DriverError(kind, text)
            if verb == "sleep":
                self.now_us += int(rest)
                self.slept_us.append(int(rest))
                self.after_sleep()
                self._send("done")
            else:
                assert verb == "part", f"the node died: {answer}"
                self._send(self._ask(*rest.split(" ")))

    def _ask(self, place: str, request: str) -> str:
        part = self.parts.get(place)
        if part is None:
            return f"error {ENODEV}"
        try:
            return "ok " + part.serve(bytes.fromhex(request), self.now_us).hex()
        except OSError as error:
            return f"error {error.errno}"

    def _send(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


@pytest.fixture(scope="module")
def _process(micropython: Interpreter) -> Iterator[Node]:
    node = Node(micropython)
    yield node
    node.close()


@pytest.fixture
def node(_process: Node) -> Node:
    _process.reset()
    return _process


def fails(action: Callable[[], object], kind: str, text: str) -> None:
    with pytest.raises(DriverError, match=text) as error:
        action()
    assert error.value.kind == kind


def half_up(value: float) -> int:
    return math.floor(Fraction(value) + Fraction(1, 2))


def thermometer(node: Node) -> Ds18b20:
    device = node.ds18b20()
    node.wire(device)
    assert node.connect(DS18B20)[2] == []
    return device


def ranger(node: Node, **options: Any) -> Jsnsr04t:
    device = Jsnsr04t(node.sense, node.readouts.append)
    node.parts |= {"pin25": device.trigger, "pin26": device.echo}
    assert node.connect(JSNSR04T | options)[2] == []
    return device


def input_pin(node: Node) -> Analogue:
    device = Analogue(node.sense, node.readouts.append)
    node.parts["adc34"] = device
    assert node.connect(ANALOGUE)[2] == []
    return device


ALL = pytest.mark.parametrize(
    ("attach", "quantity", "kind"),
    [
        (thermometer, "temperature", "NotResponding"),
        (ranger, "distance", "NotResponding"),
        (input_pin, "voltage", "OutOfRange"),
    ],
)
SCALE = {"temperature": 100, "distance": 1000, "voltage": 1000}


def check_against_readout(node: Node, value: int, scale: int) -> None:
    assert abs(value - node.readouts[-1].value * scale) <= 0.5 + 1e-9


# What all drivers must do


@ALL
def test_samples_what_is_there(
    node: Node, attach: Callable[[Node], Device], quantity: str, kind: str
) -> None:
    attach(node)
    node.start()
    value = node.sample()
    assert len(node.readouts) == 1
    check_against_readout(node, value, SCALE[quantity])
    assert abs(value / SCALE[quantity] - node.environment[quantity]) < 0.04


@ALL
def test_unplugged_and_back(
    node: Node, attach: Callable[[Node], Device], quantity: str, kind: str
) -> None:
    device = attach(node)
    node.start()
    node.sample()
    device.unplugged = True
    fails(node.sample, kind, "s?on pins? ")
    device.unplugged = False
    node.start()
    check_against_readout(node, node.sample(), SCALE[quantity])


# DS18B20


@MANY
@given(count=st.integers(-880, 2000))
def test_ds18b20_over_its_range(node: Node, count: int) -> None:
    node.reset()
    thermometer(node)
    node.environment["temperature"] = count / 16
    node.start()
    assert node.sample() == half_up(count * 100 / 16)


@pytest.mark.parametrize(
    ("temperature", "hundredths"),
    # The data sheet's table of temperatures and data, and what it gives beyond its range.
    [(125, 12500), (85, 8500), (25.0625, 2506), (10.125, 1013), (0.5, 50), (0, 0), (-0.5, -50),
     (-10.125, -1012), (-25.0625, -2506), (-55, -5500), (150, 12500), (-70, -5500)],
)  # fmt: skip
def test_ds18b20_examples(node: Node, temperature: float, hundredths: int) -> None:
    thermometer(node)
    node.environment["temperature"] = temperature
    node.start()
    assert node.sample() == hundredths


def test_ds18b20_takes_85_degrees_for_a_measurement_when_it_is_one(node: Node) -> None:
    thermometer(node)
    node.environment["temperature"] = 85.0
    node.start()
    assert node.sample() == 8500
    assert len(node.readouts) == 1


@pytest.mark.parametrize("starts", [1, 2, 3])
def test_ds18b20_rejects_the_85_degrees_after_power_on(node: Node, starts: int) -> None:
    """The chip loses its power for a moment while it measures, which nothing else tells."""
    device = thermometer(node)
    for _ in range(starts):
        node.start()
    node.sample()

    def blink() -> None:
        device.unplugged = True
        device.unplugged = False

    node.after_sleep = blink
    fails(node.sample, "NotReady", "lost its settings; it may have lost power")
    node.after_sleep = lambda: None
    assert len(node.readouts) == 1
    node.start()
    assert node.sample() == 1738


def test_ds18b20_rejects_what_a_copy_remembers_over_power_on(node: Node) -> None:
    """Chips sold as DS18B20 have been seen that show an old temperature after power-on."""
    device = thermometer(node)
    node.start()

    def blink() -> None:
        device.unplugged = True
        device.unplugged = False
        device._count = 20 * 16

    node.after_sleep = blink
    fails(node.sample, "NotReady", "lost power")


def test_ds18b20_that_did_not_take_the_command_is_not_believed(node: Node) -> None:
    device = thermometer(node)
    node.start()
    execute = device._execute
    device._execute = lambda command: iter(()) if command == 0x44 else execute(command)
    fails(node.sample, "NotReady", "did not begin to measure")


def test_ds18b20_that_never_ends(node: Node) -> None:
    device = thermometer(node)
    node.start()
    device.stuck_busy = True
    fails(node.sample, "NotReady", "still measuring after 751 ms")
    device.stuck_busy = False
    node.start()
    assert node.sample() == 1738


def test_ds18b20_waits_as_long_as_the_data_sheet_says(node: Node) -> None:
    thermometer(node)
    node.start()
    node.sample()
    assert node.slept_us == [751_000 - 999]


def test_ds18b20_that_had_too_little_power(node: Node) -> None:
    device = thermometer(node)
    node.start()
    device.underpowered = True
    fails(node.sample, "OutOfRange", "2047 sixteenths is not within -55 to 125")


def test_ds18b20_bad_checksum(node: Node) -> None:
    device = thermometer(node)
    device.corrupt_next = 1
    fails(node.start, "BadChecksum", "ds18b20 on pin 4: what was read fails its CRC")
    node.start()
    device.corrupt_next = 1
    fails(node.sample, "BadChecksum", "fails its CRC")
    assert not node.readouts
    assert node.sample() == 1738


def test_ds18b20_with_its_address_disturbed(node: Node) -> None:
    device = thermometer(node)
    device.rom = device.rom[:7] + bytes((device.rom[7] ^ 1,))
    fails(node.start, "BadChecksum", "its address fails its CRC")


def test_ds18b20_line_held_low(node: Node) -> None:
    device = node.ds18b20()
    bus = node.wire(device)
    node.connect(DS18B20 | {"address": device.rom.hex()})
    node.start()
    bus.shorted = True
    fails(node.sample, "NotResponding", "data line is held low")
    fails(node.start, "NotResponding", "data line is held low")
    bus.shorted = False
    node.start()
    assert node.sample() == 1738


def test_ds18b20_absent(node: Node) -> None:
    node.connect(DS18B20)
    fails(node.start, "NotResponding", "ds18b20 on pin 4: does not answer; check its wiring")
    node.wire()
    fails(node.start, "NotResponding", "does not answer")


def test_ds18b20_on_two_wires_is_refused(node: Node) -> None:
    thermometer(node).parasite = True
    fails(node.start, "NotReady", "connect its VDD")


def test_another_chip_on_the_wire_is_refused(node: Node) -> None:
    device = thermometer(node)
    rom = b"\x10" + device.rom[1:7]
    device.rom = rom + bytes((crc8(rom),))
    fails(node.start, "WrongChip", "family 0x10, a DS18B20 has 0x28")


def test_ds18b20_several_on_a_wire_need_addresses(node: Node) -> None:
    devices = [node.ds18b20(f"{i:02x}641e0f3c5a") for i in (1, 3, 0x81, 2)]
    node.wire(*devices)
    node.connect(DS18B20)
    with pytest.raises(DriverError, match="shares its wire: give it one of the addr") as error:
        node.start()
    assert all(device.rom.hex() in str(error.value) for device in devices)


def test_ds18b20_several_on_a_wire_take_turns(node: Node) -> None:
    first, second = node.ds18b20(), node.ds18b20("ff641e0f3c5b")
    first._environment = lambda *_: 20.0
    second._environment = lambda *_: 30.0
    node.wire(first, second)
    node.connect(*(DS18B20 | {"address": device.rom.hex()} for device in (first, second)))
    node.start(0)
    node.start(1)
    assert node.command("together [0, 1]") == [2000, 3000]
    second.unplugged = True
    first_value, second_value = node.command("together [0, 1]")
    assert first_value == 2000
    assert "does not answer" in second_value
    assert second.rom.hex() in second_value
    # One must not take the other's end of a conversion for its own.
    first.stuck_busy = True
    second.unplugged = False
    node.start(1)
    first_value, second_value = node.command("together [0, 1]")
    assert "still measuring" in first_value
    assert second_value == 3000


@pytest.mark.parametrize("address", ["28ff641e0f3c5a91", "28ff64", "x", "0" * 16])
def test_ds18b20_address_that_can_not_be(node: Node, address: str) -> None:
    node.wire(node.ds18b20())
    _, _, problems = node.connect(DS18B20 | {"address": address})
    assert problems == [
        "x.json.sensors[0].address: is not a DS18B20's, such as " + node.ds18b20().rom.hex()
    ]


# JSN-SR04T


@MANY
@given(
    distance=st.floats(0.21, 5.998),
    temperature=st.integers(-20, 60),
)
def test_jsnsr04t_over_its_range(node: Node, distance: float, temperature: int) -> None:
    node.reset()
    device = ranger(node, temperature_c=temperature)
    device.air_cel = temperature
    node.environment["distance"] = distance
    node.start()
    value = node.sample()
    # To the millimetre, and what 1/32 m/s of the speed of sound make of it.
    assert abs(value - node.readouts[-1].value * 1000) <= 1.2
    assert abs(value / 1000 - distance) < 0.0015


@pytest.mark.parametrize("temperature", [-20, 10, 30])
def test_jsnsr04t_takes_the_air_to_have_10_degrees(node: Node, temperature: int) -> None:
    device = ranger(node)
    device.air_cel = temperature
    node.environment["distance"] = 2.0
    node.start()
    error = node.sample() / 2000 - 1
    assert error == pytest.approx((10 - temperature) * 0.0018, abs=0.004)


@pytest.mark.parametrize(
    ("distance", "kind", "text"),
    [
        (0.1, "OutOfRange", "180 mm is not within 200 to 6000"),
        (6.5, "NotReady", "hears no echo"),
    ],
)
def test_jsnsr04t_ends_of_its_range(node: Node, distance: float, kind: str, text: str) -> None:
    ranger(node)
    node.start()
    for end in (0.201, 5.999):
        node.environment["distance"] = end
        assert node.sample() == pytest.approx(end * 1000, abs=1.5)
    del node.readouts[:]
    node.environment["distance"] = distance
    fails(node.sample, kind, text)
    assert not node.readouts


def test_jsnsr04t_in_colder_air_than_it_was_told(node: Node) -> None:
    """What the module measures in cold air is more than 6 m of air at 10 °C."""
    device = ranger(node)
    device.air_cel = -20.0
    node.environment["distance"] = 5.8
    node.start()
    fails(node.sample, "OutOfRange", "is not within 200 to 6000 mm")


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("stuck_busy", "NotReady", "hears no echo"),
        ("stuck_high", "NotResponding", "its echo line stays high"),
    ],
)
def test_jsnsr04t_faults_that_pass(node: Node, fault: str, kind: str, text: str) -> None:
    device = ranger(node)
    node.start()
    setattr(device, fault, True)
    fails(node.sample, kind, f"jsnsr04t on pins 25 and 26: {text}")
    setattr(device, fault, False)
    assert node.sample() == 1234


def test_jsnsr04t_echo_that_does_not_end(node: Node) -> None:
    device = ranger(node)
    node.start()
    node.after_sleep = lambda: setattr(device, "stuck_high", node.slept_us[-1] < 1000)
    fails(node.sample, "NotResponding", "its echo line stays high")


def test_jsnsr04t_lets_the_sound_fade(node: Node) -> None:
    ranger(node)
    node.start()
    for _ in range(3):
        node.sample()
    pauses_us, triggers_us = node.slept_us[0::3], node.slept_us[1::3]
    assert min(pauses_us) >= 59_000
    assert set(triggers_us) == {20}


# Analogue inputs


@MANY
@given(millivolts=st.integers(145, 3098))
def test_analogue_over_its_range(node: Node, millivolts: int) -> None:
    node.reset()
    input_pin(node)
    node.environment["voltage"] = millivolts / 1000
    node.start()
    value = node.sample()
    check_against_readout(node, value, 1000)
    assert abs(value - millivolts) <= 1


@pytest.mark.parametrize(("volts", "text"), [(0.0, "below"), (0.14, "below"), (3.2, "above")])
def test_analogue_at_the_end_of_its_scale(node: Node, volts: float, text: str) -> None:
    input_pin(node)
    node.environment["voltage"] = volts
    node.start()
    fails(node.sample, "OutOfRange", f"analogue on pin 34: {text} what the pin can measure")
    assert not node.readouts


def test_a_channel_has_the_unit_of_its_name_or_its_own(node: Node) -> None:
    node.parts["adc34"] = Analogue(node.sense, node.readouts.append)

    def channels(settings: dict[str, Any]) -> tuple[list, list]:
        _, entries, problems = node.connect(ANALOGUE | {"channels": {"voltage": settings}})
        return entries[:1], problems

    dry_and_wet = [[2.6, 0], [1.1, 100]]
    soil = {"name": "soilMoisture", "unit": "%", "calibration": dry_and_wet}
    assert channels(soil) == ([("soilMoisture", "%")], [])
    assert channels({"name": "batteryVoltage"}) == ([("batteryVoltage", "V")], [])
    assert channels({"name": "voltage.solar", "unit": "V"}) == ([("voltage.solar", "V")], [])
    # Two metrics of the table with units of their own.
    assert channels({"name": "temperature.tank", "calibration": [[0.5, 0], [2.5, 100]]}) == (
        [("temperature.tank", "Cel")],
        [],
    )
    _, problems = channels({"name": "temperature", "unit": "K"})
    assert problems == [
        "x.json.sensors[0].channels.voltage: temperature is reported in Cel, not in K"
    ]
