"""Sensors on UARTs and counted pins, on a simulated board, through the real gateway.

What they sense is made up here, so what arrives is held against that and not against the ledger.
"""

import asyncio
import math
from bisect import bisect_right

import pytest

from feltpost_tools.sim.ledger import Ledger
from feltpost_tools.sim.lines import Signal
from feltpost_tools.sim.sensors.a02yyuw import A02yyuw
from feltpost_tools.sim.sensors.pms5003 import Pms5003
from feltpost_tools.sim.uart import Uart

pytestmark = pytest.mark.timeout(120)

MINUTE_US = 60_000_000
RUN_S = 75 * 60
INTERVAL_S = 300


def water_m(now_us):
    """What the distance sensor looks at: a tide of an hour."""
    return 2 + math.sin(now_us / 60e6 * math.tau / 60)


class Place:
    """A kit: distance, particles, a rain gauge, a door and a motion detector."""

    QUANTITIES = frozenset()

    def __init__(self):
        self.rain, self.door, self.motion = Signal(), Signal(level=0), Signal(level=0)
        self.particles = None

    def parts(self, node, environment, sampled):
        def sense(quantity, now_us):
            return {"pm1": 4, "pm25": 9, "pm10": 17}.get(quantity) or water_m(now_us)

        ranger = A02yyuw(sense, lambda readout: None)
        self.particles = Pms5003(sense, lambda readout: None)
        return {
            "uart1": Uart(ranger),
            "uart2": Uart(self.particles),
            "pin27": self.rain,
            "pin26": self.door,
            "pin25": self.motion,
        }

    def configuration(self, links, interval_s):
        rain = {"name": "precipitation", "unit": "mm"}
        sensors = [
            {"driver": "a02yyuw", "uart": 1, "channels": {"distance": "distance"}},
            {"driver": "pms5003", "uart": 2, "channels": {m: m for m in ("pm1", "pm25", "pm10")}},
            {"driver": "pulses", "pin": 27, "per_pulse": 0.2794, "digits": 4,
             "channels": {"total": rain}},
            {"driver": "contact", "pin": 26,
             "channels": {"contact": "contact.door", "openings": "openings.door"}},
            {"driver": "pir", "pin": 25, "channels": {"motion": "motion"}},
        ]  # fmt: skip
        return {
            "links": links,
            "uart": [{"id": 1, "tx": 17, "rx": 16}, {"id": 2, "tx": 19, "rx": 18}],
            "sensors": [sensor | {"interval_s": interval_s} for sensor in sensors],
        }


class Arrivals(Ledger):
    """Keeps what arrived, by name, in order of its time."""

    def __init__(self):
        super().__init__()
        self.by_name = {}

    def arrived(self, reading, monotonic_s):
        self.by_name.setdefault(reading.name, []).append(reading)


def test_what_is_sensed_arrives(rig):
    place = Place()
    arrivals = Arrivals()

    async def run():
        async with rig(["udp"], arrivals, kit=place, interval_s=INTERVAL_S) as running:
            start_us = running.clock.now_us()
            tips = tips_of(start_us)
            for at_us in tips:
                place.rain.pulse(at_us, 120_000, bounces_us=4_000)
            for minute in (10, 40):
                at_us = start_us + minute * MINUTE_US
                place.door.pulse(at_us, 7 * MINUTE_US, bounces_us=8_000)
                for visit in range(5):
                    place.motion.pulse(at_us + visit * 20_000_000, 8_000_000)
            await running.until(RUN_S)
            return tips

    tips = asyncio.run(run())
    by_name = arrivals.by_name
    assert not [name for name in by_name if name.startswith("sensorFault")]
    for reading in by_name["distance"]:
        assert reading.unit == "m"
        # Times are whole seconds, in which the water rises by less than this.
        assert reading.value == pytest.approx(water_m(reading.unix_s * 1e6), abs=0.004)
    for name, value in (("pm1", 4), ("pm25", 9), ("pm10", 17)):
        assert {(reading.value, reading.unit) for reading in by_name[name]} == {(value, "ug/m3")}
    # One reading in each interval, the first after warming up; it slept in between.
    assert len(by_name["pm25"]) >= RUN_S // INTERVAL_S - 2
    assert place.particles.awake_us < 0.15 * RUN_S * 1e6

    for reading in by_name["precipitation"]:
        assert reading.unit == "mm"
        fallen = bisect_right(tips, reading.unix_s * 1e6 + 1e6)
        before = bisect_right(tips, reading.unix_s * 1e6 - 1e6)
        assert round(reading.value / 0.2794, 6) in range(before, fallen + 1)
    assert by_name["precipitation"][-1].value == pytest.approx(0.2794 * len(tips))

    assert [r.value for r in by_name["openings.door"]].count(1) == 2
    assert sum(r.value for r in by_name["openings.door"]) == 2
    open_at = [r.unix_s for r in by_name["contact.door"] if r.value == 0]
    assert len(open_at) in (2, 4)
    assert sum(r.value for r in by_name["motion"]) == 10


def tips_of(start_us):
    """Return when the bucket tips: in three showers, up to two a second, within an hour."""
    return [
        start_us + (25 * shower + 1) * MINUTE_US + tip * (500_000 + 90_000 * shower)
        for shower in range(3)
        for tip in range(20)
    ]


def test_the_rain_that_has_fallen_is_known_after_reset_and_power_cut(rig):
    place = Place()
    arrivals = Arrivals()

    async def run():
        async with rig(["udp"], arrivals, kit=place, interval_s=INTERVAL_S) as running:
            board = running.nodes[0].board
            start_us = running.clock.now_us()
            for minute in range(1, 40):
                place.rain.pulse(start_us + minute * MINUTE_US, 120_000)
            await running.until(17 * 60 + 30)
            board.reset()
            await running.until(26 * 60 + 30)
            await board.power_off()
            await board.power_on()
            await running.until(50 * 60)

    asyncio.run(run())
    totals = [round(r.value / 0.2794) for r in arrivals.by_name["precipitation"]]
    # One at the start, then every five minutes, and one as soon as the board is back.
    assert totals[:4] == [0, 5, 10, 15]
    assert totals[4:6] == [17, 22]
    # Up to ten minutes of it are missing after the power cut.
    assert 26 - 10 <= totals[6] <= 26
    assert 39 - 10 <= totals[-1] <= 39
