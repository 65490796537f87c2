"""The models of DS18B20, JSN-SR04T and ADC pin, against data sheets: bits, busy times, refusals."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feltpost_tools.sim.parts import OneWireBus
from feltpost_tools.sim.sensors.analogue import Analogue
from feltpost_tools.sim.sensors.device import Readout
from feltpost_tools.sim.sensors.ds18b20 import Ds18b20
from feltpost_tools.sim.sensors.jsnsr04t import Jsnsr04t
from feltpost_tools.sim.sensors.onewire import crc8

ROM = bytes.fromhex("28ff641e0f3c5af1")
SKIP_ROM, READ_ROM = b"\xcc", b"\x33"
CONVERT, READ, WRITE, RECALL, POWER = b"\x44", b"\xbe", b"\x4e", b"\xb8", b"\xb4"
CONVERSION_US = 750_000


class Wire:
    """A 1-Wire bus as its master sees it."""

    def __init__(self, *devices: Ds18b20) -> None:
        self.bus = OneWireBus(devices)
        self.now_us = 0

    def reset(self) -> bool:
        return self.bus.serve(b"p", self.now_us) == b"\x01"

    def bit(self, level: int = 1) -> int:
        return self.bus.serve(b"s" + bytes((level,)), self.now_us)[0]

    def write(self, data: bytes) -> None:
        for byte in data:
            for i in range(8):
                self.bit(byte >> i & 1)

    def read(self, count: int) -> bytes:
        return bytes(sum(self.bit() << i for i in range(8)) for _ in range(count))

    def command(self, command: bytes, rom: bytes = SKIP_ROM) -> None:
        assert self.reset()
        self.write(rom + command)

    def scratchpad(self) -> bytes:
        self.command(READ)
        return self.read(9)


class Thermometer:
    """One DS18B20 on a wire."""

    def __init__(self, temperature: float = 17.4) -> None:
        self.temperature = temperature
        self.readouts: list[Readout] = []
        self.device = Ds18b20(lambda *_: self.temperature, self.readouts.append)
        self.wire = Wire(self.device)

    def convert(self) -> None:
        self.wire.command(CONVERT)
        self.wire.now_us += CONVERSION_US


def test_crc8_examples() -> None:
    # Application note 27's example, and a scratchpad of the data sheet's power-on state.
    assert crc8(bytes.fromhex("021cb801000000")) == 0xA2
    assert crc8(bytes.fromhex("50054b467fff0c10")) == 0x1C


@given(st.binary(max_size=16))
def test_crc8_over_data_and_crc_is_zero(data: bytes) -> None:
    assert crc8(data + bytes((crc8(data),))) == 0


def test_read_rom() -> None:
    wire = Thermometer().wire
    assert wire.reset()
    wire.write(READ_ROM)
    assert wire.read(8) == ROM


def test_powers_up_with_85_degrees() -> None:
    thermometer = Thermometer()
    assert thermometer.wire.scratchpad() == bytes.fromhex("50054b467fff0c101c")
    assert not thermometer.readouts


@pytest.mark.parametrize(
    ("temperature", "data"),
    # Table "Temperature/Data Relationship".
    [(125, 0x07D0), (85, 0x0550), (25.0625, 0x0191), (10.125, 0x00A2), (0.5, 0x0008),
     (0, 0x0000), (-0.5, 0xFFF8), (-10.125, 0xFF5E), (-25.0625, 0xFE6F), (-55, 0xFC90)],
)  # fmt: skip
def test_temperatures_of_the_data_sheet(temperature: float, data: int) -> None:
    thermometer = Thermometer(temperature)
    thermometer.convert()
    scratchpad = thermometer.wire.scratchpad()
    assert int.from_bytes(scratchpad[:2], "little") == data
    assert crc8(scratchpad) == 0
    # By this a measured 85 °C can be told from the one after power-on.
    assert scratchpad[6] == 0x10 - (data & 0x0F)
    assert [readout.value for readout in thermometer.readouts] == [temperature]


@pytest.mark.parametrize(
    ("configuration", "conversion_us"),
    [(0x1F, 93_750), (0x3F, 187_500), (0x5F, 375_000), (0x7F, 750_000)],
)
def test_conversion_takes_its_time_and_says_so(configuration: int, conversion_us: int) -> None:
    thermometer = Thermometer()
    wire = thermometer.wire
    wire.command(WRITE)
    wire.write(bytes((0x12, 0x34, configuration)))
    wire.command(CONVERT)
    assert wire.bit() == 0
    wire.now_us += conversion_us - 1
    assert wire.bit() == 0
    wire.now_us += 1
    assert wire.bit() == 1
    scratchpad = wire.scratchpad()
    assert scratchpad[2:5] == bytes((0x12, 0x34, configuration))
    assert thermometer.readouts[0].measured_us == conversion_us
    step = 0.5 / (1 << (configuration >> 5))
    assert 0 <= 17.4375 - thermometer.readouts[0].value < step + 0.0625


def test_read_too_early_is_the_value_before() -> None:
    thermometer = Thermometer()
    thermometer.convert()
    thermometer.wire.scratchpad()
    thermometer.temperature = 20.0
    thermometer.wire.command(CONVERT)
    thermometer.wire.now_us += CONVERSION_US - 1
    assert thermometer.wire.scratchpad()[:2] == (17 * 16 + 6).to_bytes(2, "little")
    assert len(thermometer.readouts) == 1


def test_stuck_conversion_never_ends() -> None:
    thermometer = Thermometer()
    thermometer.device.stuck_busy = True
    thermometer.convert()
    thermometer.wire.now_us += 60_000_000
    assert thermometer.wire.bit() == 0


def test_recall_brings_the_eeprom_back() -> None:
    wire = Thermometer().wire
    wire.command(WRITE)
    wire.write(bytes((1, 2, 0x1F)))
    wire.command(RECALL)
    assert wire.scratchpad()[2:5] == bytes((0x4B, 0x46, 0x7F))


@pytest.mark.parametrize("parasite", [False, True])
def test_power_supply(parasite: bool) -> None:
    thermometer = Thermometer()
    thermometer.device.parasite = parasite
    thermometer.wire.command(POWER)
    assert thermometer.wire.bit() == int(not parasite)


def test_spoilt_checksum_is_no_readout() -> None:
    thermometer = Thermometer()
    thermometer.convert()
    thermometer.device.corrupt_next = 1
    assert crc8(thermometer.wire.scratchpad()) != 0
    assert crc8(thermometer.wire.scratchpad()) == 0
    assert not thermometer.readouts


def test_unplugged_and_back() -> None:
    thermometer = Thermometer()
    thermometer.convert()
    thermometer.device.unplugged = True
    assert not thermometer.wire.reset()
    assert thermometer.wire.read(2) == b"\xff\xff"
    thermometer.device.unplugged = False
    assert thermometer.wire.scratchpad()[:2] == b"\x50\x05"


def test_only_the_one_that_is_addressed_answers() -> None:
    first, second = (
        Ds18b20(lambda *_: 20.0, lambda _: None, bytes((serial,) * 6)) for serial in (1, 2)
    )
    wire = Wire(first, second)
    wire.command(WRITE, b"\x55" + second.rom)
    wire.write(bytes((0xAB, 0xCD, 0x7F)))
    wire.command(READ, b"\x55" + first.rom)
    assert wire.read(9)[2:4] == bytes((0x4B, 0x46))
    wire.command(READ, b"\x55" + second.rom)
    assert wire.read(9)[2:4] == bytes((0xAB, 0xCD))
    wire.command(READ, b"\x55" + bytes(8))
    assert wire.read(9) == b"\xff" * 9


def test_a_shorted_line_reads_as_zeros() -> None:
    wire = Thermometer().wire
    wire.bus.shorted = True
    assert wire.reset()
    assert wire.read(2) == b"\0\0"


@given(st.binary(max_size=40), st.integers(0, 2_000_000))
def test_any_traffic_is_survived(data: bytes, pause_us: int) -> None:
    wire = Thermometer().wire
    wire.reset()
    wire.write(data)
    wire.now_us += pause_us
    assert wire.reset()
    assert crc8(wire.scratchpad()) == 0


# JSN-SR04T


class Ranger:
    """A JSN-SR04T and what is in front of it."""

    def __init__(self, distance: float = 1.234) -> None:
        self.distance = distance
        self.readouts: list[Readout] = []
        self.device = Jsnsr04t(lambda *_: self.distance, self.readouts.append)

    def pulse(self, trigger_us: int = 10, at_us: int = 0, timeout_us: int = 100_000) -> int:
        self.device.trigger.serve(b"\x01", at_us)
        self.device.trigger.serve(b"\x00", at_us + trigger_us)
        request = b"t" + struct.pack("<BI", 1, timeout_us)
        length_us, _ = struct.unpack("<iI", self.device.echo.serve(request, at_us + trigger_us))
        return length_us

    def level(self, now_us: int) -> int:
        return self.device.echo.serve(b"", now_us)[0]


def test_pulse_is_as_long_as_sound_travels() -> None:
    ranger = Ranger(1.0)
    # 337.3 m/s at 10 °C, there and back.
    assert ranger.pulse() == pytest.approx(2e6 / 337.3, abs=2)
    assert ranger.readouts[0].value == pytest.approx(1.0, abs=0.0002)
    ranger.device.air_cel = 30.0
    assert ranger.pulse(at_us=100_000) == pytest.approx(2e6 / 349.0, abs=2)


@pytest.mark.parametrize(("trigger_us", "length_us"), [(9, -2), (10, 7317)])
def test_trigger_must_be_long_enough(trigger_us: int, length_us: int) -> None:
    assert Ranger().pulse(trigger_us) == pytest.approx(length_us, abs=2)


@pytest.mark.parametrize("hidden", [False, True])
def test_without_an_echo_the_pulse_has_60_ms(hidden: bool) -> None:
    ranger = Ranger(1.0 if hidden else 6.01)
    ranger.device.stuck_busy = hidden
    assert ranger.pulse() == 60_000
    assert not ranger.readouts


def test_a_trigger_during_a_measurement_is_not_taken() -> None:
    ranger = Ranger(3.0)
    length_us = ranger.pulse()
    assert ranger.pulse(at_us=10_000) == pytest.approx(length_us - 10_000 + 200, abs=15)


def test_time_out_within_the_pulse() -> None:
    assert Ranger(3.0).pulse(timeout_us=5_000) == -1


def test_echo_level() -> None:
    ranger = Ranger(1.0)
    ranger.pulse()
    assert [ranger.level(us) for us in (209, 210, 6_100, 6_200)] == [0, 1, 1, 0]
    ranger.device.stuck_high = True
    assert ranger.level(7_000) == 1
    assert ranger.pulse(at_us=10_000) == -1
    ranger.device.unplugged = True
    assert ranger.level(7_000) == 0
    assert ranger.pulse(at_us=20_000) == -2


def test_too_near_is_no_readout() -> None:
    ranger = Ranger(0.05)
    assert ranger.pulse() == pytest.approx(2e6 * 0.18 / 337.3, abs=2)
    assert not ranger.readouts


# ADC pin


@given(st.floats(-0.5, 4.0))
def test_conversion(volts: float) -> None:
    readouts: list[Readout] = []
    device = Analogue(lambda *_: volts, readouts.append)
    (code,) = struct.unpack("<H", device.serve(b"\x03", 0))
    (microvolts,) = struct.unpack("<I", device.serve(b"\x03v", 0))
    if volts < 0.142:
        assert code == 0
    elif volts > 3.102:
        assert code == 0xFFFF
    else:
        assert microvolts / 1e6 == pytest.approx(volts, abs=0.001)
    assert microvolts % 1000 == 0
    # Only a voltage that was read, and that the converter could tell.
    assert [readout.value for readout in readouts] == (
        [microvolts / 1e6] if 0 < code < 0xFFFF else []
    )


def test_another_attenuation_is_refused() -> None:
    with pytest.raises(OSError, match="only 11 dB"):
        Analogue(lambda *_: 1.0, lambda _: None).serve(b"\x00", 0)
