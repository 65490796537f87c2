"""What the registry knows of nodes and owners, and the form in which people write it.

That form is one text for each column, the same in CSV files, on the command line and between the
command line and the service: `node_from_columns` checks it, `node_to_columns` gives it back.
"""

import re
import secrets
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from feltpost_gateway.errors import PermanentError
from feltpost_gateway.formats.base import NodeDescription, Position, Setting
from feltpost_gateway.formats.json_text import number
from feltpost_gateway.publication import Publication
from feltpost_gateway.texts import Text, text

Parsed = TypeVar("Parsed")

LICENCE_CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"

NODE_COLUMNS = (
    "mac",
    "name",
    "owner",
    "site",
    "setting",
    "room",
    "latitude",
    "longitude",
    "elevation_m",
    "kit",
    "metrics",
    "classes",
)
OWNER_COLUMNS = ("name", "title", "contact", "email", "licence")

KEY_BYTES = 16
ALL_METRICS = "*"

_KEY_ID_BYTES = 2
_URN = "urn:dev:mac:"
_LABEL_MAX_CHARS = 64
_TEXT_MAX_CHARS = 200
_METRIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]*")
_MAC = re.compile(r"([0-9A-F]{2}([:-]|(?=$))){6,8}", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_URL = re.compile(r"https?://[^\s<>\"]+")


class OperatorError(PermanentError):
    """What an operator asked for can't be done; the message is in that operator's language."""

    def __init__(self, message: Text) -> None:
        super().__init__(message)
        self.text = message


@dataclass(frozen=True)
class FieldFault:
    """What is wrong in one column, and what to write instead."""

    column: str
    text: Text


class FieldsError(OperatorError):
    """Some columns of a node or an owner can't be taken."""

    def __init__(self, faults: list[FieldFault]) -> None:
        super().__init__(faults[0].text)
        self.faults = faults


@dataclass(frozen=True)
class Node:
    """A node; `eui64` has 8 bytes. `classes` are those that differ from the metrics' own."""

    eui64: bytes
    name: str
    owner: str
    site: str
    setting: Setting = Setting.INDOOR
    room: str | None = None
    position: Position | None = None
    kit: str | None = None
    metrics: tuple[str, ...] = ()
    classes: tuple[tuple[str, Publication], ...] = ()

    @property
    def urn(self) -> str:
        """The node's URN (RFC 9039)."""
        return f"{_URN}{self.eui64.hex()}"

    @property
    def path(self) -> str:
        """What tells the node from others for people: owner/site/name."""
        return f"{self.owner}/{self.site}/{self.name}"

    def describe(self) -> NodeDescription:
        """Return what formats are given of the node."""
        return NodeDescription(
            urn=self.urn,
            name=self.name,
            owner=self.owner,
            site=self.site,
            setting=self.setting,
            room=self.room,
            position=self.position,
            metrics=self.metrics,
        )


@dataclass(frozen=True)
class Owner:
    """Who decides about readings: a short name for topics, and what open data says of them.

    `title` is the full name, `licence` a URL.
    """

    name: str
    title: str
    contact: str = ""
    email: str = ""
    licence: str = LICENCE_CC0


def normalise(value: str) -> str:
    """Return what someone wrote with its letters in one form (NFC), without blanks around it."""
    return unicodedata.normalize("NFC", value).strip()


def is_called(node: Node, reference: str) -> bool:
    """Tell whether `reference` is the node's address, URN, name, or owner/site/name."""
    wanted = normalise(reference).removeprefix(_URN)
    try:
        address = parse_mac(wanted).hex()
    except OperatorError:
        address = wanted.lower()
    return address == node.eui64.hex() or wanted in (node.name, node.path)


def node_from_columns(columns: Mapping[str, str]) -> Node:
    """Return the node that `columns` say; raise `FieldsError` with each that can't be taken.

    A column that is not there counts as empty.
    """
    take = _Columns(columns)
    latitude = take("latitude", _optional(_number(-90, 90)))
    longitude = take("longitude", _optional(_number(-180, 180)))
    elevation_m = take("elevation_m", _optional(_number(-500, 9000)))
    if not take.faults and (latitude is None) != (longitude is None):
        missing = "latitude" if latitude is None else "longitude"
        take.note(missing, text("is empty; a position has latitude and longitude"))
    position = None
    if latitude is not None and longitude is not None:
        position = Position(latitude, longitude, elevation_m)
    elif elevation_m is not None:
        take.note("latitude", text("is empty; a position has latitude and longitude"))
    eui64 = take("mac", parse_mac)
    name, owner, site = take("name", _label), take("owner", _label), take("site", _label)
    setting = take("setting", _setting)
    room, kit = take("room", _optional(_short)), take("kit", _optional(_short))
    metrics, classes = take("metrics", _metrics), take("classes", parse_classes)
    if take.faults or eui64 is None or name is None or owner is None or site is None:
        raise FieldsError(take.faults)
    return Node(
        eui64=eui64,
        name=name,
        owner=owner,
        site=site,
        setting=setting or Setting.INDOOR,
        room=room,
        position=position,
        kit=kit,
        metrics=metrics or (),
        classes=classes or (),
    )


def node_to_columns(node: Node) -> dict[str, str]:
    """Return a node as texts; `node_from_columns` makes the same node of them."""
    place = node.position
    return {
        "mac": format_mac(node.eui64),
        "name": node.name,
        "owner": node.owner,
        "site": node.site,
        "setting": node.setting,
        "room": node.room or "",
        "latitude": _written(None if place is None else place.latitude),
        "longitude": _written(None if place is None else place.longitude),
        "elevation_m": _written(None if place is None else place.elevation_m),
        "kit": node.kit or "",
        "metrics": " ".join(node.metrics),
        "classes": format_classes(node.classes),
    }


def owner_from_columns(columns: Mapping[str, str]) -> Owner:
    """Return the owner that `columns` say; raise `FieldsError` with each that can't be taken."""
    take = _Columns(columns)
    name, title, contact = take("name", _label), take("title", _short), take("contact", _short)
    email = take("email", _matching(_EMAIL, text("is not an e-mail address")))
    licence = take("licence", _matching(_URL, text("is not the URL of a licence")))
    if take.faults or name is None:
        raise FieldsError(take.faults)
    return Owner(name, title or name, contact or "", email or "", licence or LICENCE_CC0)


def owner_to_columns(owner: Owner) -> dict[str, str]:
    """Return an owner as texts; `owner_from_columns` makes the same owner of them."""
    return {column: getattr(owner, column) for column in OWNER_COLUMNS}


def parse_mac(value: str) -> bytes:
    """Return the EUI-64 of a MAC address, `fffe` put in the middle of 48 bits (RFC 9039)."""
    octets = bytes.fromhex(re.sub("[:-]", "", value)) if _MAC.fullmatch(value) else b""
    if len(octets) == 6:
        return octets[:3] + b"\xff\xfe" + octets[3:]
    if len(octets) == 7:
        raise OperatorError(text("has 56 bits; a MAC address has 48 or 64"))
    if len(octets) != 8:
        raise OperatorError(text('is not a MAC address, such as "02:00:00:00:00:01"'))
    return octets


def format_mac(eui64: bytes) -> str:
    """Return an EUI-64 as `parse_mac` reads it, in 48 bits where it was made of 48."""
    octets = eui64[:3] + eui64[5:] if eui64[3:5] == b"\xff\xfe" else eui64
    return octets.hex(":")


def parse_key_id(value: str) -> bytes:
    """Return a key id; `0x` may stand before it, which keeps spreadsheets from reading a number."""
    digits = value.lower().removeprefix("0x")
    if not re.fullmatch(r"([0-9a-f]{2}){1,7}", digits):
        raise OperatorError(text('is not 1 to 7 bytes in hexadecimal, such as "0x01"'))
    return bytes.fromhex(digits)


def parse_key(value: str) -> bytes:
    """Return an OSCORE master secret; the error does not show it."""
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * KEY_BYTES}}}", value):
        raise OperatorError(text("is not {count} bytes in hexadecimal", count=KEY_BYTES))
    return bytes.fromhex(value)


def make_key(taken: Collection[bytes]) -> tuple[bytes, bytes]:
    """Return the id, not one of those `taken`, and the secret of a new key."""
    key_id = secrets.token_bytes(_KEY_ID_BYTES)
    while key_id in taken:
        key_id = secrets.token_bytes(_KEY_ID_BYTES)
    return key_id, secrets.token_bytes(KEY_BYTES)


def parse_class(value: str) -> Publication:
    """Return a publication class."""
    try:
        return Publication(value)
    except ValueError:
        raise OperatorError(
            text("{value} is not a class; there are open, internal and private", value=value)
        ) from None


def parse_metric(value: str) -> str:
    """Return the name of a metric, such as `co2`."""
    if not _METRIC.fullmatch(value) or len(value) > _LABEL_MAX_CHARS:
        raise OperatorError(text("{value} is not the name of a metric", value=value))
    return value


def parse_classes(value: str) -> tuple[tuple[str, Publication], ...]:
    """Return what `metric=class metric=class …` says, in the order of the metrics."""
    classes: dict[str, Publication] = {}
    for item in value.split():
        metric, equals, name = item.partition("=")
        if not equals:
            raise OperatorError(
                text('"{value}" is not a metric and its class, such as co2=open', value=item)
            )
        if metric != ALL_METRICS:
            parse_metric(metric)
        if metric in classes:
            raise OperatorError(text("{value} has two classes", value=metric))
        classes[metric] = parse_class(name)
    return tuple(sorted(classes.items()))


def format_classes(classes: tuple[tuple[str, Publication], ...]) -> str:
    """Return classes as `parse_classes` reads them."""
    return " ".join(f"{metric}={name}" for metric, name in classes)


class _Columns:
    """Takes columns one by one and collects what is wrong with them."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self.faults: list[FieldFault] = []

    def __call__(self, column: str, parse: Callable[[str], Parsed]) -> Parsed | None:
        """Return what a column says, None where that can't be taken."""
        try:
            return parse(normalise(self._columns.get(column, "")))
        except OperatorError as error:
            self.note(column, error.text)
            return None

    def note(self, column: str, message: Text) -> None:
        self.faults.append(FieldFault(column, message))


def _optional(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed | None]:
    return lambda value: parse(value) if value else None


def _label(value: str) -> str:
    if not value:
        raise OperatorError(text("is empty"))
    if len(value) > _LABEL_MAX_CHARS:
        raise OperatorError(text("has more than {count} characters", count=_LABEL_MAX_CHARS))
    if any(not c.isprintable() or c in "/+#" for c in value):
        raise OperatorError(
            text("has a character that MQTT topics don't allow (/, +, # or a control)")
        )
    return value


def _short(value: str) -> str:
    if len(value) > _TEXT_MAX_CHARS:
        raise OperatorError(text("has more than {count} characters", count=_TEXT_MAX_CHARS))
    if not value.isprintable():
        raise OperatorError(text("has a line break or another control character"))
    return value


def _number(least: int, most: int) -> Callable[[str], float]:
    def parse(value: str) -> float:
        # A comma is what Danish spreadsheets write.
        if not re.fullmatch(r"-?[0-9]{1,6}([.,][0-9]{1,12})?", value):
            raise OperatorError(text("{value} is not a number", value=value))
        number = float(value.replace(",", "."))
        if not least <= number <= most:
            raise OperatorError(
                text(
                    "{value} is not between {least} and {most}", value=value, least=least, most=most
                )
            )
        return number

    return parse


def _written(value: float | None) -> str:
    return "" if value is None else number(Decimal(repr(value)))


def _setting(value: str) -> Setting:
    try:
        return Setting(value or Setting.INDOOR)
    except ValueError:
        raise OperatorError(
            text("{value} is not a setting; there are indoor, outdoor and water", value=value)
        ) from None


def _metrics(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parse_metric(item) for item in value.split()))


def _matching(pattern: re.Pattern[str], fault: Text) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value and not pattern.fullmatch(value):
            raise OperatorError(fault)
        return value

    return parse
