"""How readings look to a destination; one module for each format (docs/adding-a-format.md)."""

from importlib import import_module
from typing import cast

from feltpost_gateway.errors import ConfigError
from feltpost_gateway.formats.base import Format

_MODULES = {
    "ngsi-ld": "ngsi_ld",
    "os2iot": "os2iot",
    "senml+cbor": "senml_cbor",
    "senml+json": "senml_json",
}

NAMES = tuple(_MODULES)


def load(name: str) -> Format:
    """Return the format called `name`; raise `ConfigError` where there is none.

    Its module is imported now, so a gateway holds only those that it uses.
    """
    if name not in _MODULES:
        raise ConfigError(f"{name!r} is not a format; there are {', '.join(NAMES)}")
    return cast(Format, import_module(f"{__name__}.{_MODULES[name]}"))
