"""NGSI-LD entities (ETSI GS CIM 009) of the Smart Data Models, for a context broker.

Each message is what `POST /ngsi-ld/v1/entityOperations/upsert?options=update` takes: an array of
entities in the normalised form, each with its `@context`. It holds one sample, since within an
array a later entity may replace an earlier one of the same id.

**Entities.** One for each model and place that the sample has values for, called
`urn:ngsi-ld:<model>:<EUI-64>`, with `:<place>` for a channel that names a place. Which model a
metric belongs to follows from where the node stands (`Setting`), or from the channel's place where
that is a setting's name: `temperature.outdoor` of a node in a room is the weather's.

**The device.** What no model has, and what lies outside the bounds that a model's schema sets,
goes to the node's `Device`: nothing is left out. There it is called `reading_<metric>`, which no
vocabulary defines; characters other than letters and digits are written `_` and their code in
hexadecimal.

**Units** are UN/CEFACT codes (Recommendation 20) in `unitCode`; a unit without one is in
`unitText`, as SenML writes it. Fractions of one, not percent, are what the models ask for in
relative humidity and battery level. A reading's marks are its sub-property `q`.

**What isn't known of a node** is left out: without a position there is no `location`, without its
metrics no `controlledProperty`. Context brokers take that; the models' schemas ask for both.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from feltpost_gateway.formats.base import (
    Message,
    NodeDescription,
    Reading,
    Setting,
    iso_time,
    samples,
    seqs_of,
)
from feltpost_gateway.formats.json_text import encode
from feltpost_gateway.senml import Number, Record

CONTENT_TYPE = "application/ld+json"

_CORE_CONTEXT = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"
_MODELS_CONTEXT = (
    "https://raw.githubusercontent.com/smart-data-models/dataModel.{}/master/context.jsonld"
)

_ONE = "C62"
_PERCENT = "P1"
# SenML's units by their UN/CEFACT codes.
_UNIT_CODES = {
    "%": _PERCENT,
    "%EL": _PERCENT,
    "%RH": _PERCENT,
    "/": _ONE,
    "B": "AD",
    "Cel": "CEL",
    "V": "VLT",
    "count": _ONE,
    "hPa": "A97",
    "lx": "LUX",
    "m": "MTR",
    "mV": "2Z",
    "mm": "MMT",
    "ppm": "59",
    "s": "SEC",
    "ug/m3": "GQ",
}

# Percent on the wire, fractions of one in the models.
_FRACTIONS = frozenset(("relativeHumidity", "batteryLevel"))

_SETTINGS = {setting.value: setting for setting in Setting}


@dataclass(frozen=True)
class _Model:
    """A Smart Data Model: its type, the repository it is in, its property for the time."""

    type: str
    repository: str
    time: str = "dateObserved"


@dataclass(frozen=True)
class _Target:
    """An attribute of a model, and the bounds that the model's schema sets, if any."""

    model: _Model
    attribute: str
    minimum: int | None = None
    maximum: int | None = None

    def takes(self, value: Number | bool) -> bool:
        return (
            not isinstance(value, bool)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
        )


_INDOOR = _Model("IndoorEnvironmentObserved", "Environment")
_AIR = _Model("AirQualityObserved", "Environment")
_WEATHER = _Model("WeatherObserved", "Weather")
_WATER = _Model("WaterObserved", "Environment")
_WATER_QUALITY = _Model("WaterQualityObserved", "WaterQuality")
_FLOOD = _Model("FloodMonitoring", "Environment", "observationDateTime")
_DEVICE = _Model("Device", "Device", "dateLastValueReported")


def _named(model: _Model, *metrics: str) -> dict[str, tuple[_Target, ...]]:
    """Return the targets of metrics that `model` has under the same names, from 0 on."""
    return {metric: (_Target(model, metric, 0),) for metric in metrics}


# FloodMonitoring reckons its current level from any reference; WaterObserved's height, and the
# temperature in a room, have 0 as their least value.
_ANYWHERE: dict[str, tuple[_Target, ...]] = {
    "waterLevel": (_Target(_WATER, "height", 0), _Target(_FLOOD, "currentLevel")),
    "batteryLevel": (_Target(_DEVICE, "batteryLevel", 0, 1),),
    "rssi": (_Target(_DEVICE, "rssi"),),
    **_named(_AIR, "pm1", "pm25", "pm10"),
}
_OPEN_AIR = {
    **_ANYWHERE,
    "temperature": (_Target(_WEATHER, "temperature"),),
    "relativeHumidity": (_Target(_WEATHER, "relativeHumidity", 0, 1),),
    **_named(_WEATHER, "illuminance", "atmosphericPressure"),
    **_named(_AIR, "co2"),
}
_TARGETS = {
    Setting.INDOOR: {
        **_ANYWHERE,
        **_named(_INDOOR, "temperature", "relativeHumidity", "co2"),
        **_named(_INDOOR, "illuminance", "atmosphericPressure"),
    },
    Setting.OUTDOOR: _OPEN_AIR,
    Setting.WATER: {
        **_OPEN_AIR,
        "temperature": (_Target(_WATER_QUALITY, "temperature"),),
        "distance": (_Target(_FLOOD, "measuredDistance"),),
    },
}

# What Device calls the properties that a device can measure, as far as it has a word for ours.
_CONTROLLED_PROPERTIES = {
    "temperature": "temperature",
    "relativeHumidity": "humidity",
    "co2": "airPollution",
    "pm1": "airPollution",
    "pm25": "airPollution",
    "pm10": "airPollution",
    "illuminance": "light",
    "atmosphericPressure": "atmosphericPressure",
    "waterLevel": "depth",
    "motion": "motion",
    "soilMoisture": "soilMoisture",
}

_Entity = dict[str, object]


def messages(node: NodeDescription, journal: int, readings: Sequence[Reading]) -> list[Message]:
    """Return one message for each sample: its entities, a batch to upsert."""
    return [
        Message(encode(_entities(node, sample)).encode(), seqs_of(sample))
        for sample in samples(readings)
    ]


def _entities(node: NodeDescription, sample: list[Reading]) -> list[_Entity]:
    time = iso_time(sample[0].record.time_ms)
    entities: dict[str, _Entity] = {}
    for reading in sample:
        record = reading.record
        metric, dot, place = record.name.partition(".")
        setting = _SETTINGS.get(place, node.setting)
        value, unit = _converted(metric, record)
        targets = [t for t in _TARGETS[setting].get(metric, ()) if t.takes(value)]
        for target in targets or [_Target(_DEVICE, _own_name(metric))]:
            entity_id = _entity_id(node, target.model) + (f":{place}" if dot else "")
            if entity_id not in entities:
                entities[entity_id] = _head(node, target.model, entity_id, setting, time)
            entities[entity_id][target.attribute] = _attribute(record, value, unit, time)
    return list(entities.values())


def _entity_id(node: NodeDescription, model: _Model) -> str:
    return f"urn:ngsi-ld:{model.type}:{node.urn.removeprefix('urn:dev:mac:')}"


def _head(
    node: NodeDescription, model: _Model, entity_id: str, setting: Setting, time: str
) -> _Entity:
    """Return an entity of `model` without its values."""
    head: _Entity = {
        "id": entity_id,
        "type": model.type,
        # The core context comes last, since JSON-LD takes a term from the last that has it.
        "@context": [_MODELS_CONTEXT.format(model.repository), _CORE_CONTEXT],
        model.time: _property({"@type": "DateTime", "@value": time}),
        "name": _property(node.name),
        "areaServed": _property(node.site),
        "dataProvider": _property(node.owner),
    }
    if node.position is not None:
        point = [node.position.longitude, node.position.latitude]
        if node.position.elevation_m is not None:
            point.append(node.position.elevation_m)
        head["location"] = {
            "type": "GeoProperty",
            "value": {"type": "Point", "coordinates": point},
        }
    if model is _DEVICE:
        head["category"] = _property(["sensor"])
        words = {word for m in node.metrics if (word := _CONTROLLED_PROPERTIES.get(m))}
        # An empty array is no value at all in JSON-LD.
        if words:
            head["controlledProperty"] = _property(sorted(words))
        if node.room is not None:
            head["relativePosition"] = _property(node.room)
    else:
        head["refDevice"] = {"type": "Relationship", "object": _entity_id(node, _DEVICE)}
    if model is _AIR:
        indoor = setting is Setting.INDOOR
        head["typeofLocation"] = _property("indoor" if indoor else "outdoor")
    return head


def _property(value: object) -> dict[str, object]:
    return {"type": "Property", "value": value}


def _attribute(
    record: Record, value: Number | bool, unit: dict[str, object], time: str
) -> dict[str, object]:
    attribute = _property(value) | unit | {"observedAt": time}
    if record.marks:
        attribute["q"] = _property(record.marks)
    return attribute


def _converted(metric: str, record: Record) -> tuple[Number | bool, dict[str, object]]:
    """Return the value as the models want it, and the member that says its unit."""
    value = record.value
    if isinstance(value, bool) or not record.unit:
        return value, {}
    code = _UNIT_CODES.get(record.unit)
    if code is None:
        return value, {"unitText": _property(record.unit)}
    if code == _PERCENT and metric in _FRACTIONS:
        return Decimal(str(value)).scaleb(-2), {"unitCode": _ONE}
    return value, {"unitCode": code}


def _own_name(metric: str) -> str:
    """Return an attribute name for a metric without a model, another one for each metric.

    An underscore of the metric's own is written out as well, so that none stands for two.
    """
    escaped = re.sub(r"[^A-Za-z0-9]", lambda match: f"_{ord(match[0]):02x}", metric)
    return f"reading_{escaped}"
