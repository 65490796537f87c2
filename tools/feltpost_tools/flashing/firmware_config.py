"""Runs the firmware's own reader of configurations here, so that no board gets one it refuses."""

import importlib
import sys
import types
from collections.abc import Mapping
from functools import cache
from typing import Any

from feltpost_tools.flashing.compile import firmware_source

# A name of its own: what is imported under it is the firmware's source, run by another Python.
_PACKAGE = "feltpost_tools._firmware_config"
# In the order in which they import each other.
_MODULES = ("channel", "link", "metrics", "config")


def problems(name: str, configuration: Mapping[str, Any]) -> list[str]:
    """Return what the firmware says of a configuration; name stands for the file in its words."""
    config = _modules()["config"]
    try:
        found: list[str] = config.Config(name, configuration).problems
    except config.ConfigError as error:
        return [str(error)]
    return found + _unknown_drivers(name, configuration)


def _unknown_drivers(name: str, configuration: Mapping[str, Any]) -> list[str]:
    # The firmware finds that out when it loads them, which needs a board.
    known = [path.stem[7:] for path in (firmware_source() / "feltpost").glob("sensor_*.py")]
    return [
        f"{name}.sensors[{i}].driver: there is no driver {entry['driver']!r}"
        for i, entry in enumerate(configuration["sensors"])
        # One that names no driver is a problem that the firmware has told already.
        if isinstance(entry, dict) and entry.get("driver", known[0]) not in known
    ]


@cache
def _modules() -> dict[str, Any]:
    package = types.ModuleType(_PACKAGE)
    package.__path__ = [str(firmware_source() / "feltpost")]
    micropython = types.ModuleType("micropython")
    micropython.const = lambda value: value  # type: ignore[attr-defined]
    sys.modules[_PACKAGE] = package
    sys.modules[micropython.__name__] = micropython
    try:
        return {name: importlib.import_module(f"{_PACKAGE}.{name}") for name in _MODULES}
    finally:
        # Whoever looks for it finds out that this is no MicroPython.
        del sys.modules[micropython.__name__]
