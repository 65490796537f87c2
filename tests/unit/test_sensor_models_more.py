"""The models of BME280, ADS1115 and VL53L1X against their data sheets and ST's driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feltpost_tools.sim.sensors import I2CDevice, Nack, Readout, build
from feltpost_tools.sim.sensors.bme280 import Bme280, Calibration
from feltpost_tools.sim.sensors.vl53l1x import Vl53l1x


class Bench:
    """One chip, what surrounds it, and what was read out of it."""

    def __init__(self, name: str) -> None:
        self.environment = {
            "temperature": 23.7,
            "relativeHumidity": 26.272,
            "atmosphericPressure": 1013.25,
            "distance": 1.234,
            "voltage.0": 3.3,
            "voltage.1": 1.25,
            "voltage.2": 0.0042,
            "voltage.3": 2.5,
        }
        self.readouts: list[Readout] = []
        self.device: I2CDevice = build(
            name, lambda quantity, _: self.environment[quantity], self.readouts.append
        )

    def ask(self, register: str, length: int, at_us: int) -> bytes:
        """Read `length` bytes from the register whose address is `register` in hex."""
        self.device.write(bytes.fromhex(register), at_us)
        return self.device.read(length, at_us)

    def tell(self, data: str, at_us: int) -> None:
        """Write the bytes `data` in hex."""
        self.device.write(bytes.fromhex(data), at_us)


# BME280


def exact(trim: Calibration, t: int, p: int, h: int) -> tuple[float, float, float]:
    """Section 8.1, compensation formulas in floating point: °C, hPa, %RH."""
    v = (t / 16384 - trim.t1 / 1024) * trim.t2
    fine = v + (t / 131072 - trim.t1 / 8192) ** 2 * trim.t3

    v = fine / 2 - 64000
    offset = (v * v * trim.p6 / 32768 + v * trim.p5 * 2) / 4 + trim.p4 * 65536
    scale = (1 + (trim.p3 * v * v / 524288 + trim.p2 * v) / 524288 / 32768) * trim.p1
    pressure = (1048576 - p - offset / 4096) * 6250 / scale
    bend = trim.p9 * pressure * pressure / 2147483648 + pressure * trim.p8 / 32768
    pressure += (bend + trim.p7) / 16

    v = fine - 76800
    slope = 1 + trim.h6 / 67108864 * v * (1 + trim.h3 / 67108864 * v)
    humidity = (h - (trim.h4 * 64 + trim.h5 / 16384 * v)) * trim.h2 / 65536 * slope
    humidity *= 1 - trim.h1 * humidity / 524288
    return fine / 5120, pressure / 100, min(max(humidity, 0), 100)


def near(value: int) -> st.SearchStrategy[int]:
    return st.integers(value - abs(value) // 20, value + abs(value) // 20)


CALIBRATIONS = st.builds(
    Calibration,
    t1=near(27504),
    t2=near(26435),
    t3=near(-1000),
    p1=near(36477),
    p2=near(-10685),
    p3=near(3024),
    p4=near(2855),
    p5=near(140),
    h1=st.integers(0, 100),
    h2=near(353),
    h4=st.integers(250, 400),
    h5=st.integers(-60, 60),
    h6=st.integers(-40, 40),
)


def test_bme280_worked_example() -> None:
    trim = Calibration()
    assert trim.fine_temperature(519888) == 128422
    assert trim.temperature_cel(519888) == 25.08
    assert trim.pressure_hpa(415148, 128422) == pytest.approx(1006.5327, abs=0.0005)


@given(
    trim=CALIBRATIONS,
    t=st.integers(330_000, 700_000),
    p=st.integers(330_000, 700_000),
    h=st.integers(15_000, 50_000),
)
def test_bme280_integers_follow_the_formulas(trim: Calibration, t: int, p: int, h: int) -> None:
    temperature, pressure, humidity = exact(trim, t, p, h)
    fine = trim.fine_temperature(t)
    # The integers round to 0.01 °C, and cut off what is below 0.003 °C before.
    assert trim.temperature_cel(t) == pytest.approx(temperature, abs=0.008)
    assert trim.pressure_hpa(p, fine) == pytest.approx(pressure, abs=0.01)
    assert trim.humidity_percent(h, fine) == pytest.approx(humidity, abs=0.012)


def test_bme280_calibration_registers() -> None:
    bench = Bench("bme280")
    assert isinstance(bench.device, Bme280)
    bench.device.calibration = replace(Calibration(), h4=-0x123, h5=0x456, h6=-2)
    bench.device.unplugged = True
    bench.device.unplugged = False
    # Table 16: least significant byte first; dig_H4 and dig_H5 share a byte.
    first = bench.ask("88", 26, 0)
    assert first[:4] == (27504).to_bytes(2, "little") + (26435).to_bytes(2, "little")
    assert first[22:] == (6000).to_bytes(2, "little") + b"\0\x4b"
    second = bench.ask("e1", 7, 0)
    assert second == bytes.fromhex("6101 00 ed 6d 45 fe")


def test_bme280_at_power_on() -> None:
    bench = Bench("bme280")
    assert bench.ask("d0", 1, 0) == b"\x60"
    assert bench.ask("f2", 4, 0) == b"\0\0\0\0"
    assert bench.ask("f7", 8, 0) == bytes.fromhex("800000 800000 8000")
    assert not bench.readouts


@pytest.mark.parametrize(
    ("control", "busy_us"),
    [("f201 f425", 9_300), ("f200 f42d", 13_325), ("f205 f4b5", 112_800)],
)
def test_bme280_measures_once(control: str, busy_us: int) -> None:
    bench = Bench("bme280")
    bench.tell(control, 0)
    assert bench.ask("f3", 1, busy_us - 1) == b"\x08"
    assert bench.ask("f7", 8, busy_us - 1) == bytes.fromhex("800000 800000 8000")
    assert bench.ask("f3", 2, busy_us) == bytes([0, int(control[-2:], 16) & 0xFC])
    bench.ask("f7", 8, busy_us)
    assert all(readout.measured_us == busy_us for readout in bench.readouts)
    assert bench.readouts


def test_bme280_reads_out_what_it_measured() -> None:
    bench = Bench("bme280")
    bench.tell("f205 f4b5", 0)
    bench.ask("f7", 7, 200_000)
    assert [readout.quantity for readout in bench.readouts] == [
        "temperature",
        "atmosphericPressure",
    ]
    del bench.readouts[:]
    bench.ask("f7", 8, 200_000)
    values = {readout.quantity: readout.value for readout in bench.readouts}
    assert values["temperature"] == 23.7
    assert values["relativeHumidity"] == pytest.approx(26.272, abs=0.005)
    assert values["atmosphericPressure"] == pytest.approx(1013.25, abs=0.002)


def test_bme280_humidity_setting_waits_for_the_other_register() -> None:
    bench = Bench("bme280")
    bench.tell("f425", 0)
    bench.tell("f201", 100)
    assert bench.ask("fd", 2, 20_000) == b"\x80\x00"
    bench.tell("f425", 20_000)
    assert bench.ask("fd", 2, 40_000) != b"\x80\x00"


def test_bme280_resolution_without_filter() -> None:
    bench = Bench("bme280")
    for code, zeros in ((1, 4), (2, 3), (3, 2), (4, 1)):
        bench.tell(f"f4{code << 5 | code << 2 | 1:02x}", 0)
        for register in ("f7", "fa"):
            raw = int.from_bytes(bench.ask(register, 3, 1_000_000), "big") >> 4
            assert raw % (1 << zeros) == 0


def test_bme280_reset() -> None:
    bench = Bench("bme280")
    bench.tell("f201 f425", 0)
    bench.tell("e0b6", 1_000)
    with pytest.raises(Nack):
        bench.ask("d0", 1, 2_999)
    assert bench.ask("f2", 3, 3_000) == b"\0\0\0"
    assert bench.ask("f7", 3, 60_000) == b"\x80\0\0"
    bench.tell("e0b5", 70_000)
    assert bench.ask("d0", 1, 70_000) == b"\x60"


@pytest.mark.parametrize("command", ["f427", "f504", "f501", "d060"])
def test_bme280_refuses_what_is_not_modelled(command: str) -> None:
    with pytest.raises(Nack):
        Bench("bme280").tell(command, 0)


def test_bme280_clamps_to_its_range() -> None:
    bench = Bench("bme280")
    bench.environment.update(temperature=-60, relativeHumidity=104, atmosphericPressure=200)
    bench.tell("f205 f4b5", 0)
    bench.ask("f7", 8, 200_000)
    values = [readout.value for readout in bench.readouts]
    assert values == pytest.approx([-40, 100, 300], abs=0.01)


def test_bme280_stuck_goes_on_measuring() -> None:
    bench = Bench("bme280")
    bench.device.stuck_busy = True
    bench.tell("f201 f425", 0)
    assert bench.ask("f3", 1, 60_000_000) == b"\x08"
    bench.tell("e0b6", 60_000_000)
    assert bench.ask("f3", 1, 61_000_000) == b"\0"


# ADS1115


def test_ads1115_at_power_on() -> None:
    bench = Bench("ads1115")
    # Section 9.6, reset values.
    assert bench.ask("01", 2, 0) == bytes.fromhex("8583")
    assert bench.ask("00", 2, 0) == b"\0\0"
    assert bench.ask("02", 2, 0) == bytes.fromhex("8000")
    assert bench.ask("03", 2, 0) == bytes.fromhex("7fff")
    assert not bench.readouts


@pytest.mark.parametrize(
    ("mux", "volts"),
    [
        (0, 2.05),
        (1, 0.8),
        (2, -1.25),
        (3, -2.4958),
        (4, 3.3),
        (5, 1.25),
        (6, 0.0042),
        (7, 2.5),
    ],
)
def test_ads1115_inputs(mux: int, volts: float) -> None:
    bench = Bench("ads1115")
    bench.tell(f"01{0x83 | mux << 4:02x}83", 0)
    count = int.from_bytes(bench.ask("00", 2, 10_000), "big", signed=True)
    assert count * 125e-6 == pytest.approx(volts, abs=62.6e-6)
    assert bench.readouts[0].value == pytest.approx(count * 125e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("pga", "lsb_uv"),
    [(0, 187.5), (1, 125), (2, 62.5), (3, 31.25), (4, 15.625), (5, 7.8125), (7, 7.8125)],
)
def test_ads1115_gain(pga: int, lsb_uv: float) -> None:
    bench = Bench("ads1115")
    # Section 9.3.3: the size of one count in each range.
    bench.environment["voltage.2"] = 1000 * lsb_uv / 1e6
    bench.tell(f"01{0xE1 | pga << 1:02x}83", 0)
    assert bench.ask("00", 2, 10_000) == (1000).to_bytes(2, "big")
    for volts, clipped in ((5.5, "7fff"), (-5.5, "8000")):
        bench.environment["voltage.2"] = volts * lsb_uv / 125
        bench.tell(f"01{0xE1 | pga << 1:02x}83", 20_000)
        del bench.readouts[:]
        assert bench.ask("00", 2, 30_000) == bytes.fromhex(clipped)
        assert not bench.readouts


@pytest.mark.parametrize(
    ("rate", "hz"), [(0, 8), (1, 16), (2, 32), (3, 64), (4, 128), (5, 250), (6, 475), (7, 860)]
)
def test_ads1115_converts_once(rate: int, hz: int) -> None:
    bench = Bench("ads1115")
    low = f"{rate << 5 | 3:02x}"
    bench.tell("01c3" + low, 0)
    busy_us = 25 + round(1e6 / hz / 0.9)
    assert bench.ask("01", 2, busy_us - 1) == bytes.fromhex("43" + low)
    assert bench.ask("00", 2, busy_us - 1) == b"\0\0"
    assert bench.ask("01", 2, busy_us) == bytes.fromhex("c3" + low)
    bench.ask("00", 2, busy_us + 50)
    (readout,) = bench.readouts
    assert (readout.quantity, readout.time_us, readout.measured_us) == (
        "voltage.0",
        busy_us + 50,
        busy_us,
    )


def test_ads1115_start_has_no_effect_while_it_converts() -> None:
    bench = Bench("ads1115")
    bench.tell("01c383", 0)
    bench.tell("01d383", 5_000)
    assert bench.ask("01", 2, 8_706) == bytes.fromhex("d383")
    bench.ask("00", 2, 60_000)
    assert [readout.quantity for readout in bench.readouts] == ["voltage.0"]


@pytest.mark.parametrize("command", ["01c283", "01c380", "028000", "04", "0100"])
def test_ads1115_refuses_what_is_not_modelled(command: str) -> None:
    with pytest.raises(Nack):
        Bench("ads1115").tell(command, 0)


# VL53L1X

CONFIGURATION = bytes.fromhex(
    "0000000102000208000810010100000000ff000f0000000000200b0000020a2100000500000000c8"
    "000038ff010008000001db0f01f10d0168008008b8000000000f89000000000000000"
    "10f0d0e0e000002c7ff9b000000010100"
)
CONFIGURE = "002d" + CONFIGURATION.hex()
RANGE_US = 104_000


def configured() -> Bench:
    bench = Bench("vl53l1x")
    bench.tell(CONFIGURE, 0)
    return bench


def ready(bench: Bench, at_us: int) -> bool:
    return bench.ask("0031", 1, at_us)[0] & 1 == 1


def test_vl53l1x_identity() -> None:
    bench = Bench("vl53l1x")
    assert bench.ask("010f", 2, 0) == bytes.fromhex("eacc")
    assert bench.ask("00e5", 1, 0) == b"\x03"


def test_vl53l1x_ranges_once() -> None:
    bench = configured()
    bench.tell("008710", 0)
    assert not ready(bench, RANGE_US - 1)
    assert ready(bench, RANGE_US)
    result = bench.ask("0089", 17, RANGE_US + 500)
    assert result[0] == 9
    assert result[13:15] == (1234).to_bytes(2, "big")
    assert bench.readouts == [Readout("distance", 1.234, RANGE_US + 500, RANGE_US)]
    bench.tell("008601", 120_000)
    assert not ready(bench, 120_000)
    assert not ready(bench, 10_000_000)


def test_vl53l1x_ranges_on_when_the_interrupt_is_cleared() -> None:
    bench = configured()
    bench.tell("008740", 0)
    assert ready(bench, RANGE_US)
    assert ready(bench, 10 * RANGE_US)
    bench.tell("008601", 2_000_000)
    assert not ready(bench, 2_000_000 + RANGE_US - 1)
    assert ready(bench, 2_000_000 + RANGE_US)
    bench.tell("008700 ", 3_000_000)
    bench.tell("008601", 3_000_000)
    assert not ready(bench, 9_000_000)


@pytest.mark.parametrize(
    ("timeouts", "budget_us"),
    [("001e 0022", 20_000), ("00ad 00c6", 50_000), ("02d9 02f8", 200_000), ("048f 04a4", 500_000)],
)
def test_vl53l1x_timing_budget(timeouts: str, budget_us: int) -> None:
    bench = configured()
    a, b = timeouts.split()
    bench.tell("005e" + a, 0)
    bench.tell("0061" + b, 0)
    bench.tell("008710", 0)
    assert not ready(bench, budget_us)
    assert ready(bench, budget_us + 4_000)


def test_vl53l1x_interrupt_polarity() -> None:
    bench = configured()
    bench.tell("003011", 0)
    bench.tell("008710", 0)
    assert ready(bench, RANGE_US - 1)
    assert not ready(bench, RANGE_US)


@pytest.mark.parametrize("register", [0x33, 0x3E, 0x4C, 0x60, 0x63, 0x78, 0x81])
def test_vl53l1x_ranges_only_as_st_configures_it(register: int) -> None:
    bench = configured()
    wrong = CONFIGURATION[register - 0x2D] ^ 0x01
    bench.tell(f"{register:04x}{wrong:02x}", 0)
    bench.tell("008710", 0)
    assert not ready(bench, 10_000_000)


def test_vl53l1x_does_not_range_unconfigured() -> None:
    bench = Bench("vl53l1x")
    bench.tell("008710", 0)
    assert not ready(bench, 10_000_000)


def test_vl53l1x_refuses_a_calibration_that_there_is_not() -> None:
    bench = configured()
    bench.tell("000809", 0)
    with pytest.raises(Nack):
        bench.tell("008710", 0)
    bench.tell("000800", 0)
    bench.tell("008710", 0)
    assert ready(bench, RANGE_US)
    bench.tell("000809", 200_000)
    bench.tell("008710", 200_000)
    assert ready(bench, 200_000 + RANGE_US)


def test_vl53l1x_soft_reset() -> None:
    bench = configured()
    bench.tell("008740", 0)
    bench.tell("000000", 1_000)
    with pytest.raises(Nack):
        bench.ask("010f", 2, 2_000)
    bench.tell("000001", 2_000)
    with pytest.raises(Nack):
        bench.ask("00e5", 1, 3_199)
    assert bench.ask("00e5", 1, 3_200) == b"\x03"
    assert bench.ask("0046", 1, 3_200) == b"\0"
    assert not ready(bench, 1_000_000)


def too_far(bench: Bench) -> None:
    bench.environment["distance"] = 4.01


def told_to_fail(bench: Bench) -> None:
    assert isinstance(bench.device, Vl53l1x)
    bench.device.range_status = 7


@pytest.mark.parametrize(("cause", "status"), [(too_far, 4), (told_to_fail, 7)])
def test_vl53l1x_without_a_target(cause: Callable[[Bench], None], status: int) -> None:
    bench = configured()
    cause(bench)
    bench.tell("008710", 0)
    assert ready(bench, RANGE_US)
    assert bench.ask("0089", 17, RANGE_US)[0] == status
    assert not bench.readouts


def test_vl53l1x_stuck_is_never_ready() -> None:
    bench = configured()
    bench.device.stuck_busy = True
    bench.tell("008710", 0)
    assert not ready(bench, 60_000_000)


@pytest.mark.parametrize("command", ["008720", "ffff", "00", "01ff0000"])
def test_vl53l1x_refuses_what_is_not_modelled(command: str) -> None:
    with pytest.raises(Nack):
        Bench("vl53l1x").tell(command, 0)
