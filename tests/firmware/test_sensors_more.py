"""The drivers of BME280, ADS1115 and VL53L1X, on MicroPython, in what is their own.

What all drivers must do is in test_sensors.py.
"""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.firmware.driver_node import FIRMWARE, BusNode, fails, half_up
from tests.firmware.test_sensors import check_against_readouts

from feltpost_tools.sim.interpreter import Interpreter
from feltpost_tools.sim.sensors import I2CDevice
from feltpost_tools.sim.sensors.bme280 import Bme280, Calibration
from feltpost_tools.sim.sensors.vl53l1x import Vl53l1x

NAMES = ["ads1115", "bme280", "vl53l1x"]
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-sensor.md"

MANY = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def node(bus_node: BusNode) -> BusNode:
    return bus_node


def recovers(node: BusNode) -> None:
    node.start()
    check_against_readouts(node, node.sample())


def power_cycle(device: I2CDevice) -> None:
    device.unplugged = True
    device.unplugged = False


# Faults that all of them must survive


@pytest.mark.parametrize("name", NAMES)
def test_stuck_busy(node: BusNode, name: str) -> None:
    device = node.attach(name)
    node.start()
    device.stuck_busy = True
    fails(node.sample, "NotReady", f"{name} at 0x{device.address:02x}: (still|no measurement)")
    assert not node.readouts
    device.stuck_busy = False
    recovers(node)


@pytest.mark.parametrize("name", NAMES)
def test_vanishes_while_measuring(node: BusNode, name: str) -> None:
    device = node.attach(name)
    node.start()
    node.after_sleep = lambda: setattr(device, "unplugged", True)
    fails(node.sample, "NotResponding", f"{name} at .*no acknowledgement")
    node.after_sleep = lambda: None
    device.unplugged = False
    recovers(node)


@pytest.mark.parametrize("name", NAMES)
def test_vanishes_between_question_and_answer(node: BusNode, name: str) -> None:
    device = node.attach(name)
    node.start()
    write = device.write

    def write_and_vanish(data: bytes, now_us: int) -> None:
        write(data, now_us)
        # A register's address, and nothing to put into it.
        device.unplugged = len(data) == (2 if name == "vl53l1x" else 1)

    device.write = write_and_vanish
    fails(node.sample, "NotResponding", f"{name} at .*vanished before it answered")
    device.write = write
    device.unplugged = False
    recovers(node)


@pytest.mark.parametrize("name", ["bme280", "vl53l1x"])
def test_lost_power_unnoticed(node: BusNode, name: str) -> None:
    device = node.attach(name)
    node.start()
    node.sample()
    power_cycle(device)
    fails(node.sample, "NotReady", "may have lost power")
    recovers(node)


@pytest.mark.parametrize(
    ("name", "begun"),
    [("bme280", "f205f4b5"), ("ads1115", "01c303"), ("vl53l1x", "008740")],
)
def test_starts_over_while_measuring(node: BusNode, name: str, begun: str) -> None:
    """The board was reset; the chip was not."""
    device = node.attach(name)
    node.start()
    device.write(bytes.fromhex(begun), node.now_us)
    node.load(name, device.address)
    recovers(node)


# BME280


def test_bme280_second_address(node: BusNode) -> None:
    node.attach("bme280", 0x77)
    recovers(node)


@pytest.mark.parametrize(
    ("chip_id", "text"),
    [(0x58, "this is a BMP280"), (0x61, "chip id 0x61, a BME280 has 0x60"), (0xFF, "0xff")],
)
def test_bme280_another_chip(node: BusNode, chip_id: int, text: str) -> None:
    device = node.attach("bme280")
    assert isinstance(device, Bme280)
    device.chip_id = chip_id
    power_cycle(device)
    fails(node.start, "WrongChip", f"bme280 at 0x76: .*{text}")
    device.chip_id = 0x60
    power_cycle(device)
    recovers(node)


@MANY
@given(
    calibration=st.builds(
        Calibration,
        t1=st.integers(26_000, 29_000),
        t2=st.integers(25_000, 28_000),
        t3=st.integers(-1_100, 100),
        p1=st.integers(35_000, 38_000),
        p2=st.integers(-11_000, -10_000),
        p5=st.integers(-200, 200),
        p6=st.integers(-10, 10),
        h1=st.integers(0, 255),
        h2=st.integers(330, 400),
        h3=st.integers(0, 2),
        h4=st.integers(-50, 400),
        h5=st.integers(-128, 127),
        h6=st.integers(-40, 40),
    ),
    temperature=st.floats(-40, 85),
    humidity=st.floats(0, 100),
    pressure=st.floats(300, 1100),
)
def test_bme280_every_calibration(
    node: BusNode, calibration: Calibration, temperature: float, humidity: float, pressure: float
) -> None:
    node.reset()
    device = node.attach("bme280")
    assert isinstance(device, Bme280)
    device.calibration = calibration
    node.environment.update(
        temperature=temperature, relativeHumidity=humidity, atmosphericPressure=pressure
    )
    recovers(node)


@pytest.mark.parametrize(("length", "index"), [(26, 0), (26, 21), (26, 25), (7, 0), (7, 6)])
def test_bme280_disturbed_calibration(node: BusNode, length: int, index: int) -> None:
    node.attach("bme280")
    node.spoil = (length, index)
    fails(node.start, "BadChecksum", "bme280 at 0x76: its calibration reads differently")
    recovers(node)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_bme280_disturbed_settings(node: BusNode, index: int) -> None:
    node.attach("bme280")
    node.start()
    node.spoil = (3, index)
    fails(node.sample, "NotReady", "bme280 at 0x76: (lost its settings|still measuring)")
    assert not node.readouts
    recovers(node)


def test_bme280_disturbed_measurement(node: BusNode) -> None:
    node.attach("bme280")
    node.environment["atmosphericPressure"] = 320.0
    node.start()
    node.spoil = (8, 0)
    fails(node.sample, "OutOfRange", "Pa is not within 300 to 1100 hPa")
    check_against_readouts(node, node.sample())


def test_bme280_blank_calibration(node: BusNode) -> None:
    """Pressure is undefined then: the formula would divide by nothing."""
    device = node.attach("bme280")
    read = device.read
    device.read = lambda length, now_us: bytes(26) if length == 26 else read(length, now_us)
    node.start()
    fails(node.sample, "OutOfRange", "bme280 at 0x76: 0 Pa is not within")
    device.read = read
    recovers(node)


# ADS1115


def test_ads1115_every_count(node: BusNode) -> None:
    node.attach("ads1115")
    node.start()
    for first in range(-0x7FFF, 0x7FFF, 257):
        counts = [min(first + step, 0x7FFE) for step in range(4)]
        for index, count in enumerate(counts):
            node.environment[f"voltage.{index}"] = count * 125e-6
        sampled = node.sample()
        for index, count in enumerate(counts):
            tenths = half_up(Fraction(count * 125, 100))
            assert sampled[f"voltage.{index}"] == Fraction(tenths, 10_000)


def test_ads1115_takes_the_difference_at_once(node: BusNode) -> None:
    node.attach("ads1115")
    node.start()
    node.environment.update({"voltage.2": 0.0100, "voltage.3": 0.0125})
    sampled = node.sample()
    assert sampled["voltage.2-3"] == Fraction(-25, 10_000)
    assert sampled["voltage.0-1"] == Fraction(20_500, 10_000)


@pytest.mark.parametrize(
    ("volts", "channel"),
    [({"voltage.1": 4.2}, "voltage.1"), ({"voltage.0": -4.2}, "voltage.0")],
)
def test_ads1115_refuses_what_clips(node: BusNode, volts: dict[str, float], channel: str) -> None:
    node.attach("ads1115")
    node.start()
    node.environment.update(volts)
    fails(node.sample, "OutOfRange", f"ads1115 at 0x48: {channel} is beyond 4.096 V")
    node.environment.update({"voltage.0": 1.0, "voltage.1": 1.0})
    check_against_readouts(node, node.sample())


def test_ads1115_waits_for_the_slowest_conversion(node: BusNode) -> None:
    """Another program began it, at 8 a second; its result is not taken for ours."""
    device = node.attach("ads1115")
    device.write(bytes.fromhex("01f303"), node.now_us)
    begun_us = node.now_us
    node.start()
    assert 138_000 < node.now_us - begun_us < 160_000
    check_against_readouts(node, node.sample())


def test_ads1115_stuck_at_start(node: BusNode) -> None:
    device = node.attach("ads1115")
    device.write(bytes.fromhex("01f303"), node.now_us)
    device.stuck_busy = True
    fails(node.start, "NotReady", "a conversion does not end")
    device.stuck_busy = False
    recovers(node)


@pytest.mark.parametrize("index", [0, 1])
def test_ads1115_another_chip(node: BusNode, index: int) -> None:
    node.attach("ads1115")
    node.spoil = (2, index)
    fails(node.start, "WrongChip", "ads1115 at 0x48: does not keep its configuration")
    recovers(node)


def test_ads1115_loses_power_while_converting(node: BusNode) -> None:
    device = node.attach("ads1115")
    node.start()
    node.after_sleep = lambda: power_cycle(device)
    fails(node.sample, "NotReady", "lost its configuration; it may have lost power")
    node.after_sleep = lambda: None
    # Each conversion carries the whole configuration, so it need not be started again.
    check_against_readouts(node, node.sample())


# VL53L1X


@pytest.mark.parametrize("model_id", [0xEBAA, 0xEEAC, 0xFFFF])
def test_vl53l1x_another_chip(node: BusNode, model_id: int) -> None:
    device = node.attach("vl53l1x")
    assert isinstance(device, Vl53l1x)
    device.model_id = model_id
    power_cycle(device)
    fails(node.start, "WrongChip", f"vl53l1x at 0x29: model id 0x{model_id:04x}")
    device.model_id = 0xEACC
    power_cycle(device)
    recovers(node)


def test_vl53l1x_every_distance(node: BusNode) -> None:
    node.attach("vl53l1x")
    node.start()
    for millimetres in range(0, 4001, 13):
        node.environment["distance"] = millimetres / 1000
        assert node.sample()["distance"] == Fraction(millimetres, 1000)


def test_vl53l1x_nothing_within_reach(node: BusNode) -> None:
    node.attach("vl53l1x")
    node.start()
    node.environment["distance"] = 4.2
    fails(node.sample, "OutOfRange", "nothing that it can range within 4 m")
    assert not node.readouts
    node.environment["distance"] = 3.9
    check_against_readouts(node, node.sample())


@pytest.mark.parametrize("status", range(32))
def test_vl53l1x_takes_only_valid_ranges(node: BusNode, status: int) -> None:
    device = node.attach("vl53l1x")
    assert isinstance(device, Vl53l1x)
    node.start()
    device.range_status = status
    if status == 9:
        check_against_readouts(node, node.sample())
    else:
        kind = "OutOfRange" if status in (4, 5, 6, 7, 8) else "SensorError"
        fails(node.sample, kind, rf"\(status {status}\)")


def test_vl53l1x_nothing_to_range_at_start(node: BusNode) -> None:
    """The ranging that calibrates need not find anything."""
    node.attach("vl53l1x")
    node.environment["distance"] = 9.0
    node.start()
    node.environment["distance"] = 0.5
    check_against_readouts(node, node.sample())


def test_vl53l1x_is_awake_only_while_it_ranges(node: BusNode) -> None:
    device = node.attach("vl53l1x")

    def ranged_meanwhile() -> bool:
        node.now_us += 60_000_000
        device.write(bytes.fromhex("0031"), node.now_us)
        return device.read(1, node.now_us)[0] & 1 == 1

    node.start()
    assert not ranged_meanwhile()
    begun_us = node.now_us
    node.sample()
    assert node.now_us - begun_us < 110_000
    assert not ranged_meanwhile()


def test_vl53l1x_does_not_take_an_old_range_for_a_new_one(node: BusNode) -> None:
    device = node.attach("vl53l1x")
    node.start()
    device.write(bytes.fromhex("008710"), node.now_us)
    node.now_us += 1_000_000
    device.write(b"", node.now_us)
    device.stuck_busy = True
    fails(node.sample, "NotReady", "no measurement within 205 ms")


# The guide


def test_the_guides_example_works(micropython: Interpreter, tmp_path: Path) -> None:
    driver, model = re.findall(
        r"```python\n(\"\"\".*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    firmware = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, firmware)
    (firmware / "feltpost" / "sensor_tmp117.py").write_text(driver)
    namespace: dict[str, type[I2CDevice]] = {}
    exec(model, namespace)

    node = BusNode(micropython, firmware)
    device = namespace["Tmp117"](
        lambda quantity, _: node.environment[quantity], node.readouts.append, 0x48
    )
    node.bus[0x48] = device
    node.channels = node.load("tmp117", 0x48)
    recovers(node)
    for temperature in (-40.0, -0.0039, 0.004, 85.3, 140.0):
        node.environment["temperature"] = temperature
        check_against_readouts(node, node.sample())
    device.stuck_busy = True
    fails(node.sample, "NotReady", "tmp117 at 0x48")
    device.stuck_busy = False
    device.unplugged = True
    fails(node.sample, "NotResponding", "tmp117 at 0x48")
    device.unplugged = False
    recovers(node)
    node.close()
