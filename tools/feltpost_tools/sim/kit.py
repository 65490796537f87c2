"""What sits on a simulated board: kits of I2C sensors, their configuration, their readings.

The module itself is the indoor climate kit: SCD41 for CO2, SHT4x for temperature and humidity,
BH1750 for light, the four readings of ../../../hardware/kits/indoor-climate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from feltpost_tools.sim import sensors
from feltpost_tools.sim.parts import I2cBus, Part
from feltpost_tools.sim.sensors.device import Environment, Observer, Readout

_BUS, _SCL, _SDA = 0, 22, 21
# By quantity: SenML unit, and the step that the readings keep. Pressure is kept to 0.01 hPa, but
# the BME280's integer formulas, which its driver uses, may be one step off the exact ones.
_MEASURED = {
    "co2": ("ppm", 1.0),
    "temperature": ("Cel", 0.01),
    "relativeHumidity": ("%RH", 0.01),
    "illuminance": ("lx", 1.0),
    "atmosphericPressure": ("hPa", 0.02),
    "distance": ("m", 0.001),
}


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


class I2cKit:
    """A Kit of sensors on one I2C bus: by driver, by what it measures, the readings' names."""

    def __init__(self, channels: Mapping[str, Mapping[str, str]]):
        self._channels = channels
        self.QUANTITIES = frozenset(name for measured in channels.values() for name in measured)

    def parts(
        self, node: str, environment: Environment, sampled: Callable[[Sampled], None]
    ) -> dict[str, Part]:
        """Return the kit's sensors on their bus, by place.

        sampled is called for each value that must become a reading. It is told by the sensors, not
        by the firmware, so that it can be held against the firmware.
        """

        def observer(names: Mapping[str, str]) -> Observer:
            def observe(readout: Readout) -> None:
                name = names.get(readout.quantity)
                if name:
                    unit, resolution = _MEASURED[readout.quantity]
                    sampled(Sampled(node, name, unit, readout.value, resolution, readout.time_us))

            return observe

        bus = I2cBus(
            [
                sensors.build(driver, environment, observer(names))
                for driver, names in self._channels.items()
            ]
        )
        return {f"i2c{_BUS}": bus, f"pin{_SCL}": bus.scl, f"pin{_SDA}": bus.sda}

    def configuration(self, links: list[dict[str, Any]], interval_s: int) -> dict[str, Any]:
        """Return the content of feltpost.json for a board with this kit."""
        return {
            "links": links,
            "i2c": [{"id": _BUS, "scl": _SCL, "sda": _SDA}],
            "sensors": [
                {"driver": driver, "bus": _BUS, "interval_s": interval_s, "channels": dict(names)}
                for driver, names in self._channels.items()
            ],
        }


_INDOOR_CLIMATE = I2cKit(
    {
        "scd41": {"co2": "co2"},
        "sht4x": {"temperature": "temperature", "relativeHumidity": "relativeHumidity"},
        "bh1750": {"illuminance": "illuminance"},
    }
)
QUANTITIES = _INDOOR_CLIMATE.QUANTITIES
parts = _INDOOR_CLIMATE.parts
configuration = _INDOOR_CLIMATE.configuration
