"""NGSI-LD: entities that the models' schemas take, and every reading in them once."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.readings import (
    JOURNAL,
    SCHOOL,
    SCHOOL_READINGS,
    STREAM,
    STREAM_READINGS,
    at,
    number_on,
)
from tests.gateway.test_formats import FEWER, packs, read_json

from feltpost_gateway import formats
from feltpost_gateway.formats.base import NodeDescription, Reading, Setting

SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in Path(__file__).with_name("schemas").glob("*.json")
}
REGISTRY: Any = referencing.Registry().with_contents(
    (schema["$id"], schema) for schema in SCHEMAS.values()
)
FORMATS = jsonschema.FormatChecker(())
FORMATS.checks("date-time", ValueError)(datetime.fromisoformat)
# What our entities have beyond their models.
EXTRA = {"refDevice"}
OWN_ATTRIBUTE = re.compile(r"reading_[A-Za-z0-9_]+")


def batches(node: NodeDescription, readings: list[Reading]) -> list[list[dict[str, Any]]]:
    messages = formats.load("ngsi-ld").messages(node, JOURNAL, readings)
    return [read_json(message.payload) for message in messages]


def key_values(entity: dict[str, Any]) -> dict[str, Any]:
    """The simplified form: each attribute's value in place of the attribute."""

    def simple(attribute: Any) -> Any:
        if not isinstance(attribute, dict):
            return attribute
        value = attribute.get("value", attribute.get("object"))
        return value.get("@value", value) if isinstance(value, dict) else value

    return {key: simple(value) for key, value in entity.items() if key != "@context"}


def errors_of(entity: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(
        SCHEMAS[entity["type"]],
        registry=REGISTRY,
        format_checker=FORMATS,
    )
    return [error.message for error in validator.iter_errors(key_values(entity))]


def known_properties(model: str) -> set[str]:
    common = SCHEMAS["common"]["$defs"]["entity"]["properties"]
    return {*SCHEMAS[model]["properties"], *common, *EXTRA}


def check_form(entity: dict[str, Any]) -> None:
    """The normalised form of ETSI GS CIM 009, section 4.5, and no attribute that is unknown."""
    assert entity["id"].startswith(f"urn:ngsi-ld:{entity['type']}:")
    assert entity["@context"][-1].startswith("https://uri.etsi.org/ngsi-ld/")
    for name, attribute in entity.items():
        if name in ("id", "type", "@context"):
            continue
        member = {"Property": "value", "GeoProperty": "value", "Relationship": "object"}
        assert member[attribute["type"]] in attribute, name
        assert name in known_properties(entity["type"]) or (
            entity["type"] == "Device" and OWN_ATTRIBUTE.fullmatch(name)
        ), name


@pytest.mark.parametrize(
    ("node", "readings"), [(SCHOOL, SCHOOL_READINGS), (STREAM, STREAM_READINGS)]
)
def test_the_models_schemas_take_the_golden_packs(
    node: NodeDescription, readings: list[Reading]
) -> None:
    for batch in batches(node, readings):
        for entity in batch:
            check_form(entity)
            assert errors_of(entity) == []


def test_the_schemas_refuse_what_a_mistake_would_make() -> None:
    """So that the tests above can fail: percent for a fraction, a text, a time that is none."""
    (batch,) = batches(STREAM, STREAM_READINGS[:5])
    (humid,) = [entity for entity in batch if "relativeHumidity" in entity]
    humid["relativeHumidity"]["value"] = 97
    humid["temperature"] = {"type": "Property", "value": "8"}
    humid["dateObserved"]["value"]["@value"] = "yesterday"
    assert len(errors_of(humid)) == 3


@FEWER
@given(packs, st.sampled_from(Setting))
def test_any_readings_give_valid_entities_that_have_each_of_them_once(
    readings: list[Reading], setting: Setting
) -> None:
    node = replace(SCHOOL, setting=setting)
    attributes: Counter[str] = Counter()
    for batch in batches(node, readings):
        assert len({entity["id"] for entity in batch}) == len(batch)
        for entity in batch:
            check_form(entity)
            assert errors_of(entity) == []
            for name, attribute in entity.items():
                if "observedAt" in attribute:
                    attributes[name] += 1
    # A water level that is not negative is in two models.
    assert attributes.total() - attributes["height"] == len(readings)


def test_of_a_node_that_is_not_known_only_that_is_missing() -> None:
    found: set[str] = set()
    for batch in batches(replace(SCHOOL, position=None, metrics=("uptime",)), SCHOOL_READINGS):
        for entity in batch:
            check_form(entity)
            found.update(errors_of(entity))
    assert found == {
        "'location' is a required property",
        "'controlledProperty' is a required property",
    }


def values(node: NodeDescription, *readings: Any) -> dict[str, Any]:
    """(id without its prefix).(attribute): (value, unit) of the readings of one sample."""
    (batch,) = batches(node, number_on(0, *readings))
    return {
        f"{entity['id'].removeprefix('urn:ngsi-ld:')}.{name}": (
            attribute["value"],
            attribute.get("unitCode") or attribute["unitText"]["value"],
        )
        for entity in batch
        for name, attribute in entity.items()
        if "observedAt" in attribute
    }


EUI64 = "020000fffe000001"


def test_the_place_says_which_model() -> None:
    outdoor = replace(SCHOOL, setting=Setting.OUTDOOR)
    reading = at(0, "temperature", "Cel", 3)
    assert values(outdoor, reading) == {f"WeatherObserved:{EUI64}.temperature": (3, "CEL")}
    assert values(outdoor, at(0, "co2", "ppm", 420)) == {
        f"AirQualityObserved:{EUI64}.co2": (420, "59")
    }
    assert values(outdoor, at(0, "temperature.indoor", "Cel", 20)) == {
        f"IndoorEnvironmentObserved:{EUI64}:indoor.temperature": (20, "CEL")
    }
    assert values(SCHOOL, at(0, "temperature.1", "Cel", 20), at(0, "temperature.2", "Cel", 21)) == {
        f"IndoorEnvironmentObserved:{EUI64}:1.temperature": (20, "CEL"),
        f"IndoorEnvironmentObserved:{EUI64}:2.temperature": (21, "CEL"),
    }


def test_fractions_are_exact() -> None:
    assert values(
        SCHOOL,
        at(0, "relativeHumidity", "%RH", Decimal("41.37")),
        at(0, "batteryLevel", "%", 7),
        at(0, "journalFill", "%", 7),
    ) == {
        f"IndoorEnvironmentObserved:{EUI64}.relativeHumidity": (Decimal("0.4137"), "C62"),
        f"Device:{EUI64}.batteryLevel": (Decimal("0.07"), "C62"),
        f"Device:{EUI64}.reading_journalFill": (7, "P1"),
    }


def test_what_no_model_has_or_takes_is_the_devices() -> None:
    assert values(
        SCHOOL,
        at(0, "sensorFault.scd41", "/", 3),
        at(0, "temperature", "Cel", -4),
        at(0, "a_b", "Wh/km", 1),
        at(0, "a-b", "Wh/km", 2),
        at(0, "type", "V", 3),
    ) == {
        f"Device:{EUI64}:scd41.reading_sensorFault": (3, "C62"),
        f"Device:{EUI64}.reading_temperature": (-4, "CEL"),
        f"Device:{EUI64}.reading_a_5fb": (1, "Wh/km"),
        f"Device:{EUI64}.reading_a_2db": (2, "Wh/km"),
        f"Device:{EUI64}.reading_type": (3, "VLT"),
    }
    outdoor = replace(SCHOOL, setting=Setting.OUTDOOR)
    assert values(outdoor, at(0, "relativeHumidity", "%RH", 120)) == {
        f"Device:{EUI64}.reading_relativeHumidity": (Decimal("1.2"), "C62")
    }
