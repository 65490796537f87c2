"""The configuration file: its shape, and errors that name the file, the key and what is wrong."""

import ipaddress
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretBytes,
    ValidationError,
    field_validator,
    model_validator,
)

from feltpost_gateway.config_types import Label, Port, Table, refuse_twice
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.errors import ConfigError
from feltpost_gateway.formats.base import Position, Setting
from feltpost_gateway.nodes import OperatorError, parse_key, parse_key_id, parse_mac
from feltpost_gateway.publication import Publication
from feltpost_gateway.topics import fill

_BROKER = "mqtt"
# File systems allow 255; beside the store there are files with its name and more.
_NAME_MAX_BYTES = 200


def _ip_address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            'is not an IPv4 or IPv6 address, such as "0.0.0.0", "::" or "127.0.0.1"'
        ) from None
    return text


def _file_path(path: Path) -> Path:
    if "\0" in str(path) or any(len(os.fsencode(part)) > _NAME_MAX_BYTES for part in path.parts):
        raise ValueError(f"has a part that is no file name, or one of over {_NAME_MAX_BYTES} bytes")
    return path


def _read_by(parse: Callable[[str], bytes]) -> BeforeValidator:
    def read(value: Any) -> Any:
        if isinstance(value, bytes | SecretBytes):
            return value
        try:
            return parse(value if isinstance(value, str) else "")
        except OperatorError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(read)


class StoreConfig(Table):
    """`[store]`: where readings are kept, for how long after delivery, and in how much room.

    `max_size_mib` bounds the store's file, `min_free_mib` is what it leaves free on its file
    system. When undelivered readings have used that up, `when_full` decides: `refuse` leaves new
    readings with the nodes, `evict-oldest` gives the oldest up and notes a gap.
    """

    path: Annotated[Path, AfterValidator(_file_path)]
    retention_days: Annotated[int, Field(ge=0, le=36500)] = 30
    max_size_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 2048
    min_free_mib: Annotated[int, Field(ge=0, le=1 << 20)] = 256
    when_full: Literal["refuse", "evict-oldest"] = "refuse"


class UdpConfig(Table):
    """`[udp]`: the address to listen on; port 0 takes any free one."""

    bind: Annotated[str, AfterValidator(_ip_address)] = "::"
    port: Port = 5683


class SerialConfig(Table):
    """`[[serial]]`: a serial port, which may appear later."""

    port: Annotated[str, Field(min_length=1)]
    baud: Annotated[int, Field(ge=300, le=4_000_000)] = 115_200


class NodeConfig(Table):
    """`[[nodes]]`: a node and its key, kept up in this file (`registry`).

    `classes` are the publication classes of metrics that differ from their usual ones.
    """

    name: Label
    owner: Label
    site: Label
    setting: Setting = Setting.INDOOR
    room: Label | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    elevation_m: Annotated[float, Field(ge=-500, le=9000)] | None = None
    classes: dict[str, Publication] = {}
    eui64: Annotated[bytes, _read_by(parse_mac), Field(alias="mac")]
    key_id: Annotated[bytes, _read_by(parse_key_id)]
    key: Annotated[SecretBytes, _read_by(parse_key)]

    @property
    def urn(self) -> str:
        """The node's URN (RFC 9039)."""
        return f"urn:dev:mac:{self.eui64.hex()}"

    @property
    def position(self) -> Position | None:
        """Where the node is, None where the file does not say."""
        if self.latitude is None or self.longitude is None:
            return None
        return Position(self.latitude, self.longitude, self.elevation_m)

    @model_validator(mode="after")
    def _check_position(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude are given both or neither")
        if self.latitude is None and self.elevation_m is not None:
            raise ValueError("elevation_m is given without latitude and longitude")
        return self


class EventsConfig(Table):
    """`[events]`: below which voltage, and which state of charge, a battery is reported as low."""

    battery_volts: Annotated[float, Field(ge=0)] = 3.3
    battery_percent: Annotated[float, Field(ge=0, le=100)] = 20.0


class MetricsConfig(Table):
    """`[metrics]`: where Prometheus may ask for figures, this computer only unless told otherwise.

    Nobody is asked who they are, and the figures name nodes; port 0 takes any free one.
    """

    bind: Annotated[str, AfterValidator(_ip_address)] = "127.0.0.1"
    port: Port = 9568


class Config(Table):
    """The whole file. Without a destination, readings are kept and go nowhere.

    `[broker]` is a destination, called `mqtt` unless it says otherwise.
    """

    store: StoreConfig
    udp: UdpConfig | None = None
    serial: tuple[SerialConfig, ...] = ()
    nodes: tuple[NodeConfig, ...] = ()
    events: EventsConfig = EventsConfig()
    metrics: MetricsConfig | None = None
    broker: DestinationConfig | None = None
    destinations: tuple[DestinationConfig, ...] = ()

    @field_validator("broker", mode="before")
    @classmethod
    def _name_broker(cls, table: Any) -> Any:
        return {"name": _BROKER, **table} if isinstance(table, dict) else table

    @property
    def all_destinations(self) -> tuple[DestinationConfig, ...]:
        """Every destination, `[broker]` first."""
        return self.destinations if self.broker is None else (self.broker, *self.destinations)

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        refuse_twice("nodes", "key_id", [node.key_id.hex() for node in self.nodes])
        refuse_twice("nodes", "mac", [node.eui64.hex() for node in self.nodes])
        refuse_twice("nodes", "name", ["/".join((n.owner, n.site, n.name)) for n in self.nodes])
        refuse_twice("serial", "port", [serial.port for serial in self.serial])
        destinations = self.all_destinations
        refuse_twice("destinations", "name", [d.name for d in destinations])
        refuse_twice(
            "destinations",
            "client_id at one broker",
            [f"{fill(d.client_id, d.names)} ({d.broker})" for d in destinations if not d.accounts],
        )
        return self


def load(path: Path) -> Config:
    """Return the configuration in the TOML file `path`.

    Raises `ConfigError` with one line for each thing that is wrong; values are never shown, since
    they may be secrets in the wrong place.
    """
    try:
        text = path.read_text(encoding="utf-8")
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from error
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    if _holds_secrets(tables) and mode & 0o077:
        raise ConfigError(
            f"{path}: holds keys and can be read by others (mode {mode:04o}). Run: chmod 600 {path}"
        )
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        lines = [f"{path}: {_where(e['loc'])}: {_what(e)}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _holds_secrets(tables: dict[str, Any]) -> bool:
    # What isn't shaped as it should be is found by the check that follows.
    destinations = tables.get("destinations")
    brokers = [tables.get("broker"), *(destinations if isinstance(destinations, list) else ())]
    return bool(tables.get("nodes")) or any(
        isinstance(broker, dict) and ("password" in broker or "accounts" in broker)
        for broker in brokers
    )


def _where(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "the file"


def _what(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a key of this table"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return str(error["msg"])
