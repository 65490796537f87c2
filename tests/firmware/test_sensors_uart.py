"""The drivers of A02YYUW and PMS5003, on MicroPython, against their models on a simulated UART.

The waits of the drivers move the models' clock and nothing else does; driver_node.py has the node
that they run on.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.firmware.driver_node import PartNode, fails

from feltpost_tools.sim.sensors.a02yyuw import A02yyuw
from feltpost_tools.sim.sensors.pms5003 import Pms5003
from feltpost_tools.sim.sensors.uart_device import UartDevice
from feltpost_tools.sim.uart import Uart

MODELS = {"a02yyuw": A02yyuw, "pms5003": Pms5003}
AIR = {"pm1": 4.0, "pm25": 9.0, "pm10": 17.0}

MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def node(part_node: PartNode) -> PartNode:
    part_node.environment.update(AIR)
    return part_node


def attach(node: PartNode, name: str) -> UartDevice:
    """Put a fresh sensor on UART 1 and give the node a driver for it."""
    device = MODELS[name](node.sense, node.readouts.append)
    node.parts["uart1"] = Uart(device)
    entry = {"driver": name, "uart": 1, "channels": {}}
    # A sensor of which no channel is kept is not made.
    entry["channels"] = {"distance": "d"} if name == "a02yyuw" else {"pm25": "pm25"}
    channels, _, problems = node.connect(entry)
    assert problems == []
    assert len(channels) == 1
    return device


def sample(node: PartNode) -> list[int]:
    return node.command("sample 0")


def latest(node: PartNode, count: int) -> list[float]:
    return [readout.value for readout in node.readouts[-count:]]


# What both must do


@pytest.mark.parametrize("name", MODELS)
def test_samples_what_is_there(node: PartNode, name: str) -> None:
    attach(node, name)
    node.start()
    expected = [1234] if name == "a02yyuw" else [4, 9, 17]
    for _ in range(3):
        assert sample(node) == expected
        node.now_us += 60_000_000


@pytest.mark.parametrize("name", MODELS)
def test_absent_and_plugged_in_later(node: PartNode, name: str) -> None:
    device = attach(node, name)
    device.unplugged = True
    node.start()
    fails(lambda: sample(node), "NotResponding", f"{name} on uart 1: nothing within .* its TX")
    device.unplugged = False
    node.start()
    sample(node)


@pytest.mark.parametrize("name", MODELS)
def test_unplugged_between_samples_and_back(node: PartNode, name: str) -> None:
    device = attach(node, name)
    node.start()
    sample(node)
    node.readouts.clear()
    device.unplugged = True
    fails(lambda: sample(node), "NotResponding", f"{name} on uart 1")
    assert not node.readouts
    device.unplugged = False
    node.start()
    assert sample(node) == ([1234] if name == "a02yyuw" else [4, 9, 17])


@pytest.mark.parametrize("name", MODELS)
def test_stuck(node: PartNode, name: str) -> None:
    device = attach(node, name)
    node.start()
    device.stuck_busy = True
    fails(lambda: sample(node), "NotResponding", "nothing within")
    device.stuck_busy = False
    node.start()
    sample(node)


@pytest.mark.parametrize("name", MODELS)
def test_bad_checksums(node: PartNode, name: str) -> None:
    device = attach(node, name)
    node.start()
    node.readouts.clear()
    device.corrupt_next = 1000
    fails(lambda: sample(node), "BadChecksum", f"{name} on uart 1: .* but no frame; check")
    assert not node.readouts
    device.corrupt_next = 0
    node.start()
    sample(node)


@pytest.mark.parametrize("name", MODELS)
def test_at_another_rate_it_hears_no_frame(node: PartNode, name: str) -> None:
    device = attach(node, name)
    node.start()
    device.BAUDRATE = 19_200
    if name == "a02yyuw":
        fails(lambda: sample(node), "BadChecksum", "but no frame")
    else:
        # It doesn't understand the question.
        fails(lambda: sample(node), "NotResponding", "nothing within")


def test_the_uart_must_be_there_and_free(node: PartNode) -> None:
    def problems(*entries: dict[str, Any]) -> list[str]:
        whole = {"driver": "a02yyuw", "channels": {"distance": "d"}}
        return node.connect(*(whole | entry for entry in entries))[2]

    text = ".uart: there is no uart {}, or it is taken"
    node.parts["uart1"] = Uart(A02yyuw(node.sense, node.readouts.append))
    assert problems({"uart": 2}) == ["x.json.sensors[0]" + text.format(2)]
    assert problems({"uart": 1}, {"uart": 1}) == ["x.json.sensors[1]" + text.format(1)]
    assert problems({}) == ["x.json.sensors[0].uart: is missing"]


# A02YYUW


@MANY
@given(
    distance_mm=st.integers(30, 4500) | st.sampled_from([30, 255, 256, 511, 4500]),
    asked_us=st.integers(0, 2_000_000),
)
def test_a02yyuw_every_distance_at_any_time(
    node: PartNode, distance_mm: int, asked_us: int
) -> None:
    node.reset()
    attach(node, "a02yyuw")
    node.start()
    sample(node)
    node.environment["distance"] = distance_mm / 1000
    node.now_us += asked_us
    # It begins to listen in the middle of a frame, too.
    assert sample(node) == [distance_mm]


@pytest.mark.parametrize("byte", range(4))
def test_a02yyuw_listening_from_within_a_frame(node: PartNode, byte: int) -> None:
    """From its third byte on, 511 mm and the next would pass for a frame of 65,281 mm."""
    attach(node, "a02yyuw")
    node.environment["distance"] = 0.511
    node.start()
    sample(node)
    begun_us = node.readouts[-1].measured_us + 300_000
    node.now_us = begun_us + 1042 * byte + 500
    assert sample(node) == [511]


@pytest.mark.parametrize("pause_us", [400_000, 900_000_000])
def test_a02yyuw_takes_no_old_value(node: PartNode, pause_us: int) -> None:
    """Neither one that waits alone nor one of a full buffer."""
    attach(node, "a02yyuw")
    node.start()
    sample(node)
    node.now_us += pause_us
    node.environment["distance"] = 2.5
    asked_us = node.now_us
    assert sample(node) == [2500]
    assert node.readouts[-1].measured_us > asked_us
    assert node.now_us - asked_us < 400_000


@pytest.mark.parametrize(
    ("distance", "sent"), [(0.01, 0), (0.029, 0), (4.501, 65533), (9.0, 65533)]
)
def test_a02yyuw_out_of_range(node: PartNode, distance: float, sent: int) -> None:
    attach(node, "a02yyuw")
    node.environment["distance"] = distance
    node.start()
    fails(lambda: sample(node), "OutOfRange", rf"nothing within .* \(it sent {sent}\)")
    for nearest, millimetres in ((0.03, 30), (4.5, 4500)):
        node.environment["distance"] = nearest
        assert sample(node) == [millimetres]


def test_a02yyuw_noise_before_a_frame_costs_that_frame_only(node: PartNode) -> None:
    device = attach(node, "a02yyuw")
    node.start()
    sample(node)
    device.corrupt_next = 1
    asked_us = node.now_us
    assert sample(node) == [1234]
    assert 300_000 < node.now_us - asked_us < 640_000


# PMS5003


def test_pms5003_waits_until_its_values_are_stable(node: PartNode) -> None:
    attach(node, "pms5003")
    node.start()
    assert node.now_us >= 30_000_000
    assert sample(node) == [4, 9, 17]
    assert latest(node, 3) == [4, 9, 17]
    assert [readout.quantity for readout in node.readouts] == list(AIR)


@MANY
@given(values=st.lists(st.integers(0, 1000), min_size=3, max_size=3))
def test_pms5003_every_concentration(node: PartNode, values: list[int]) -> None:
    node.reset()
    node.environment.update(zip(AIR, map(float, values), strict=True))
    attach(node, "pms5003")
    node.start()
    assert sample(node) == values


def test_pms5003_sleeps_when_stopped(node: PartNode) -> None:
    device = attach(node, "pms5003")
    for _ in range(3):
        node.start()
        assert sample(node) == [4, 9, 17]
        node.command("stop 0")
        node.now_us += 870_000_000
    # Half a minute in each quarter of an hour.
    assert 3 * 30_000_000 < device.awake_us < 3 * 33_000_000


def test_pms5003_lost_power_unnoticed(node: PartNode) -> None:
    device = attach(node, "pms5003")
    node.start()
    sample(node)
    device.unplugged = True
    device.unplugged = False
    node.readouts.clear()
    # Its values need time again, which it does not say; that it sends unasked says it.
    node.parts["uart1"].serve(b"a", node.now_us)
    node.now_us += 10_000_000
    fails(lambda: sample(node), "NotReady", "sends unasked: it has lost power")
    node.readouts.clear()
    node.start()
    assert sample(node) == [4, 9, 17]


def test_pms5003_starts_over_whatever_it_did(node: PartNode) -> None:
    """The board was reset; the sensor was not."""
    device = attach(node, "pms5003")
    node.now_us += 2_000_000
    device.write(bytes.fromhex("424de400000173"), node.now_us)
    assert device.awake_us == 2_000_000
    node.start()
    assert sample(node) == [4, 9, 17]
