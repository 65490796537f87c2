"""The models of sensors on a UART, the UART itself, and pins that something else decides."""

from __future__ import annotations

import struct

import pytest

from feltpost_tools.sim.lines import FALLING, RISING, Line, Signal
from feltpost_tools.sim.sensors.a02yyuw import A02yyuw
from feltpost_tools.sim.sensors.device import Readout
from feltpost_tools.sim.sensors.pms5003 import Pms5003
from feltpost_tools.sim.sensors.uart_device import UartDevice
from feltpost_tools.sim.uart import Uart

AIR = {"distance": 1.953, "pm1": 4.0, "pm25": 9.0, "pm10": 17.0}
BYTE_US = 1041

SLEEP = bytes.fromhex("424de400000173")
WAKE = bytes.fromhex("424de400010174")
PASSIVE = bytes.fromhex("424de100000170")
ACTIVE = bytes.fromhex("424de100010171")
READ = bytes.fromhex("424de200000171")


class Host:
    """A UART with a sensor, at 9600 baud unless it is opened anew."""

    def __init__(self, model: type[UartDevice]) -> None:
        self.environment = dict(AIR)
        self.readouts: list[Readout] = []
        self.device = model(lambda q, _: self.environment[q], self.readouts.append)
        self.uart = Uart(self.device)
        self.open(9600, 256, 0)

    def open(self, baudrate: int, capacity: int, now_us: int) -> None:
        self.uart.serve(b"o" + struct.pack("<IH", baudrate, capacity), now_us)

    def any(self, now_us: int) -> int:
        return int(struct.unpack("<H", self.uart.serve(b"a", now_us))[0])

    def read(self, now_us: int, most: int = 0xFFFF) -> bytes:
        return self.uart.serve(b"r" + struct.pack("<H", most), now_us)

    def write(self, data: bytes, now_us: int) -> None:
        self.uart.serve(b"w" + data, now_us)


def checked(frame: bytes) -> bytes:
    """Return a PMS5003's frame without its sum, which must be right."""
    assert int.from_bytes(frame[-2:], "big") == sum(frame[:-2])
    return frame[:-2]


# The UART


def test_bytes_come_one_after_the_other() -> None:
    host = Host(A02yyuw)
    assert host.any(300_000) == 0
    for count in range(1, 5):
        assert host.any(300_000 + count * BYTE_US - 1) == count - 1
        assert host.any(300_000 + count * BYTE_US) == count


def test_what_the_buffer_can_not_take_is_lost() -> None:
    host = Host(A02yyuw)
    assert host.any(60_000_000) == 256
    host.open(9600, 6, 60_000_000)
    assert host.any(61_000_000) == 6
    assert host.read(61_000_000)[:4] == bytes.fromhex("ff07a1a7")
    # Those that were not lost come after.
    assert host.any(61_000_000) == 0
    assert host.any(61_300_000) == 4


def test_a_value_is_read_out_with_its_last_byte() -> None:
    host = Host(A02yyuw)
    assert host.read(310_000, 3) == bytes.fromhex("ff07a1")
    assert not host.readouts
    assert host.read(320_000) == b"\xa7"
    assert host.readouts == [Readout("distance", 1.953, 320_000, 300_000)]


def test_another_rate_is_noise_in_both_directions() -> None:
    host = Host(Pms5003)
    host.open(19_200, 256, 0)
    assert not host.read(2_500_000).startswith(b"\x42")
    assert not host.readouts
    host.write(SLEEP, 2_500_000)
    host.open(9600, 256, 2_500_000)
    assert host.read(5_000_000).startswith(b"\x42\x4d")


def test_a_spoilt_sum() -> None:
    host = Host(A02yyuw)
    host.device.corrupt_next = 1
    assert host.read(700_000) == bytes.fromhex("ff07a158ff07a1a7")
    assert len(host.readouts) == 1


# A02YYUW


def test_a02yyuw_data_sheet_example() -> None:
    assert Host(A02yyuw).read(310_000) == bytes.fromhex("ff07a1a7")


@pytest.mark.parametrize(
    ("distance", "frame"),
    [(0.03, "ff001e1d"), (4.5, "ff1194a4"), (0.0, "ff0000ff"), (4.6, "fffffdfb")],
)
def test_a02yyuw_range(distance: float, frame: str) -> None:
    host = Host(A02yyuw)
    host.environment["distance"] = distance
    assert host.read(310_000) == bytes.fromhex(frame)
    assert len(host.readouts) == (1 if 0.03 <= distance <= 4.5 else 0)


def test_a02yyuw_silence() -> None:
    host = Host(A02yyuw)
    host.device.stuck_busy = True
    assert host.any(10_000_000) == 0
    host.device.stuck_busy = False
    host.device.unplugged = True
    assert host.any(20_000_000) == 0
    host.device.unplugged = False
    # From when it has power again.
    assert host.any(20_000_000) == 0
    assert host.any(20_310_000) == 4


# PMS5003


def test_pms5003_sends_unasked_after_power_on() -> None:
    host = Host(Pms5003)
    assert host.any(2_299_999) == 0
    frame = host.read(2_340_000)
    assert checked(frame)[:4] == bytes.fromhex("424d001c")
    assert len(frame) == 32


def test_pms5003_values_are_stable_after_30_seconds() -> None:
    host = Host(Pms5003)
    host.write(PASSIVE, 1_000_000)
    host.read(10_000_000)
    for asked_us, values in ((28_900_000, (2, 4, 8)), (29_000_000, (4, 9, 17))):
        host.write(READ, asked_us)
        frame = host.read(asked_us + 1_050_000)
        assert struct.unpack(">3H", checked(frame)[10:16]) == values
    assert [(r.quantity, r.value) for r in host.readouts] == [("pm1", 4), ("pm25", 9), ("pm10", 17)]


def test_pms5003_modes_and_answers() -> None:
    host = Host(Pms5003)
    host.write(PASSIVE, 899_999)
    assert host.any(2_340_000) == 32, "it was still booting"
    host.write(PASSIVE, 2_400_000)
    host.read(2_340_000)
    assert checked(host.read(2_500_000)) == bytes.fromhex("424d0004e100")
    assert host.any(60_000_000) == 0
    host.write(ACTIVE, 60_000_000)
    assert checked(host.read(60_100_000)) == bytes.fromhex("424d0004e101")
    assert host.any(62_400_000) == 32


def test_pms5003_asleep_it_hears_nothing_but_the_call() -> None:
    host = Host(Pms5003)
    host.write(SLEEP, 2_000_000)
    assert checked(host.read(2_100_000)) == bytes.fromhex("424d0004e400")
    host.write(READ, 3_000_000)
    host.write(ACTIVE, 3_000_000)
    assert host.any(60_000_000) == 0
    host.write(WAKE, 60_000_000)
    assert host.any(62_340_000) == 32
    host.write(SLEEP, 70_000_000)
    assert host.device.awake_us == 12_000_000


@pytest.mark.parametrize("data", [b"", SLEEP[:-1], SLEEP[:-1] + b"\x74", b"\x43" + SLEEP[1:]])
def test_pms5003_passes_over_what_is_no_command(data: bytes) -> None:
    host = Host(Pms5003)
    host.write(data, 2_000_000)
    assert host.read(2_340_000).startswith(bytes.fromhex("424d001c"))


# Pins


def test_a_pulse_is_two_edges() -> None:
    signal = Signal()
    signal.pulse(1000, 500)
    assert isinstance(signal, Line)
    assert [signal.level(at_us) for at_us in (999, 1000, 1499, 1500)] == [1, 0, 0, 1]
    assert signal.next_edge_us(0, FALLING) == 1000
    assert signal.next_edge_us(0, RISING) == 1500
    assert signal.next_edge_us(1000, FALLING | RISING) == 1500
    assert signal.next_edge_us(1000, FALLING) is None
    assert signal.next_edge_us(1500, FALLING | RISING) is None
    assert signal.serve(b"", 1200) == b"\x00"


def test_bounces_end_where_the_contact_does() -> None:
    signal = Signal(level=0)
    signal.pulse(1000, 10_000, bounces_us=400)
    edges, at_us = [], 0
    while (edge_us := signal.next_edge_us(at_us, RISING | FALLING)) is not None:
        edges.append((edge_us, signal.level(edge_us)))
        at_us = edge_us
    closing = [(1000, 1), (1100, 0), (1200, 1), (1300, 0), (1400, 1)]
    assert edges == closing + [(at_us + 10_000, 1 - level) for at_us, level in closing]


def test_a_change_to_what_it_is_already_is_none() -> None:
    signal = Signal()
    signal.change(1000, 1)
    signal.change(2000, 0)
    signal.change(3000, 0)
    assert signal.next_edge_us(0, RISING | FALLING) == 2000
    assert signal.next_edge_us(2000, RISING | FALLING) is None
