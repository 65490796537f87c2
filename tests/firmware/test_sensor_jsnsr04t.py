"""The driver of the JSN-SR04T, on MicroPython, against its model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware.driver_node import PartNode, fails
from tests.firmware.pin_sensors import (
    MANY,
    ranger,
)


@pytest.fixture
def node(part_node: PartNode) -> PartNode:
    return part_node


@MANY
@given(
    distance=st.floats(0.21, 5.998),
    temperature=st.integers(-20, 60),
)
def test_jsnsr04t_over_its_range(node: PartNode, distance: float, temperature: int) -> None:
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
def test_jsnsr04t_takes_the_air_to_have_10_degrees(node: PartNode, temperature: int) -> None:
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
def test_jsnsr04t_ends_of_its_range(node: PartNode, distance: float, kind: str, text: str) -> None:
    ranger(node)
    node.start()
    for end in (0.201, 5.999):
        node.environment["distance"] = end
        assert node.sample() == pytest.approx(end * 1000, abs=1.5)
    del node.readouts[:]
    node.environment["distance"] = distance
    fails(node.sample, kind, text)
    assert not node.readouts


def test_jsnsr04t_in_colder_air_than_it_was_told(node: PartNode) -> None:
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
def test_jsnsr04t_faults_that_pass(node: PartNode, fault: str, kind: str, text: str) -> None:
    device = ranger(node)
    node.start()
    setattr(device, fault, True)
    fails(node.sample, kind, f"jsnsr04t on pins 25 and 26: {text}")
    setattr(device, fault, False)
    assert node.sample() == 1234


def test_jsnsr04t_echo_that_does_not_end(node: PartNode) -> None:
    device = ranger(node)
    node.start()
    node.after_sleep = lambda: setattr(device, "stuck_high", node.slept_us[-1] < 1000)
    fails(node.sample, "NotResponding", "its echo line stays high")


def test_jsnsr04t_lets_the_sound_fade(node: PartNode) -> None:
    ranger(node)
    node.start()
    for _ in range(3):
        node.sample()
    pauses_us, triggers_us = node.slept_us[0::3], node.slept_us[1::3]
    assert min(pauses_us) >= 59_000
    assert set(triggers_us) == {20}
