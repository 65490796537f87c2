"""The sensor models against what the chips' data sheets say: codes, busy times, refusals, CRCs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.room import ROOM

from feltpost_tools.sim.sensors import DRIVERS, I2CDevice, Nack, Readout, build
from feltpost_tools.sim.sensors.sensirion import crc8

START = bytes.fromhex("21b1")
READ = bytes.fromhex("ec05")
STOP = bytes.fromhex("3f86")
READY = bytes.fromhex("e4b8")
SERIAL = bytes.fromhex("3682")

# The registers 0x2d to 0x87 of a VL53L1X, as ST's driver sets them, ranging not yet begun.
ST_CONFIGURATION = bytes.fromhex(
    "0000000102000208000810010100000000ff000f0000000000200b0000020a2100000500000000c8"
    "000038ff010008000001db0f01f10d0168008008b8000000000f89000000000000000"
    "10f0d0e0e000002c7ff9b000000010100"
)


class Bench:
    """One chip, what surrounds it, and what was read out of it."""

    def __init__(self, name: str) -> None:
        self.environment = dict(ROOM)
        self.readouts: list[Readout] = []
        self.device: I2CDevice = build(name, self._sense, self.readouts.append)

    def _sense(self, quantity: str, now_us: int) -> float:
        return self.environment[quantity]

    def ask(self, command: bytes, length: int, at_us: int, wait_us: int = 1_000) -> bytes:
        self.device.write(command, at_us)
        return self.device.read(length, at_us + wait_us)


def words(answer: bytes) -> list[int]:
    """Return an answer's words, each with the CRC that belongs to it."""
    assert len(answer) % 3 == 0
    frames = [answer[start : start + 3] for start in range(0, len(answer), 3)]
    assert all(crc8(frame[:2]) == frame[2] for frame in frames)
    return [int.from_bytes(frame[:2], "big") for frame in frames]


# Examples of the data sheets


@pytest.mark.parametrize(
    ("word", "crc"),
    [("beef", 0x92), ("f896", 0x31), ("9f07", 0xC2), ("3bbe", 0x89), ("01f4", 0x33)],
)
def test_crc8(word: str, crc: int) -> None:
    assert crc8(bytes.fromhex(word)) == crc


def test_bh1750_example() -> None:
    bench = Bench("bh1750")
    bench.environment["illuminance"] = 0x8390 / 1.2
    assert bench.ask(b"\x20", 2, 0, 180_000) == bytes.fromhex("8390")
    assert bench.readouts[0].value == pytest.approx(28067, abs=0.5)


def test_scd41_example() -> None:
    bench = Bench("scd41")
    bench.environment = {"co2": 500.0, "temperature": 25.0, "relativeHumidity": 37.0}
    bench.device.write(START, 0)
    co2, temperature, humidity = words(bench.ask(READ, 9, 5_000_000))
    assert co2 == 0x01F4
    # The example is from the versions that divide by 2**16 rather than 2**16 - 1.
    assert abs(temperature - 0x6667) <= 1
    assert abs(humidity - 0x5EB9) <= 1


# All chips


@pytest.mark.parametrize("name", DRIVERS)
def test_unplugged_acknowledges_nothing(name: str) -> None:
    device = Bench(name).device
    device.write(b"", 0)
    device.unplugged = True
    with pytest.raises(Nack):
        device.write(b"", 0)
    with pytest.raises(Nack):
        device.read(1, 0)
    device.unplugged = False
    device.write(b"", 0)


@pytest.mark.parametrize("name", DRIVERS)
def test_unknown_command_is_refused(name: str) -> None:
    with pytest.raises(Nack):
        Bench(name).device.write(b"\xaa\xaa", 0)


@pytest.mark.parametrize("name", DRIVERS)
def test_address(name: str) -> None:
    default = {
        "scd41": 0x62,
        "sht4x": 0x44,
        "bh1750": 0x23,
        "bme280": 0x76,
        "ads1115": 0x48,
        "vl53l1x": 0x29,
    }[name]
    assert Bench(name).device.address == default
    assert build(name, lambda *_: 0.0, lambda _: None, 0x10).address == 0x10


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="'scd42'; there are ads1115, bh1750, bme280,"):
        build("scd42", lambda *_: 0.0, lambda _: None)


COMMANDS = {
    "scd41": [START, READ, STOP, READY, SERIAL, bytes.fromhex("3646")],
    "sht4x": [b"\xfd", b"\xf6", b"\xe0", b"\x89", b"\x94"],
    "bh1750": [b"\x00", b"\x01", b"\x07", b"\x10", b"\x20", b"\x42", b"\x65"],
    "bme280": [b"\xd0", b"\xe0\xb6", b"\xf2\x01", b"\xf4\x25", b"\xf4\x92", b"\xf7"],
    "ads1115": [b"\x00", b"\x01", b"\x01\xc3\x83", b"\x01\x85\xe3", b"\x01\xb9\x03"],
    "vl53l1x": [
        b"\x00\x00\x00",
        b"\x00\x00\x01",
        b"\x00\x2d" + ST_CONFIGURATION,
        b"\x00\x86\x01",
        b"\x00\x87\x10",
        b"\x00\x87\x40",
        b"\x00\x89",
    ],
}


@pytest.mark.parametrize("name", DRIVERS)
@given(data=st.data())
def test_any_traffic_is_answered_or_not_acknowledged(name: str, data: st.DataObject) -> None:
    bench = Bench(name)
    now_us = 0
    commands = st.sampled_from(COMMANDS[name]) | st.binary(max_size=5)
    for operation in data.draw(st.lists(commands | st.integers(0, 12), max_size=20)):
        now_us += data.draw(st.integers(0, 6_000_000))
        try:
            if isinstance(operation, int):
                assert len(bench.device.read(operation, now_us)) == operation
            else:
                bench.device.write(operation, now_us)
        except Nack:
            pass
    for readout in bench.readouts:
        assert 0 <= readout.measured_us <= readout.time_us <= now_us
        # The BH1750's measurement time can be made so short that a count is 11.5 lx.
        step = 6 if readout.quantity == "illuminance" else 0.7
        assert readout.value == pytest.approx(ROOM[readout.quantity], abs=step)


# SCD41


def test_scd41_measures_every_five_seconds() -> None:
    bench = Bench("scd41")
    bench.device.write(START, 0)
    assert words(bench.ask(READY, 3, 4_990_000))[0] & 0x7FF == 0
    assert words(bench.ask(READY, 3, 5_000_000))[0] & 0x7FF != 0
    bench.ask(READ, 9, 5_100_000)
    assert words(bench.ask(READY, 3, 5_200_000))[0] & 0x7FF == 0
    with pytest.raises(Nack):
        bench.ask(READ, 9, 5_300_000)
    bench.ask(READ, 9, 10_000_000)
    assert [(readout.time_us, readout.measured_us) for readout in bench.readouts[::3]] == [
        (5_101_000, 5_000_000),
        (10_001_000, 10_000_000),
    ]
    assert [readout.quantity for readout in bench.readouts[:3]] == [
        "co2",
        "temperature",
        "relativeHumidity",
    ]


def test_scd41_read_needs_its_execution_time() -> None:
    bench = Bench("scd41")
    bench.device.write(SERIAL, 0)
    with pytest.raises(Nack):
        bench.device.read(9, 999)
    with pytest.raises(Nack):
        bench.device.write(SERIAL, 999)
    assert words(bench.device.read(9, 1_000)) == [0xF896, 0x9F07, 0x3BBE]
    with pytest.raises(Nack):
        bench.device.read(9, 1_100)


@pytest.mark.parametrize("command", [START, SERIAL, bytes.fromhex("3646")])
def test_scd41_refuses_while_measuring(command: bytes) -> None:
    bench = Bench("scd41")
    bench.device.write(START, 0)
    with pytest.raises(Nack):
        bench.device.write(command, 1_000)
    bench.device.write(STOP, 2_000)
    with pytest.raises(Nack):
        bench.device.write(command, 501_000)
    bench.device.write(command, 502_000)


def test_scd41_is_idle_after_power_was_lost() -> None:
    bench = Bench("scd41")
    bench.device.write(START, 0)
    bench.device.unplugged = True
    bench.device.unplugged = False
    assert words(bench.ask(READY, 3, 10_000_000))[0] & 0x7FF == 0
    bench.device.write(SERIAL, 10_100_000)


def test_scd41_stuck_has_nothing_ready() -> None:
    bench = Bench("scd41")
    bench.device.write(START, 0)
    bench.device.stuck_busy = True
    assert words(bench.ask(READY, 3, 60_000_000))[0] & 0x7FF == 0
    bench.device.stuck_busy = False
    assert words(bench.ask(READY, 3, 61_000_000))[0] & 0x7FF != 0


def test_scd41_clamps_to_its_range() -> None:
    bench = Bench("scd41")
    bench.environment = {"co2": 50_000.0, "temperature": -40.0, "relativeHumidity": 104.0}
    bench.device.write(START, 0)
    bench.ask(READ, 9, 5_000_000)
    values = [readout.value for readout in bench.readouts]
    assert values == pytest.approx([40_000, -10, 100], abs=0.002)


# SHT4x


@pytest.mark.parametrize(("command", "busy_us"), [(0xFD, 8_300), (0xF6, 4_500), (0xE0, 1_600)])
def test_sht4x_is_busy_while_measuring(command: int, busy_us: int) -> None:
    bench = Bench("sht4x")
    bench.device.write(bytes([command]), 0)
    for attempt in (lambda: bench.device.read(6, busy_us - 1), lambda: bench.device.write(b"", 10)):
        with pytest.raises(Nack):
            attempt()
    temperature, humidity = words(bench.device.read(6, busy_us))
    assert -45 + 175 * temperature / 65535 == pytest.approx(23.7, abs=0.0014)
    assert -6 + 125 * humidity / 65535 == pytest.approx(26.272, abs=0.001)
    assert bench.readouts[0] == Readout(
        "temperature", -45 + 175 * temperature / 65535, busy_us, busy_us
    )
    assert bench.readouts[1].quantity == "relativeHumidity"


def test_sht4x_soft_reset_ends_a_measurement() -> None:
    bench = Bench("sht4x")
    bench.device.write(b"\xfd", 0)
    bench.device.write(b"\x94", 1_000)
    with pytest.raises(Nack):
        bench.device.write(b"\x89", 1_999)
    assert len(words(bench.ask(b"\x89", 6, 2_000))) == 2
    assert not bench.readouts


def test_sht4x_spoilt_or_cut_short_is_not_read_out() -> None:
    bench = Bench("sht4x")
    bench.device.corrupt_next = 1
    spoilt = bench.ask(b"\xfd", 6, 0, 8_300)
    assert crc8(spoilt[3:5]) != spoilt[5]
    bench.ask(b"\xfd", 5, 10_000, 8_300)
    assert not bench.readouts
    words(bench.ask(b"\xfd", 6, 20_000, 8_300))
    assert len(bench.readouts) == 2


def test_sht4x_stuck_never_answers() -> None:
    bench = Bench("sht4x")
    bench.device.stuck_busy = True
    with pytest.raises(Nack):
        bench.ask(b"\xfd", 6, 0, 1_000_000)
    bench.device.write(b"\x94", 1_100_000)


# BH1750


def test_bh1750_hands_out_the_previous_value_until_it_has_measured() -> None:
    bench = Bench("bh1750")
    assert bench.ask(b"\x20", 2, 0, 179_999) == b"\0\0"
    assert not bench.readouts
    assert bench.device.read(2, 180_000) == (702).to_bytes(2, "big")
    bench.environment["illuminance"] = 0
    assert bench.ask(b"\x20", 2, 1_000_000, 10) == (702).to_bytes(2, "big")
    assert bench.device.read(2, 1_180_000) == b"\0\0"
    assert [readout.measured_us for readout in bench.readouts] == [180_000, 180_000, 1_180_000]


def test_bh1750_measures_continuously() -> None:
    bench = Bench("bh1750")
    bench.device.write(b"\x10", 0)
    bench.device.read(2, 400_000)
    bench.environment["illuminance"] = 100.0
    bench.device.read(2, 550_000)
    assert [readout.measured_us for readout in bench.readouts] == [360_000, 540_000]
    assert bench.readouts[1].value == pytest.approx(100)


def test_bh1750_reset_works_only_when_powered() -> None:
    bench = Bench("bh1750")
    bench.ask(b"\x20", 2, 0, 180_000)
    bench.device.write(b"\x07", 200_000)
    assert bench.device.read(2, 200_100) != b"\0\0"
    bench.device.write(b"\x01", 200_200)
    bench.device.write(b"\x07", 200_300)
    assert bench.device.read(2, 200_400) == b"\0\0"


def test_bh1750_measurement_time_register() -> None:
    bench = Bench("bh1750")
    # 138, twice the default: twice the counts in twice the time.
    bench.device.write(b"\x44", 0)
    bench.device.write(b"\x6a", 0)
    assert bench.ask(b"\x20", 2, 0, 359_999) == b"\0\0"
    assert bench.device.read(2, 360_000) == (1404).to_bytes(2, "big")
    assert bench.readouts[0].value == pytest.approx(585, abs=0.3)


def test_bh1750_takes_one_opcode_a_transaction() -> None:
    with pytest.raises(Nack):
        Bench("bh1750").device.write(b"\x01\x20", 0)


def test_bh1750_overflow_is_not_read_out() -> None:
    bench = Bench("bh1750")
    bench.environment["illuminance"] = 100_000.0
    assert bench.ask(b"\x20", 2, 0, 180_000) == b"\xff\xff"
    assert not bench.readouts
