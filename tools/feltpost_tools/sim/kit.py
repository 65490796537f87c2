"""The indoor climate kit on a simulated board: its sensors, its configuration, its readings.

SCD41 for CO2, SHT4x for temperature and humidity, BH1750 for light: the four readings of
../../../hardware/kits/indoor-climate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from feltpost_tools.sim import sensors
from feltpost_tools.sim.parts import I2cBus, Part
from feltpost_tools.sim.sensors.device import Environment, Readout

_BUS, _SCL, _SDA = 0, 22, 21
_SENSORS = {
    "scd41": {"co2": "co2"},
    "sht4x": {"temperature": "temperature", "relativeHumidity": "relativeHumidity"},
    "bh1750": {"illuminance": "illuminance"},
}

QUANTITIES = frozenset(name for channels in _SENSORS.values() for name in channels)
"""What a recording must have for this kit to replay it."""


@dataclass(frozen=True)
class Sampled:
    """A value that a sensor handed out and that the node's configuration keeps.

    name and unit: what the reading must be called. resolution: the step that the reading keeps.
    """

    node: str
    name: str
    unit: str
    value: float
    resolution: float
    time_us: int


class Kit(Protocol):
    """What a run puts on its boards. This module is one, the indoor climate kit."""

    QUANTITIES: frozenset[str]
    """What a recording must have for the kit to replay it."""

    def parts(
        self, node: str, environment: Environment, sampled: Callable[[Sampled], None]
    ) -> dict[str, Part]:
        """Return one board's sensors by place; sampled is called for what must become readings."""

    def configuration(self, links: list[dict[str, Any]], interval_s: int) -> dict[str, Any]:
        """Return the content of feltpost.json for a board with this kit."""


_UNITS = {"co2": "ppm", "temperature": "Cel", "relativeHumidity": "%RH", "illuminance": "lx"}
_RESOLUTIONS = {"co2": 1.0, "temperature": 0.01, "relativeHumidity": 0.01, "illuminance": 1.0}


def parts(
    node: str, environment: Environment, sampled: Callable[[Sampled], None]
) -> dict[str, Part]:
    """Return the kit's sensors on their bus, by place.

    sampled is called for each value that must become a reading. It is told by the sensors, not by
    the firmware, so that it can be held against the firmware.
    """

    def observer(channels: dict[str, str]) -> Callable[[Readout], None]:
        def observe(readout: Readout) -> None:
            name = channels.get(readout.quantity)
            if name:
                sampled(
                    Sampled(
                        node,
                        name,
                        _UNITS[readout.quantity],
                        readout.value,
                        _RESOLUTIONS[readout.quantity],
                        readout.time_us,
                    )
                )

        return observe

    bus = I2cBus(
        [
            sensors.build(driver, environment, observer(channels))
            for driver, channels in _SENSORS.items()
        ]
    )
    return {f"i2c{_BUS}": bus, f"pin{_SCL}": bus.scl, f"pin{_SDA}": bus.sda}


def configuration(links: list[dict[str, Any]], interval_s: int) -> dict[str, Any]:
    """Return the content of feltpost.json for a board with this kit."""
    return {
        "links": links,
        "i2c": [{"id": _BUS, "scl": _SCL, "sda": _SDA}],
        "sensors": [
            {"driver": driver, "bus": _BUS, "interval_s": interval_s, "channels": channels}
            for driver, channels in _SENSORS.items()
        ],
    }
