"""What the drivers of sensors on pins must all do, and the one of analogue inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware.driver_node import PartNode, fails
from tests.firmware.pin_sensors import (
    ANALOGUE,
    MANY,
    check_against_readout,
    input_pin,
    ranger,
    thermometer,
)

from feltpost_tools.sim.sensors.analogue import Analogue
from feltpost_tools.sim.sensors.device import Device


@pytest.fixture
def node(part_node: PartNode) -> PartNode:
    return part_node


ALL = pytest.mark.parametrize(
    ("attach", "quantity", "kind"),
    [
        (thermometer, "temperature", "NotResponding"),
        (ranger, "distance", "NotResponding"),
        (input_pin, "voltage", "OutOfRange"),
    ],
)
SCALE = {"temperature": 100, "distance": 1000, "voltage": 1000}


# What all drivers must do


@ALL
def test_samples_what_is_there(
    node: PartNode, attach: Callable[[PartNode], Device], quantity: str, kind: str
) -> None:
    attach(node)
    node.start()
    value = node.sample()
    assert len(node.readouts) == 1
    check_against_readout(node, value, SCALE[quantity])
    assert abs(value / SCALE[quantity] - node.environment[quantity]) < 0.04


@ALL
def test_unplugged_and_back(
    node: PartNode, attach: Callable[[PartNode], Device], quantity: str, kind: str
) -> None:
    device = attach(node)
    node.start()
    node.sample()
    device.unplugged = True
    fails(node.sample, kind, "s?on pins? ")
    device.unplugged = False
    node.start()
    check_against_readout(node, node.sample(), SCALE[quantity])


# Analogue inputs


@MANY
@given(millivolts=st.integers(145, 3098))
def test_analogue_over_its_range(node: PartNode, millivolts: int) -> None:
    node.reset()
    input_pin(node)
    node.environment["voltage"] = millivolts / 1000
    node.start()
    value = node.sample()
    check_against_readout(node, value, 1000)
    assert abs(value - millivolts) <= 1


@pytest.mark.parametrize(("volts", "text"), [(0.0, "below"), (0.14, "below"), (3.2, "above")])
def test_analogue_at_the_end_of_its_scale(node: PartNode, volts: float, text: str) -> None:
    input_pin(node)
    node.environment["voltage"] = volts
    node.start()
    fails(node.sample, "OutOfRange", f"analogue on pin 34: {text} what the pin can measure")
    assert not node.readouts


def test_a_channel_has_the_unit_of_its_name_or_its_own(node: PartNode) -> None:
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
