"""The driver of the DS18B20, on MicroPython, against its model on a simulated 1-Wire bus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware.driver_node import DriverError, PartNode, fails, half_up
from tests.firmware.pin_sensors import (
    DS18B20,
    MANY,
    thermometer,
)

from feltpost_tools.sim.sensors.onewire import crc8


@pytest.fixture
def node(part_node: PartNode) -> PartNode:
    return part_node


@MANY
@given(count=st.integers(-880, 2000))
def test_ds18b20_over_its_range(node: PartNode, count: int) -> None:
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
def test_ds18b20_examples(node: PartNode, temperature: float, hundredths: int) -> None:
    thermometer(node)
    node.environment["temperature"] = temperature
    node.start()
    assert node.sample() == hundredths


def test_ds18b20_takes_85_degrees_for_a_measurement_when_it_is_one(node: PartNode) -> None:
    thermometer(node)
    node.environment["temperature"] = 85.0
    node.start()
    assert node.sample() == 8500
    assert len(node.readouts) == 1


@pytest.mark.parametrize("starts", [1, 2, 3])
def test_ds18b20_rejects_the_85_degrees_after_power_on(node: PartNode, starts: int) -> None:
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


def test_ds18b20_rejects_what_a_copy_remembers_over_power_on(node: PartNode) -> None:
    """Chips sold as DS18B20 have been seen that show an old temperature after power-on."""
    device = thermometer(node)
    node.start()

    def blink() -> None:
        device.unplugged = True
        device.unplugged = False
        device._count = 20 * 16

    node.after_sleep = blink
    fails(node.sample, "NotReady", "lost power")


def test_ds18b20_that_did_not_take_the_command_is_not_believed(node: PartNode) -> None:
    device = thermometer(node)
    node.start()
    execute = device._execute
    device._execute = lambda command: iter(()) if command == 0x44 else execute(command)
    fails(node.sample, "NotReady", "did not begin to measure")


def test_ds18b20_that_never_ends(node: PartNode) -> None:
    device = thermometer(node)
    node.start()
    device.stuck_busy = True
    fails(node.sample, "NotReady", "still measuring after 751 ms")
    device.stuck_busy = False
    node.start()
    assert node.sample() == 1738


def test_ds18b20_waits_as_long_as_the_data_sheet_says(node: PartNode) -> None:
    thermometer(node)
    node.start()
    node.sample()
    assert node.slept_us == [751_000 - 999]


def test_ds18b20_that_had_too_little_power(node: PartNode) -> None:
    device = thermometer(node)
    node.start()
    device.underpowered = True
    fails(node.sample, "OutOfRange", "2047 sixteenths is not within -55 to 125")


def test_ds18b20_bad_checksum(node: PartNode) -> None:
    device = thermometer(node)
    device.corrupt_next = 1
    fails(node.start, "BadChecksum", "ds18b20 on pin 4: what was read fails its CRC")
    node.start()
    device.corrupt_next = 1
    fails(node.sample, "BadChecksum", "fails its CRC")
    assert not node.readouts
    assert node.sample() == 1738


def test_ds18b20_with_its_address_disturbed(node: PartNode) -> None:
    device = thermometer(node)
    device.rom = device.rom[:7] + bytes((device.rom[7] ^ 1,))
    fails(node.start, "BadChecksum", "its address fails its CRC")


def test_ds18b20_line_held_low(node: PartNode) -> None:
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


def test_ds18b20_absent(node: PartNode) -> None:
    node.connect(DS18B20)
    fails(node.start, "NotResponding", "ds18b20 on pin 4: does not answer; check its wiring")
    node.wire()
    fails(node.start, "NotResponding", "does not answer")


def test_ds18b20_on_two_wires_is_refused(node: PartNode) -> None:
    thermometer(node).parasite = True
    fails(node.start, "NotReady", "connect its VDD")


def test_another_chip_on_the_wire_is_refused(node: PartNode) -> None:
    device = thermometer(node)
    rom = b"\x10" + device.rom[1:7]
    device.rom = rom + bytes((crc8(rom),))
    fails(node.start, "WrongChip", "family 0x10, a DS18B20 has 0x28")


def test_ds18b20_several_on_a_wire_need_addresses(node: PartNode) -> None:
    devices = [node.ds18b20(f"{i:02x}641e0f3c5a") for i in (1, 3, 0x81, 2)]
    node.wire(*devices)
    node.connect(DS18B20)
    with pytest.raises(DriverError, match="shares its wire: give it one of the addr") as error:
        node.start()
    assert all(device.rom.hex() in str(error.value) for device in devices)


def test_ds18b20_several_on_a_wire_take_turns(node: PartNode) -> None:
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
def test_ds18b20_address_that_can_not_be(node: PartNode, address: str) -> None:
    node.wire(node.ds18b20())
    _, _, problems = node.connect(DS18B20 | {"address": address})
    assert problems == [
        "x.json.sensors[0].address: is not a DS18B20's, such as " + node.ds18b20().rom.hex()
    ]
