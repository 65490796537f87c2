"""The configuration file: its shape, and errors that name the file, the key and what is wrong."""

import ipaddress
import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretBytes,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from feltpost_gateway.errors import ConfigError

_KEY_BYTES = 16
_TOPIC_FIELDS = ("owner", "site", "node")


def _label(text: str) -> str:
    if any(not c.isprintable() or c in "/+#" for c in text):
        raise ValueError("has a character that MQTT topics don't allow (/, +, # or a control)")
    return text


def _ip_address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            'is not an IPv4 or IPv6 address, such as "0.0.0.0", "::" or "127.0.0.1"'
        ) from None
    return text


def _eui64(text: Any) -> Any:
    """Return the EUI-64 of a MAC address, `fffe` put in the middle of 48 bits (RFC 9039)."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str) or not re.fullmatch(
        r"([0-9A-Fa-f]{2}[:-]){5,7}[0-9A-Fa-f]{2}", text
    ):
        raise ValueError('is not a MAC address, such as "02:00:00:00:00:01"')
    octets = bytes.fromhex(re.sub("[:-]", "", text))
    if len(octets) == 7:
        raise ValueError("has 56 bits; a MAC address has 48 or 64")
    return octets if len(octets) == 8 else octets[:3] + b"\xff\xfe" + octets[3:]


def _key_id(text: Any) -> Any:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str) or not re.fullmatch(r"([0-9A-Fa-f]{2}){1,7}", text):
        raise ValueError('is not 1 to 7 bytes in hexadecimal, such as "01"')
    return bytes.fromhex(text)


def _key(text: Any) -> Any:
    if isinstance(text, bytes | SecretBytes):
        return text
    if not isinstance(text, str) or not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * _KEY_BYTES}}}", text):
        raise ValueError(f"is not {_KEY_BYTES} bytes in hexadecimal")
    return bytes.fromhex(text)


Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_label)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class StoreConfig(_Table):
    """`[store]`: where readings are kept, for how long after delivery, and in how much room.

    `max_size_mib` bounds the store's file, `min_free_mib` is what it leaves free on its file
    system. When undelivered readings have used that up, `when_full` decides: `refuse` leaves new
    readings with the nodes, `evict-oldest` gives the oldest up and notes a gap.
    """

    path: Path
    retention_days: Annotated[int, Field(ge=0, le=36500)] = 30
    max_size_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 2048
    min_free_mib: Annotated[int, Field(ge=0, le=1 << 20)] = 256
    when_full: Literal["refuse", "evict-oldest"] = "refuse"


class UdpConfig(_Table):
    """`[udp]`: the address to listen on; port 0 takes any free one."""

    bind: Annotated[str, AfterValidator(_ip_address)] = "::"
    port: Port = 5683


class SerialConfig(_Table):
    """`[[serial]]`: a serial port, which may appear later."""

    port: Annotated[str, Field(min_length=1)]
    baud: Annotated[int, Field(ge=300, le=4_000_000)] = 115_200


class NodeConfig(_Table):
    """`[[nodes]]`: a node and its key."""

    name: Label
    owner: Label
    site: Label
    eui64: Annotated[bytes, BeforeValidator(_eui64), Field(alias="mac")]
    key_id: Annotated[bytes, BeforeValidator(_key_id)]
    key: Annotated[SecretBytes, BeforeValidator(_key)]

    @property
    def urn(self) -> str:
        """The node's URN (RFC 9039)."""
        return f"urn:dev:mac:{self.eui64.hex()}"


class BrokerConfig(_Table):
    """`[broker]`: where the readings go. `window` is how many publishes may await their PUBACK."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    tls: bool = False
    ca_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=64)] = "feltpost-gateway"
    window: Annotated[int, Field(ge=1, le=1000)] = 20
    topic: str = "feltpost/{owner}/{site}/{node}/readings"

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, topic: str) -> str:
        fields = re.findall(r"\{([^{}]*)\}", topic)
        rest = re.sub(r"\{[^{}]*\}", "", topic)
        if any(field not in _TOPIC_FIELDS for field in fields) or "{" in rest or "}" in rest:
            raise ValueError("has a field other than {owner}, {site} and {node}")
        if not topic or "+" in rest or "#" in rest or not rest.isprintable() and rest:
            raise ValueError("is not a topic that can be published to (no +, no #, not empty)")
        return topic

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file is given but tls is not true")
        if self.password is not None and self.username is None:
            raise ValueError("password is given without a username")
        return self


class Config(_Table):
    """The whole file. Without `[broker]`, readings are kept and go nowhere."""

    store: StoreConfig
    udp: UdpConfig | None = None
    serial: tuple[SerialConfig, ...] = ()
    nodes: tuple[NodeConfig, ...] = ()
    broker: BrokerConfig | None = None

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        _refuse_twice("nodes", "key_id", [node.key_id.hex() for node in self.nodes])
        _refuse_twice("nodes", "mac", [node.eui64.hex() for node in self.nodes])
        _refuse_twice("nodes", "name", ["/".join((n.owner, n.site, n.name)) for n in self.nodes])
        _refuse_twice("serial", "port", [serial.port for serial in self.serial])
        return self


def _refuse_twice(table: str, key: str, values: list[str]) -> None:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            raise ValueError(
                f"{table}[{seen[value]}] and {table}[{index}] have the same {key}, {value}"
            )
        seen[value] = index


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
    except tomllib.TOMLDecodeError as error:
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
    broker = tables.get("broker")
    return bool(tables.get("nodes")) or isinstance(broker, dict) and "password" in broker


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
