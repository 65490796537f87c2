"""Sensors that are on no bus: their readings arrive, and a fault of one stops no other."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from feltpost_tools.sim.image import Image
from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.parts import OneWireBus, Part
from feltpost_tools.sim.rig import Plan, Rig
from feltpost_tools.sim.sensors.analogue import Analogue
from feltpost_tools.sim.sensors.device import Environment, Readout
from feltpost_tools.sim.sensors.ds18b20 import Ds18b20
from feltpost_tools.sim.sensors.jsnsr04t import Jsnsr04t
from feltpost_tools.sim.trace import Trace

HOUR_S = 3600
INTERVAL_S = 300
START_S = 1_770_000_000

# By what a sensor measures: the reading's name and unit, two points (raw, true), the step it keeps.
# The driver has the speed of sound in 1/32 m/s, which makes a millimetre of six metres.
READINGS = {
    "temperature": ("temperature", "Cel", ((0, 0), (1, 1)), 0.01),
    "distance": ("waterLevel", "m", ((0, 3.42), (1, 2.42)), 0.003),
    "voltage": ("soilMoisture", "%", ((2.4, 0), (1.1, 100)), 0.1),
}


class Pins:
    """A kit: a DS18B20, a JSN-SR04T that measures a water level, a soil moisture probe."""

    QUANTITIES = frozenset(READINGS)

    def parts(
        self, node: str, environment: Environment, sampled: Callable[[Sampled], None]
    ) -> dict[str, Part]:
        def observe(readout: Readout) -> None:
            name, unit, ((raw, true), (other_raw, other_true)), step = READINGS[readout.quantity]
            slope = (other_true - true) / (other_raw - raw)
            value = true + (readout.value - raw) * slope
            sampled(Sampled(node, name, unit, value, step, readout.time_us))

        self.thermometer = Ds18b20(environment, observe)
        ranger = Jsnsr04t(environment, observe)
        return {
            "pin4": OneWireBus([self.thermometer]),
            "pin25": ranger.trigger,
            "pin26": ranger.echo,
            "adc34": Analogue(environment, observe),
        }

    def configuration(self, links: list[dict[str, Any]], interval_s: int) -> dict[str, Any]:
        sensors = [
            {"driver": "ds18b20", "pin": 4, "channels": {"temperature": "temperature"}},
            {
                "driver": "jsnsr04t",
                "trigger": 25,
                "echo": 26,
                "channels": {
                    "distance": {"name": "waterLevel", "calibration": [[0, 3.42], [1, 2.42]]}
                },
            },
            {
                "driver": "analogue",
                "adc": 34,
                "channels": {
                    "voltage": {
                        "name": "soilMoisture",
                        "unit": "%",
                        "calibration": [[2.4, 0], [1.1, 100]],
                    }
                },
            },
        ]
        return {"links": links, "sensors": [{"interval_s": interval_s} | s for s in sensors]}


def test_readings_arrive_and_a_broken_cable_is_told(firmware: Image, tmp_path: Path) -> None:
    kit = Pins()
    times = [START_S + 600.0 * i for i in range(13)]
    recording = Trace(
        times,
        {
            # To 85 °C, which is a temperature like any other to a sensor that has power.
            "temperature": [83.75 + i / 4 for i in range(13)],
            "distance": [0.3 + i / 5 for i in range(13)],
            "voltage": [1.0 + i / 10 for i in range(13)],
        },
    )
    faults: list[float] = []
    gone: list[int] = []

    async def run() -> Rig:
        plan = Plan(recording, ["udp"], interval_s=INTERVAL_S, kit=kit, image=firmware)
        async with Rig(plan, tmp_path) as running:
            keep = running.subscriber._received
            running.subscriber._received = lambda reading, at: (
                faults.append(reading.value)
                if reading.name == "sensorFault.ds18b20"
                else keep(reading, at)
            )
            await running.until(HOUR_S / 2)
            kit.thermometer.unplugged = True
            gone.append(running.ledger.nodes["node-1"].sampled)
            await running.until(HOUR_S)
            gone.append(running.ledger.nodes["node-1"].sampled)
            kit.thermometer.unplugged = False
            await running.until(2 * HOUR_S)
            assert await running.drain(60)
            return running

    running = asyncio.run(run())
    ledger = running.ledger
    names = {name for name, *_ in READINGS.values()}
    wrong = [reading for reading in ledger.wrong if reading.name in names]
    outcome = ledger.outcome()
    assert (outcome.missing, outcome.duplicates, wrong) == (0, 0, [])
    # Three each time, and two while the cable was broken.
    assert gone == [6 * 3, 6 * 3 + 6 * 2]
    assert ledger.nodes["node-1"].delivered >= gone[1] + 11 * 3
    # Not responding, and then nothing any more: each is told once.
    assert faults == [1, 0]
