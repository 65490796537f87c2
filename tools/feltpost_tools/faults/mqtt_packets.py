"""Just enough of MQTT 3.1.1 and 5 to know packets on a stream, and which PUBACK is of what.

Numbers are those of the OASIS standards: section 2.1 (fixed header), 3.1 (CONNECT), 3.3 (PUBLISH)
and 3.4 (PUBACK).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_LENGTH_BYTES_MOST = 4
_MQTT_5 = 5
_FAILURE = 0x80


class PacketKind(IntEnum):
    """The control packets that matter here; the upper half of a packet's first byte."""

    CONNECT = 1
    PUBLISH = 3
    PUBACK = 4


@dataclass(frozen=True)
class Published:
    """A PUBLISH with QoS 1. properties: its user properties; none in MQTT 3.1.1."""

    topic: str
    properties: tuple[tuple[str, str], ...]
    payload: bytes


def split(buffer: bytearray) -> Iterator[bytes]:
    """Take the complete packets off the front of a stream."""
    while (length := _packet_length(buffer)) is not None and length <= len(buffer):
        packet = bytes(buffer[:length])
        del buffer[:length]
        yield packet


def kind_of(packet: bytes) -> int:
    """Return the kind of a packet, one of PacketKind or another."""
    return packet[0] >> 4


def speaks_5(connect: bytes) -> bool:
    """Tell whether a CONNECT begins a connection of MQTT 5."""
    body = _body(connect)
    name_bytes = int.from_bytes(body[:2], "big")
    return body[2 + name_bytes] >= _MQTT_5


def published(publish: bytes, *, mqtt_5: bool) -> tuple[int, Published] | None:
    """Return the packet identifier and the content of a PUBLISH; None with another QoS than 1."""
    if publish[0] >> 1 & 3 != 1:
        return None
    body = _body(publish)
    topic_end = 2 + int.from_bytes(body[:2], "big")
    rest = body[topic_end + 2 :]
    pairs: tuple[tuple[str, str], ...] = ()
    if mqtt_5:
        properties, length = Properties(PacketTypes.PUBLISH).unpack(rest)
        # paho sets the attributes of Properties by name, which its types do not show.
        pairs = tuple(getattr(properties, "UserProperty", ()))
        rest = rest[length:]
    packet_id = int.from_bytes(body[topic_end : topic_end + 2], "big")
    return packet_id, Published(body[2:topic_end].decode(), pairs, rest)


def acknowledged(puback: bytes) -> tuple[int, bool]:
    """Return a PUBACK's packet identifier, and whether the broker has taken the message."""
    body = _body(puback)
    # MQTT 5 leaves the reason code out where it is 0.
    return int.from_bytes(body[:2], "big"), len(body) < 3 or body[2] < _FAILURE


def _packet_length(buffer: bytes | bytearray) -> int | None:
    length = 0
    for place, byte in enumerate(buffer[1 : 1 + _LENGTH_BYTES_MOST]):
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return 2 + place + length
    return None


def _body(packet: bytes) -> bytes:
    start = 1
    while packet[start] >= 0x80:
        start += 1
    return packet[start + 1 :]
