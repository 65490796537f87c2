"""What every format has in common: what it is given, what it gives back, how samples are grouped.

A format is a module with the two members of `Format`. It knows nothing of brokers, topics and
cursors: those are the forwarder's.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from feltpost_gateway.errors import PackError
from feltpost_gateway.senml import Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Setting(StrEnum):
    """Where a node measures: in a room, in the open air, or in or over open water."""

    INDOOR = "indoor"
    OUTDOOR = "outdoor"
    WATER = "water"


@dataclass(frozen=True)
class Position:
    """A place by WGS 84: degrees north, degrees east, and metres above the ellipsoid, if known."""

    latitude: float
    longitude: float
    elevation_m: float | None = None


@dataclass(frozen=True)
class NodeDescription:
    """What the gateway knows of the node whose readings go out.

    `urn` is `urn:dev:mac:` and the EUI-64 in hexadecimal (RFC 9039). `metrics` are the metrics that
    the node is there to measure, as far as they are known.
    """

    urn: str
    name: str
    owner: str
    site: str
    setting: Setting
    room: str | None = None
    position: Position | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """A record and its sequence number in its journal."""

    seq: int
    record: Record


@dataclass(frozen=True)
class Message:
    """One MQTT payload, and the sequence numbers of the readings in it, ascending.

    A pack is delivered once the broker has acknowledged all messages that were made of it.
    """

    payload: bytes
    seqs: tuple[int, ...]


class Format(Protocol):
    """A format's module."""

    CONTENT_TYPE: str
    """The media type of each payload, for MQTT 5's content type property."""

    def messages(
        self, node: NodeDescription, journal: int, readings: Sequence[Reading]
    ) -> list[Message]:
        """Return the messages that carry `readings`, each reading in one of them.

        `readings` are those of one stored pack, in its order, that a destination is to have; of
        none, no message is made. The same readings give the same messages, byte by byte. Messages
        are to be published in their order.

        Raises `PackError` for a reading that the format can't say.
        """


def samples(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Return `readings` grouped by their time, oldest first.

    A channel that has two values at one time begins another group, so that none hides the other.
    """
    groups: dict[tuple[int, int], list[Reading]] = {}
    seen: Counter[tuple[int, str]] = Counter()
    for reading in readings:
        channel = reading.record.time_ms, reading.record.name
        groups.setdefault((reading.record.time_ms, seen[channel]), []).append(reading)
        seen[channel] += 1
    return [groups[key] for key in sorted(groups)]


def seqs_of(readings: Sequence[Reading]) -> tuple[int, ...]:
    """Return the sequence numbers of `readings`, ascending."""
    return tuple(sorted(reading.seq for reading in readings))


def iso_time(time_ms: int) -> str:
    """Return Unix milliseconds in ISO 8601, UTC, such as `2026-11-22T10:00:00Z`."""
    try:
        time = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        raise PackError(f"its time, {time_ms} ms, is after the year 9999") from None
    precision = "milliseconds" if time.microsecond else "seconds"
    return time.isoformat(timespec=precision).replace("+00:00", "Z")
