"""Nodes on a battery: how long a wake takes, what goes on air, and for how long a cell lasts.

Wakes and bytes are measured on a simulated board. Its radio joins in the time that it takes an
ESP32; its processor is this machine's, so the boot of an ESP32 is added. Charges are estimates from
figures that were measured elsewhere or are typical values of data sheets, all of them below.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.node_day import tapped
from bench.table import Row
from feltpost_tools.sim import kit
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.kit import Kit, Sampled
from feltpost_tools.sim.parts import Part
from feltpost_tools.sim.rig import Plan, Rig, shared_recording
from feltpost_tools.sim.sensors.a02yyuw import A02yyuw
from feltpost_tools.sim.sensors.device import Environment
from feltpost_tools.sim.trace import Trace
from feltpost_tools.sim.uart import Uart

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
_INTERVAL_S = 900
_SEND_S = _HOUR_S
_HEAP_KIB = 128
# From an hour after power-on, in the middle between two samples, for so many hours.
_FROM_S = 1.1 * _HOUR_S
_HOURS = 4

# Measured on an ESP32-S3 by users of MicroPython: from reset to main.py; a whole transmission with
# the network joined anew, by DHCP and with a static address.
_BOOT_S = 0.635
_DHCP_S, _DHCP_MC = 1.626, 204.0
_STATIC_S, _STATIC_MC = 0.774, 108.6
# ESP32 data sheet, power consumption by power modes: processor running and radio off, 30 to 50 mA;
# deep sleep with RTC timer and RTC memory.
_RUNNING_MA = 40.0
_DEEP_SLEEP_MA = 0.010
# Assumed of the board, a good one: its regulator, and a divider that measures the battery. A DevKit
# takes some 10 mA for its LED, regulator and USB bridge, and is no board for a battery.
_BOARD_MA = 0.015
# DFRobot SEN0311 (A02YYUW): at most 8 mA, all the time.
_A02YYUW_MA = 8.0
# Saft LS 26500, a lithium cell of size C: 7.7 Ah, of which the shelf takes less than 1 % a year.
# Assumed: a fifth can't be had, in the cold and at a radio's currents.
_CELL_MAH = 7700.0
_USABLE = 0.8
_SHELF_LOSS_PER_YEAR = 0.01
_DAYS_PER_YEAR = 365.25


NOTE = (
    "Battery: charges and years are estimates, from the times measured here and from figures of "
    "others and of data sheets, listed in bench/node_battery.py."
)


class _Sht4xKit(kit.I2cKit):
    def configuration(self, links: list[dict[str, Any]], interval_s: int) -> dict[str, Any]:
        return _on_battery(super().configuration(links, interval_s))


class _StreamLevelKit:
    QUANTITIES: frozenset[str] = frozenset()

    def parts(
        self, node: str, environment: Environment, sampled: Callable[[Sampled], None]
    ) -> dict[str, Part]:
        return {"uart1": Uart(A02yyuw(lambda quantity, now_us: 2.0, lambda readout: None))}

    def configuration(self, links: list[dict[str, Any]], interval_s: int) -> dict[str, Any]:
        sensor = {"driver": "a02yyuw", "uart": 1, "interval_s": interval_s}
        return _on_battery(
            {
                "links": links,
                "uart": [{"id": 1, "tx": 17, "rx": 16}],
                "sensors": [sensor | {"channels": {"distance": "distance"}}],
            }
        )


def _on_battery(configuration: dict[str, Any]) -> dict[str, Any]:
    return configuration | {"power": {"mode": "battery", "send_interval_s": _SEND_S}}


_SHT4X = _Sht4xKit(
    {"sht4x": {"temperature": "temperature", "relativeHumidity": "relativeHumidity"}}
)
_STREAM_LEVEL = _StreamLevelKit()


@dataclass(frozen=True)
class _Wake:
    """From wake to sleep on the simulated board, seconds; sent: whether the radio was on."""

    awake_s: float
    sent: bool


@dataclass(frozen=True)
class Life:
    """What a node did in a day, from the hours that were measured. Times in seconds."""

    sampling_s: float
    sending_s: float
    wakes: float
    sends: float
    octets: float

    def charge_mah(self, join_s: float, join_mc: float) -> float:
        """Return the charge of a day without sensors; join: a whole transmission."""
        sampling_mc = (_BOOT_S + self.sampling_s) * _RUNNING_MA
        # What a send takes longer than that one transmission is more exchanges, radio on.
        longer_s = max(0.0, self.sending_s - self.sampling_s - _DHCP_S)
        sending_mc = sampling_mc + join_mc + longer_s * join_mc / join_s
        awake_mc = (self.wakes - self.sends) * sampling_mc + self.sends * sending_mc
        return awake_mc / _HOUR_S + (_DEEP_SLEEP_MA + _BOARD_MA) * 24


def rows(folder: Path) -> list[Row]:
    """Measure two nodes, in new folders below ``folder``, and return their rows."""
    found = []
    for name, sensors, sensor_ma in (
        ("SHT4x", _SHT4X, 0.0),
        ("stream level", _STREAM_LEVEL, _A02YYUW_MA),
    ):
        run = folder / f"battery {name}"
        run.mkdir()
        found += _rows(name, asyncio.run(_measure(sensors, run)), sensor_ma)
    return found


async def _measure(sensors: Kit, folder: Path) -> Life:
    plan = Plan(
        Trace.load(shared_recording()),
        ["udp"],
        interval_s=_INTERVAL_S,
        heap_kib=_HEAP_KIB,
        kit=sensors,
    )
    async with Rig(plan, folder) as rig, tapped(rig) as tap:
        board = rig.nodes[0].board
        begin_s = _FROM_S
        end_s = begin_s + _HOURS * _HOUR_S
        await rig.until(begin_s)
        wakes: list[_Wake] = []
        watch = asyncio.create_task(_watch(rig, board, wakes))
        await rig.until(end_s)
        watch.cancel()
    octets = sum(d.octets for d in tap.passed if begin_s <= d.simulated_s < end_s)
    sampling = [wake.awake_s for wake in wakes if not wake.sent]
    sending = [wake.awake_s for wake in wakes if wake.sent]
    days = _HOURS * _HOUR_S / _DAY_S
    return Life(
        sum(sampling) / len(sampling),
        sum(sending) / len(sending),
        len(wakes) / days,
        len(sending) / days,
        octets / days,
    )


async def _watch(rig: Rig, board: Board, wakes: list[_Wake]) -> None:
    # Note each wake; time stands while nothing of it is looked at.
    assert board.air
    radio = board.air.radio
    while True:
        while board.in_deep_sleep:  # noqa: ASYNC110 - the end of it is in no event
            await asyncio.sleep(0)
        woken_s, joins = rig.simulated_s, radio.joins
        while not board.in_deep_sleep:  # noqa: ASYNC110 - nor is its beginning
            await asyncio.sleep(0)
        wakes.append(_Wake(rig.simulated_s - woken_s, radio.joins > joins))


def _rows(name: str, life: Life, sensor_ma: float) -> list[Row]:
    what = f"battery, {name} every {_INTERVAL_S // 60} min, sent hourly"
    dhcp_mah = life.charge_mah(_DHCP_S, _DHCP_MC)
    static_mah = life.charge_mah(_STATIC_S, _STATIC_MC)
    found = [
        Row(f"{what}: wake to sleep, sampling only", life.sampling_s * 1000, "ms"),
        Row(f"{what}: wake to sleep, with sending", life.sending_s * 1000, "ms"),
        Row(f"{what}: on air a day, with IP and UDP headers", life.octets, "bytes"),
        Row(f"{what}: charge a day, DHCP, sensor not counted", dhcp_mah, "mAh"),
        Row(f"{what}: charge a day, static address, sensor not counted", static_mah, "mAh"),
        Row(f"{what}: one LS 26500 lasts, DHCP", _years(dhcp_mah), "years"),
        Row(f"{what}: one LS 26500 lasts, static address", _years(static_mah), "years"),
    ]
    if sensor_ma:
        with_sensor = _years(static_mah + sensor_ma * 24)
        found.append(
            Row(f"{what}: the same, with its sensor always supplied", with_sensor * 365, "days")
        )
    return found


def _years(day_mah: float) -> float:
    # What lies on the shelf is lost beside what is used.
    year_mah = day_mah * _DAYS_PER_YEAR + _SHELF_LOSS_PER_YEAR * _CELL_MAH
    return _USABLE * _CELL_MAH / year_mah
