"""SenML in JSON (RFC 8428 section 5), the default format."""

import json
from decimal import Decimal

from feltpost_gateway.senml import Record

CONTENT_TYPE = "application/senml+json"


def format_readings(urn: str, records: list[Record]) -> bytes:
    """Return `records` of the node `urn` (`urn:dev:mac:…`) as a SenML array.

    Times are absolute, in seconds, and numbers are written as the shortest decimal that is exact.
    `q` has a reading's marks (docs/protocol.md), where it has any.
    """
    parts = []
    for index, record in enumerate(records):
        pairs = [f'"bn":{json.dumps(urn + "_")}'] if index == 0 else []
        pairs.append(f'"n":{json.dumps(record.name)}')
        if record.unit:
            pairs.append(f'"u":{json.dumps(record.unit)}')
        if isinstance(record.value, bool):
            pairs.append(f'"vb":{json.dumps(record.value)}')
        else:
            pairs.append(f'"v":{_number(record.value)}')
        pairs.append(f'"t":{_number(Decimal(record.time_ms).scaleb(-3))}')
        if record.marks:
            pairs.append(f'"q":{record.marks}')
        parts.append("{" + ",".join(pairs) + "}")
    return ("[" + ",".join(parts) + "]").encode()


def _number(value: int | float | Decimal) -> str:
    if isinstance(value, Decimal):
        text = format(value, "f")
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return repr(value)
