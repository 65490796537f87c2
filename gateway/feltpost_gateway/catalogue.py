"""What goes with exported data: a data dictionary, and a catalogue entry for data portals.

The dictionary is a CSV on the Web table description (W3C, "Metadata Vocabulary for Tabular Data").
The entry is a catalogue of one dataset by DCAT-AP-DK 2.1 in JSON-LD, with its mandatory properties
and those recommended ones that the registry can fill. Both are in English and Danish.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feltpost_gateway import metrics
from feltpost_gateway.danish import DANISH
from feltpost_gateway.export import Export, ExportRow, Wanted
from feltpost_gateway.export_files import COLUMNS, FACTS, FileFormat
from feltpost_gateway.formats.base import iso_time
from feltpost_gateway.nodes import Owner
from feltpost_gateway.publication import Publication

Json = Any

_CSVW = "http://www.w3.org/ns/csvw"
_EU = "http://publications.europa.eu/resource/authority"
_CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "gsp": "http://www.opengis.net/ont/geosparql#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_ACCESS = {
    Publication.OPEN: "PUBLIC",
    Publication.INTERNAL: "RESTRICTED",
    Publication.PRIVATE: "NON_PUBLIC",
}
_HASH_BYTES = 1 << 20


def both(english: str) -> dict[str, str]:
    """Return a text by its language."""
    return {"en": english, "da": DANISH[english]}


_DATATYPES = {
    "time": "dateTime",
    "node": "anyURI",
    "latitude": "double",
    "longitude": "double",
    "marks": "integer",
    "journal": "integer",
    "seq": "integer",
}


def _descriptions() -> dict[str, dict[str, str]]:
    return {
        "time": both("When it was measured, in UTC."),
        "node": both("The node's address, as a URN (RFC 9039)."),
        "name": both("The node's name."),
        "owner": both("Who owns the node and its readings."),
        "site": both("Where the node is."),
        "room": both("The room, where the node is in one."),
        "latitude": both("Degrees north (WGS 84), where known."),
        "longitude": both("Degrees east (WGS 84), where known."),
        "metric": both("What was measured."),
        "place": both("The place or number of the sensor, where a node has more than one."),
        "value": both("The value: a number, or true or false."),
        "unit": both("The unit by RFC 8428 and RFC 8798; empty for true and false."),
        "marks": both(
            "What is to be known of the reading, added up: 1, its time was reconstructed; 2, it"
            " was measured before the time given; 4, it is outside the plausible range."
        ),
        "journal": both("The node's journal, which numbers its readings."),
        "seq": both("The reading's number in its journal; a reading has one, for ever."),
    }


@dataclass
class Summary:
    """What an export turned out to hold; `watch` fills it."""

    readings: int = 0
    first: str = ""
    last: str = ""
    units: dict[str, set[str]] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None
    """West, south, east, north."""

    def watch(self, rows: Iterable[ExportRow]) -> Iterator[ExportRow]:
        """Give `rows` on, and keep what they have in common."""
        for row in rows:
            self.readings += 1
            self.first = min(self.first or row.time, row.time)
            self.last = max(self.last, row.time)
            self.units.setdefault(row.metric, set()).add(row.unit)
            if row.latitude is not None and row.longitude is not None:
                self._widen(row.longitude, row.latitude)
            yield row

    def _widen(self, east: float, north: float) -> None:
        box = self.box or (east, north, east, north)
        self.box = (
            min(box[0], east),
            min(box[1], north),
            max(box[2], east),
            max(box[3], north),
        )


def dictionary(summary: Summary, file: Path) -> str:
    """Return the data dictionary of an export that is in `file`."""
    descriptions = _descriptions()
    columns = [
        {
            "name": name,
            "titles": name,
            "dc:description": descriptions[name],
            "datatype": _DATATYPES.get(name, "string"),
        }
        for name in COLUMNS
    ]
    table = {
        "@context": [_CSVW, {"@language": "en"}],
        "url": file.name,
        "dialect": {"encoding": "utf-8", "header": True, "delimiter": ","},
        "tableSchema": {"columns": columns, "primaryKey": ["node", "journal", "seq"]},
        "notes": [_metric_note(name, units) for name, units in sorted(summary.units.items())],
    }
    return json.dumps(table, ensure_ascii=False, indent=2) + "\n"


def _metric_note(name: str, units: set[str]) -> dict[str, Json]:
    known = metrics.metric_of(name)
    bounds = {} if known is None else {"minimum": known.minimum, "maximum": known.maximum}
    return {"metric": name, "units": sorted(units), **bounds}


def entry(
    export: Export,
    wanted: Wanted,
    summary: Summary,
    file: Path,
    dictionary_file: Path,
    file_format: FileFormat,
    *,
    now_ms: int,
    base_url: str,
) -> str:
    """Return the catalogue entry of an export that is in `file`.

    `base_url` goes before the names of files; where it is empty, they are relative to the entry's
    own address.
    """
    owner = export.owner()
    names = [name for name in (owner.title, wanted.site, wanted.node) if name]
    catalogue = {
        "@context": _CONTEXT,
        "@type": "dcat:Catalog",
        "dct:title": _said(both("Sensor readings"), ", ".join(names)),
        "dct:description": _said(both("Readings of Feltpost nodes.")),
        "dct:publisher": _agent(owner),
        "dct:issued": _time(iso_time(now_ms)),
        "dcat:dataset": [
            {
                "@type": "dcat:Dataset",
                "dct:identifier": _identifier(owner, wanted),
                "dct:title": _said(both("Sensor readings"), ", ".join(names)),
                "dct:description": _said(
                    both("Readings of sensors, with their time, place, unit and number.")
                ),
                "dct:publisher": _agent(owner),
                "dcat:contactPoint": _contact(owner),
                "dct:issued": _time(iso_time(now_ms)),
                "dct:accessRights": {
                    "@id": f"{_EU}/access-right/{_ACCESS[export.publication]}",
                    "@type": "dct:RightsStatement",
                },
                "dcat:theme": {
                    "@id": f"{_EU}/data-theme/ENVI",
                    "@type": "skos:Concept",
                    "skos:prefLabel": _said(both("Environment")),
                },
                "dcat:keyword": [{"@value": name, "@language": "en"} for name in summary.units],
                **_extent(summary),
                "dcat:distribution": [
                    _distribution(
                        owner, export.publication, file, dictionary_file, file_format, base_url
                    )
                ],
            }
        ],
    }
    return json.dumps(catalogue, ensure_ascii=False, indent=2) + "\n"


def _distribution(
    owner: Owner,
    publication: Publication,
    file: Path,
    dictionary_file: Path,
    file_format: FileFormat,
    base_url: str,
) -> dict[str, Json]:
    facts = FACTS[file_format]
    licence = {"@id": owner.licence, "@type": "dct:LicenseDocument"}
    return {
        "@type": "dcat:Distribution",
        "dct:title": _said(both("Readings as one file")),
        "dcat:accessURL": {"@id": f"{base_url}{file.name}"},
        "dcat:downloadURL": {"@id": f"{base_url}{file.name}"},
        "foaf:page": {"@id": f"{base_url}{dictionary_file.name}", "@type": "foaf:Document"},
        # What is not open is licensed to nobody.
        **({"dct:license": licence} if publication is Publication.OPEN else {}),
        "dct:format": {
            "@id": f"{_EU}/file-type/{facts.file_type}",
            "@type": "dct:MediaTypeOrExtent",
        },
        "dcat:mediaType": {
            "@id": f"https://www.iana.org/assignments/media-types/{facts.media_type}",
            "@type": "dct:MediaType",
        },
        "dcat:byteSize": {"@value": str(file.stat().st_size), "@type": "xsd:decimal"},
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": {"@value": _sha256(file), "@type": "xsd:hexBinary"},
        },
    }


def _extent(summary: Summary) -> dict[str, Json]:
    """Return when and where the readings are from, as far as they say."""
    extent: dict[str, Json] = {}
    if summary.readings:
        extent["dct:temporal"] = {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": _time(summary.first),
            "dcat:endDate": _time(summary.last),
        }
    if summary.box is not None:
        west, south, east, north = summary.box
        corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
        polygon = ", ".join(f"{x!r} {y!r}" for x, y in corners)
        extent["dct:spatial"] = {
            "@type": "dct:Location",
            "dcat:bbox": {"@value": f"POLYGON(({polygon}))", "@type": "gsp:wktLiteral"},
        }
    return extent


def _agent(owner: Owner) -> dict[str, Json]:
    return {"@type": "foaf:Agent", "foaf:name": owner.title}


def _contact(owner: Owner) -> dict[str, Json]:
    address = {"vcard:hasEmail": {"@id": f"mailto:{owner.email}"}} if owner.email else {}
    return {"@type": "vcard:Kind", "vcard:fn": owner.contact or owner.title, **address}


def _said(texts: dict[str, str], of: str = "") -> list[dict[str, str]]:
    return [
        {"@value": f"{said}: {of}" if of else said, "@language": language}
        for language, said in texts.items()
    ]


def _time(iso: str) -> dict[str, str]:
    return {"@value": iso, "@type": "xsd:dateTime"}


def _identifier(owner: Owner, wanted: Wanted) -> str:
    """Return an identifier that later exports of the same kind have as well."""
    parts = (owner.name, wanted.site or "", wanted.node or "", wanted.publication)
    return uuid.uuid5(uuid.NAMESPACE_URL, "feltpost:" + "/".join(parts)).urn


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_HASH_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
