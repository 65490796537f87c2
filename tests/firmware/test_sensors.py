"""The sensor drivers, on MicroPython, against the register-level models in this process.

The drivers' waits move the models' clock and nothing else does, so that every one of them counts,
and none takes wall time.
"""

from __future__ import annotations

import ast
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feltpost_tools.sim.interpreter import Interpreter
from feltpost_tools.sim.sensors import DRIVERS, I2CDevice, Nack, Readout, build

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = Path(__file__).with_name("sensor_node.py")

# A byte and its acknowledgement on a bus at 400 kHz.
BYTE_US = 23

ROOM = {
    "co2": 749.2,
    "temperature": 23.7,
    "relativeHumidity": 26.272,
    "illuminance": 585.2,
    "atmosphericPressure": 1013.25,
    "distance": 1.234,
    "voltage.0": 3.3,
    "voltage.1": 1.25,
    "voltage.2": 0.0042,
    "voltage.3": 2.5,
    # What follows from them: the chip takes the difference itself.
    "voltage.0-1": 2.05,
    "voltage.2-3": -2.4958,
}


class DriverError(Exception):
    """A SensorError or ValueError on the node: its class, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


class Node:
    """A MicroPython process with one driver, and the bus it sits on."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._process = subprocess.Popen(
            [*interpreter.command, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        )
        self.now_us = 0
        self.reset()

    def reset(self) -> None:
        self.bus: dict[int, I2CDevice] = {}
        self.environment = dict(ROOM)
        self.readouts: list[Readout] = []
        # (length, index): flip the bits of one byte of the next answer of that length.
        self.spoil: tuple[int, int] | None = None
        self.after_sleep: Callable[[], None] = lambda: None

    def close(self) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0
        self._process.stdout.close()

    def attach(self, name: str, address: int | None = None) -> I2CDevice:
        """Put a fresh chip on the bus and give the node a fresh driver for it."""
        device = build(
            name, lambda quantity, _: self.environment[quantity], self.readouts.append, address
        )
        self.bus[device.address] = device
        self.channels = self.load(name, device.address)
        return device

    def load(self, name: str, address: int | str = "") -> tuple[tuple[str, int], ...]:
        return self.command(f"new {name} {address}")

    def start(self) -> None:
        self.command("start")

    def sample(self) -> dict[str, Fraction]:
        """Return what the driver sampled, exactly, by metric."""
        integers = self.command("sample")
        assert all(isinstance(integer, int) for integer in integers)
        return {
            metric: Fraction(integer, 10**digits)
            for (metric, digits), integer in zip(self.channels, integers, strict=True)
        }

    def command(self, line: str):
        """Execute a command on the node, serving its bus and clock until it is done."""
        self._send(line)
        while True:
            answer = self._process.stdout.readline()
            verb, _, rest = answer.rstrip("\n").partition(" ")
            if verb == "error":
                kind, untouched, text = rest.split(" ", 2)
                assert untouched == "True", "an error left values behind"
                raise DriverError(kind, text)
            if verb in ("values", "channels"):
                return ast.literal_eval(rest)
            if verb == "done":
                return None
            assert verb in ("write", "read", "sleep"), f"the node died: {answer}"
            self._send(self._serve(verb, rest.split(" ")))

    def _serve(self, verb: str, arguments: list[str]) -> str:
        if verb == "sleep":
            # A wait may begin at the very end of a tick, which then counts as a millisecond.
            self.now_us += max(0, int(arguments[0]) * 1000 - 999)
            self.after_sleep()
            return "done"
        device = self.bus.get(int(arguments[0]))
        self.now_us += BYTE_US
        try:
            if device is None:
                raise Nack
            if verb == "write":
                data = bytes.fromhex(arguments[1])
                device.write(data, self.now_us)
                self.now_us += BYTE_US * len(data)
                return "ack"
            data = device.read(int(arguments[1]), self.now_us)
            self.now_us += BYTE_US * len(data)
            if self.spoil is not None and self.spoil[0] == len(data):
                index = self.spoil[1]
                data = data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]
                self.spoil = None
            return data.hex()
        except Nack:
            return "nack"

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


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def check_against_readouts(node: Node, sampled: dict[str, Fraction]) -> None:
    """The driver's values are those that the chip digitised, to half of the last digit kept."""
    latest = node.readouts[-len(node.channels) :]
    assert [readout.quantity for readout in latest] == [metric for metric, _ in node.channels]
    for (metric, digits), readout in zip(node.channels, latest, strict=True):
        half_a_digit = Fraction(1, 2 * 10**digits) + Fraction(1, 10**9)
        assert abs(sampled[metric] - Fraction(readout.value)) <= half_a_digit, metric


# What a driver returns of a room


@pytest.mark.parametrize("name", DRIVERS)
def test_samples_what_is_there(node: Node, name: str) -> None:
    node.attach(name)
    node.start()
    sampled = node.sample()
    check_against_readouts(node, sampled)
    for metric, value in sampled.items():
        # Half a count of the chip (BH1750: 0.42 lx) and half of the last digit kept.
        resolutions = {"illuminance": 0.92, "co2": 0.5, "atmosphericPressure": 0.02}
        resolution = resolutions.get(metric, 0.007)
        assert abs(float(value) - ROOM[metric]) <= resolution + 1e-9


@pytest.mark.parametrize(("name", "address"), [("sht4x", 0x46), ("bh1750", 0x5C)])
def test_second_address(node: Node, name: str, address: int) -> None:
    node.attach(name, address)
    node.start()
    check_against_readouts(node, node.sample())


def test_scd41_waits_for_a_new_measurement(node: Node) -> None:
    node.attach("scd41")
    node.start()
    started_us = node.now_us
    node.sample()
    node.environment["co2"] = 1200.0
    assert node.sample()["co2"] == 1200
    measured = sorted({readout.measured_us for readout in node.readouts})
    assert measured[1] - measured[0] == 5_000_000
    assert node.now_us - started_us < 10_500_000


def test_scd41_powers_down_and_wakes_up(node: Node) -> None:
    device = node.attach("scd41")
    node.start()
    node.sample()
    node.command("stop")
    assert device.powered_down
    node.start()
    assert not device.powered_down
    assert node.sample()["co2"] == 749


def test_scd41_takes_the_latest_measurement_at_once(node: Node) -> None:
    node.attach("scd41")
    node.start()
    node.now_us += 62_000_000
    asked_us = node.now_us
    node.sample()
    assert node.now_us - asked_us < 10_000
    assert asked_us - node.readouts[-1].measured_us < 5_000_000


def test_scd41_starts_over_while_measuring(node: Node) -> None:
    """The board was reset; the chip was not."""
    device = node.attach("scd41")
    node.start()
    node.load("scd41", device.address)
    node.start()
    check_against_readouts(node, node.sample())


def test_sht4x_starts_over_while_measuring(node: Node) -> None:
    device = node.attach("sht4x")
    device.write(b"\xfd", node.now_us)
    node.start()
    check_against_readouts(node, node.sample())


def test_bh1750_restores_the_default_sensitivity(node: Node) -> None:
    device = node.attach("bh1750")
    # 138: twice the default, left behind by another program.
    device.write(b"\x44", node.now_us)
    device.write(b"\x6a", node.now_us)
    node.start()
    assert node.sample() == {"illuminance": 585}


def test_sht4x_crops_humidity(node: Node) -> None:
    node.attach("sht4x")
    node.start()
    for humidity, cropped in ((-3, 0), (0, 0), (100, 100), (104, 100)):
        node.environment["relativeHumidity"] = humidity
        assert node.sample()["relativeHumidity"] == cropped


def test_bh1750_refuses_an_overflow(node: Node) -> None:
    node.attach("bh1750")
    node.start()
    node.environment["illuminance"] = 65534 / 1.2
    assert node.sample() == {"illuminance": 54612}
    del node.readouts[:]
    node.environment["illuminance"] = 60_000
    with pytest.raises(DriverError, match="bh1750 at 0x23: brighter") as raised:
        node.sample()
    assert raised.value.kind == "OutOfRange"
    assert not node.readouts


# Values over the whole range


@pytest.mark.parametrize("span", [100, 125, 175])
def test_conversion_of_every_count(node: Node, span: int) -> None:
    for start in range(0, 65536, 4096):
        converted = node.command(f"hundredths {span} {start} {start + 4096}")
        counts = range(start, start + 4096)
        assert converted == [half_up(Fraction(100 * span * count, 65535)) for count in counts]


def test_every_illuminance(node: Node) -> None:
    node.attach("bh1750")
    node.start()
    # A step of 7 gives every remainder of the division by six.
    for count in range(0, 65535, 7):
        node.environment["illuminance"] = count / 1.2
        assert node.sample()["illuminance"] == half_up(Fraction(count) / Fraction("1.2"))


RANGES = {
    "co2": (0.0, 40_000.0),
    "temperature": (-50.0, 140.0),
    "relativeHumidity": (-5.0, 105.0),
    "illuminance": (0.0, 54_611.0),
    "atmosphericPressure": (250.0, 1150.0),
    "distance": (-0.1, 4.0),
    "voltage.0": (0.0, 4.095),
    "voltage.1": (0.0, 4.095),
    "voltage.2": (0.0, 4.095),
    "voltage.3": (0.0, 4.095),
}


@pytest.mark.parametrize("name", DRIVERS)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_driver_and_chip_agree(node: Node, name: str, data: st.DataObject) -> None:
    node.reset()
    node.attach(name)
    node.start()
    for _ in range(data.draw(st.integers(1, 5))):
        for metric, _digits in node.channels:
            if metric in RANGES:
                node.environment[metric] = data.draw(st.floats(*RANGES[metric]))
        check_against_readouts(node, node.sample())


@pytest.mark.parametrize(
    ("data", "crc"),
    # Both data sheets' example, and those of the SCD4x commands.
    [("beef", 0x92), ("01f4", 0x33), ("6667", 0xA2), ("5eb9", 0x3C), ("f896", 0x31)],
)
def test_crc8(node: Node, data: str, crc: int) -> None:
    assert node.command(f"crc8 {data}") == [crc]


def test_arithmetic_needs_no_heap(node: Node) -> None:
    """On a 32-bit board an intermediate beyond 31 bits would take some."""
    assert node.command("allocated") == [0, 0]


# Faults, and what comes after


@pytest.mark.parametrize("name", DRIVERS)
def test_absent(node: Node, name: str) -> None:
    device = node.attach(name)
    device.unplugged = True
    for action in (node.start, node.sample):
        with pytest.raises(DriverError, match=f"{name} at 0x{device.address:02x}: no ack") as error:
            action()
        assert error.value.kind == "NotResponding"
    device.unplugged = False
    node.start()
    check_against_readouts(node, node.sample())


@pytest.mark.parametrize("name", DRIVERS)
def test_unplugged_between_samples(node: Node, name: str) -> None:
    device = node.attach(name)
    node.start()
    node.sample()
    device.unplugged = True
    with pytest.raises(DriverError) as error:
        node.sample()
    assert error.value.kind == "NotResponding"
    device.unplugged = False
    node.start()
    check_against_readouts(node, node.sample())


def test_scd41_lost_power_unnoticed(node: Node) -> None:
    device = node.attach("scd41")
    node.start()
    node.sample()
    device.unplugged = True
    device.unplugged = False
    asked_us = node.now_us
    with pytest.raises(DriverError, match="no measurement within 7 s") as error:
        node.sample()
    assert error.value.kind == "NotReady"
    assert node.now_us - asked_us < 8_000_000
    node.start()
    check_against_readouts(node, node.sample())


@pytest.mark.parametrize(
    ("name", "length", "word"),
    [
        ("scd41", 3, 0),
        ("scd41", 9, 0),
        ("scd41", 9, 1),
        ("scd41", 9, 2),
        ("sht4x", 6, 0),
        ("sht4x", 6, 1),
    ],
)
def test_bad_checksum_of_each_word(node: Node, name: str, length: int, word: int) -> None:
    node.attach(name)
    node.start()
    node.spoil = (length, 3 * word + 2)
    with pytest.raises(DriverError, match=f"{name} at .*word {word} .*fails its CRC") as error:
        node.sample()
    assert error.value.kind == "BadChecksum"
    check_against_readouts(node, node.sample())


@pytest.mark.parametrize("name", ["scd41", "sht4x"])
def test_bad_checksum_at_start(node: Node, name: str) -> None:
    device = node.attach(name)
    device.corrupt_next = 1
    with pytest.raises(DriverError) as error:
        node.start()
    assert error.value.kind == "BadChecksum"
    node.start()
    check_against_readouts(node, node.sample())


def test_a_spoilt_measurement_is_not_sampled(node: Node) -> None:
    device = node.attach("sht4x")
    node.start()
    device.corrupt_next = 2
    for _ in range(2):
        with pytest.raises(DriverError):
            node.sample()
    assert not node.readouts
    check_against_readouts(node, node.sample())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("scd41", "NotReady"), ("sht4x", "NotReady"), ("bh1750", "NotResponding")],
)
def test_stuck_busy(node: Node, name: str, kind: str) -> None:
    device = node.attach(name)
    node.start()
    device.stuck_busy = True
    with pytest.raises(DriverError) as error:
        node.sample()
    assert error.value.kind == kind
    device.stuck_busy = False
    node.start()
    check_against_readouts(node, node.sample())


def test_bh1750_vanishes_while_measuring(node: Node) -> None:
    device = node.attach("bh1750")
    node.start()
    node.after_sleep = lambda: setattr(device, "unplugged", True)
    with pytest.raises(DriverError, match="bh1750 at 0x23: vanished") as error:
        node.sample()
    assert error.value.kind == "NotResponding"


def test_unknown_driver(node: Node) -> None:
    with pytest.raises(DriverError, match="no driver 'scd42'") as error:
        node.load("scd42")
    assert error.value.kind == "ValueError"
