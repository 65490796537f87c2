"""Simulated I2C sensors at register level, by the names of Feltpost's drivers."""

from __future__ import annotations

from feltpost_tools.sim.sensors import ads1115, bh1750, bme280, scd41, sht4x, vl53l1x
from feltpost_tools.sim.sensors.device import Environment, I2CDevice, Nack, Observer, Readout

__all__ = ["DRIVERS", "Environment", "I2CDevice", "Nack", "Observer", "Readout", "build"]

_MODELS: dict[str, tuple[type[I2CDevice], int]] = {
    "ads1115": (ads1115.Ads1115, ads1115.ADDRESS),
    "bh1750": (bh1750.Bh1750, bh1750.ADDRESS),
    "bme280": (bme280.Bme280, bme280.ADDRESS),
    "scd41": (scd41.Scd41, scd41.ADDRESS),
    "sht4x": (sht4x.Sht4x, sht4x.ADDRESS),
    "vl53l1x": (vl53l1x.Vl53l1x, vl53l1x.ADDRESS),
}

DRIVERS = tuple(_MODELS)
"""The names that `build` knows."""


def build(
    driver_name: str, environment: Environment, observer: Observer, address: int | None = None
) -> I2CDevice:
    """Return a model of the chip that the driver `driver_name` is for.

    It sits at the chip's default address unless `address` is given. Raises ValueError when there
    is no such model.
    """
    if driver_name not in _MODELS:
        raise ValueError(f"no model of a sensor {driver_name!r}; there are {', '.join(DRIVERS)}")
    model, default_address = _MODELS[driver_name]
    return model(environment, observer, default_address if address is None else address)
