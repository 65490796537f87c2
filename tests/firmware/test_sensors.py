"""The sensor drivers, on MicroPython, against the register-level models in this process.

The drivers' waits move the models' clock and nothing else does, so that every one of them counts,
and none takes wall time.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.firmware.driver_node import BusNode, DriverError, half_up
from tests.support.room import ROOM

from feltpost_tools.sim.sensors import DRIVERS


@pytest.fixture
def node(bus_node: BusNode) -> BusNode:
    return bus_node


def check_against_readouts(node: BusNode, sampled: dict[str, Fraction]) -> None:
    """The driver's values are those that the chip digitised, to half of the last digit kept."""
    latest = node.readouts[-len(node.channels) :]
    assert [readout.quantity for readout in latest] == [metric for metric, _ in node.channels]
    for (metric, digits), readout in zip(node.channels, latest, strict=True):
        half_a_digit = Fraction(1, 2 * 10**digits) + Fraction(1, 10**9)
        assert abs(sampled[metric] - Fraction(readout.value)) <= half_a_digit, metric


# What a driver returns of a room


@pytest.mark.parametrize("name", DRIVERS)
def test_samples_what_is_there(node: BusNode, name: str) -> None:
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
def test_second_address(node: BusNode, name: str, address: int) -> None:
    node.attach(name, address)
    node.start()
    check_against_readouts(node, node.sample())


def test_scd41_waits_for_a_new_measurement(node: BusNode) -> None:
    node.attach("scd41")
    node.start()
    started_us = node.now_us
    node.sample()
    node.environment["co2"] = 1200.0
    assert node.sample()["co2"] == 1200
    measured = sorted({readout.measured_us for readout in node.readouts})
    assert measured[1] - measured[0] == 5_000_000
    assert node.now_us - started_us < 10_500_000


def test_scd41_powers_down_and_wakes_up(node: BusNode) -> None:
    device = node.attach("scd41")
    node.start()
    node.sample()
    node.command("stop")
    assert device.powered_down
    node.start()
    assert not device.powered_down
    assert node.sample()["co2"] == 749


def test_scd41_takes_the_latest_measurement_at_once(node: BusNode) -> None:
    node.attach("scd41")
    node.start()
    node.now_us += 62_000_000
    asked_us = node.now_us
    node.sample()
    assert node.now_us - asked_us < 10_000
    assert asked_us - node.readouts[-1].measured_us < 5_000_000


def test_scd41_starts_over_while_measuring(node: BusNode) -> None:
    """The board was reset; the chip was not."""
    device = node.attach("scd41")
    node.start()
    node.load("scd41", device.address)
    node.start()
    check_against_readouts(node, node.sample())


def test_sht4x_starts_over_while_measuring(node: BusNode) -> None:
    device = node.attach("sht4x")
    device.write(b"\xfd", node.now_us)
    node.start()
    check_against_readouts(node, node.sample())


def test_bh1750_restores_the_default_sensitivity(node: BusNode) -> None:
    device = node.attach("bh1750")
    # 138: twice the default, left behind by another program.
    device.write(b"\x44", node.now_us)
    device.write(b"\x6a", node.now_us)
    node.start()
    assert node.sample() == {"illuminance": 585}


def test_sht4x_crops_humidity(node: BusNode) -> None:
    node.attach("sht4x")
    node.start()
    for humidity, cropped in ((-3, 0), (0, 0), (100, 100), (104, 100)):
        node.environment["relativeHumidity"] = humidity
        assert node.sample()["relativeHumidity"] == cropped


def test_bh1750_refuses_an_overflow(node: BusNode) -> None:
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
def test_conversion_of_every_count(node: BusNode, span: int) -> None:
    for start in range(0, 65536, 4096):
        converted = node.command(f"hundredths {span} {start} {start + 4096}")
        counts = range(start, start + 4096)
        assert converted == [half_up(Fraction(100 * span * count, 65535)) for count in counts]


def test_every_illuminance(node: BusNode) -> None:
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
def test_driver_and_chip_agree(node: BusNode, name: str, data: st.DataObject) -> None:
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
def test_crc8(node: BusNode, data: str, crc: int) -> None:
    assert node.command(f"crc8 {data}") == [crc]


def test_arithmetic_needs_no_heap(node: BusNode) -> None:
    """On a 32-bit board an intermediate beyond 31 bits would take some."""
    assert node.command("allocated") == [0, 0]


# Faults, and what comes after


@pytest.mark.parametrize("name", DRIVERS)
def test_absent(node: BusNode, name: str) -> None:
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
def test_unplugged_between_samples(node: BusNode, name: str) -> None:
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


def test_scd41_lost_power_unnoticed(node: BusNode) -> None:
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
def test_bad_checksum_of_each_word(node: BusNode, name: str, length: int, word: int) -> None:
    node.attach(name)
    node.start()
    node.spoil = (length, 3 * word + 2)
    with pytest.raises(DriverError, match=f"{name} at .*word {word} .*fails its CRC") as error:
        node.sample()
    assert error.value.kind == "BadChecksum"
    check_against_readouts(node, node.sample())


@pytest.mark.parametrize("name", ["scd41", "sht4x"])
def test_bad_checksum_at_start(node: BusNode, name: str) -> None:
    device = node.attach(name)
    device.corrupt_next = 1
    with pytest.raises(DriverError) as error:
        node.start()
    assert error.value.kind == "BadChecksum"
    node.start()
    check_against_readouts(node, node.sample())


def test_a_spoilt_measurement_is_not_sampled(node: BusNode) -> None:
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
def test_stuck_busy(node: BusNode, name: str, kind: str) -> None:
    device = node.attach(name)
    node.start()
    device.stuck_busy = True
    with pytest.raises(DriverError) as error:
        node.sample()
    assert error.value.kind == kind
    device.stuck_busy = False
    node.start()
    check_against_readouts(node, node.sample())


def test_bh1750_vanishes_while_measuring(node: BusNode) -> None:
    device = node.attach("bh1750")
    node.start()
    node.after_sleep = lambda: setattr(device, "unplugged", True)
    with pytest.raises(DriverError, match="bh1750 at 0x23: vanished") as error:
        node.sample()
    assert error.value.kind == "NotResponding"


def test_unknown_driver(node: BusNode) -> None:
    with pytest.raises(DriverError, match="no driver 'scd42'") as error:
        node.load("scd42")
    assert error.value.kind == "ValueError"
