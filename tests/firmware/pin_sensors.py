"""Sensors on pins of a node, each with its driver: for the tests of several drivers."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from tests.firmware.driver_node import PartNode

from feltpost_tools.sim.sensors.analogue import Analogue
from feltpost_tools.sim.sensors.ds18b20 import Ds18b20
from feltpost_tools.sim.sensors.jsnsr04t import Jsnsr04t

DS18B20 = {"driver": "ds18b20", "pin": 4, "channels": {"temperature": "temperature"}}
JSNSR04T = {"driver": "jsnsr04t", "trigger": 25, "echo": 26, "channels": {"distance": "distance"}}
ANALOGUE = {"driver": "analogue", "adc": 34, "channels": {"voltage": "voltage"}}

MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def thermometer(node: PartNode) -> Ds18b20:
    device = node.ds18b20()
    node.wire(device)
    assert node.connect(DS18B20)[2] == []
    return device


def ranger(node: PartNode, **options: Any) -> Jsnsr04t:
    device = Jsnsr04t(node.sense, node.readouts.append)
    node.parts |= {"pin25": device.trigger, "pin26": device.echo}
    assert node.connect(JSNSR04T | options)[2] == []
    return device


def input_pin(node: PartNode) -> Analogue:
    device = Analogue(node.sense, node.readouts.append)
    node.parts["adc34"] = device
    assert node.connect(ANALOGUE)[2] == []
    return device


def check_against_readout(node: PartNode, value: int, scale: int) -> None:
    assert abs(value - node.readouts[-1].value * scale) <= 0.5 + 1e-9
