"""Two nodes and a pack of each, for the tests of formats."""

from __future__ import annotations

from decimal import Decimal

from feltpost_gateway.formats.base import NodeDescription, Position, Reading, Setting
from feltpost_gateway.senml import Number, Record

TIME_MS = 1_790_000_000_000
JOURNAL = 9

SCHOOL = NodeDescription(
    urn="urn:dev:mac:020000fffe000001",
    name="node-01",
    owner="favrskov",
    site="Rønbækskolen",
    room='3.B "fløj Æ"',
    setting=Setting.INDOOR,
    position=Position(56.3245, 9.9381),
    metrics=("co2", "temperature", "relativeHumidity", "uptime"),
)
STREAM = NodeDescription(
    urn="urn:dev:mac:020000fffe000002",
    name="node-02",
    owner="favrskov",
    site="Lilleå",
    setting=Setting.WATER,
    position=Position(56.35, 9.98, 21.4),
    metrics=("waterLevel", "temperature"),
)


def number_on(first: int, *records: Record) -> list[Reading]:
    return [Reading(first + index, record) for index, record in enumerate(records)]


def at(seconds: float, name: str, unit: str, value: Number | bool, marks: int = 0) -> Record:
    return Record(name, unit, value, TIME_MS + round(1000 * seconds), marks)


# Out of the order of time, with numbers of each kind, marks, places, and what no model knows.
SCHOOL_READINGS = number_on(
    40,
    at(0, "temperature", "Cel", Decimal("21.37")),
    at(0, "relativeHumidity", "%RH", Decimal("41.5")),
    at(0, "co2", "ppm", 812),
    at(0, "temperature.outdoor", "Cel", Decimal("-3.25"), 4),
    at(300, "temperature", "Cel", 21, 1),
    at(300, "doorOpen", "", True),
    at(300, "sensorFault.scd41", "/", 1),
    at(0, "illuminance", "lx", 310),
    at(300.5, "batteryLevel", "%EL", 87),
    at(300.5, "rssi", "dBm", -67),
    at(300.5, "pm25", "ug/m3", 7.1),
)
STREAM_READINGS = number_on(
    0,
    at(0, "waterLevel", "m", Decimal("0.412")),
    at(0, "distance", "m", Decimal("2.031")),
    at(0, "temperature", "Cel", Decimal("8.25")),
    at(0, "temperature.outdoor", "Cel", Decimal("-1.5")),
    at(0, "relativeHumidity", "%RH", 97),
    at(900, "waterLevel", "m", Decimal("-0.05")),
)
