"""SenML in JSON (RFC 8428 section 5), the default format."""

from collections.abc import Sequence
from decimal import Decimal

from feltpost_gateway.formats.base import Message, NodeDescription, Reading, seqs_of
from feltpost_gateway.formats.json_text import number, text
from feltpost_gateway.senml import Record

CONTENT_TYPE = "application/senml+json"


def messages(node: NodeDescription, journal: int, readings: Sequence[Reading]) -> list[Message]:
    """Return one message with all readings."""
    if not readings:
        return []
    payload = format_readings(node.urn, [reading.record for reading in readings])
    return [Message(payload, seqs_of(readings))]


def format_readings(urn: str, records: list[Record]) -> bytes:
    """Return `records` of the node `urn` (`urn:dev:mac:…`) as a SenML array.

    Times are absolute, in seconds, and numbers are written as the shortest decimal that is exact.
    `q` has a reading's marks (docs/protocol.md), where it has any.
    """
    parts = []
    for index, record in enumerate(records):
        pairs = [f'"bn":{text(urn + "_")}'] if index == 0 else []
        pairs.append(f'"n":{text(record.name)}')
        if record.unit:
            pairs.append(f'"u":{text(record.unit)}')
        if isinstance(record.value, bool):
            pairs.append('"vb":true' if record.value else '"vb":false')
        else:
            pairs.append(f'"v":{number(record.value)}')
        pairs.append(f'"t":{number(Decimal(record.time_ms).scaleb(-3))}')
        if record.marks:
            pairs.append(f'"q":{record.marks}')
        parts.append("{" + ",".join(pairs) + "}")
    return ("[" + ",".join(parts) + "]").encode()
