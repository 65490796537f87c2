"""For OS2iot, and for anything else that wants one flat JSON object for each sample.

OS2iot takes JSON only, stamps a message when it arrives and keeps the latest one of a device. So
each object has its own time, and they go out oldest first.

A key that begins with a letter or a digit is a channel, its value a number or a truth value.
Channels' names can't begin otherwise (RFC 8428 section 4.5.1), so keys of ours, which begin with
`_`, never meet one:

`_time`: when it was measured, ISO 8601, UTC.
`_journal`, `_seq`: the journal, and the sequence number of the object's first reading. An object
whose two numbers have come before is a repetition.
`_unit_<channel>`: SenML's unit of a number whose metric isn't in the table of docs/protocol.md.
`_q_<channel>`: the reading's marks (docs/protocol.md), where it has any.
"""

from collections.abc import Sequence

from feltpost_gateway import metrics
from feltpost_gateway.formats.base import (
    Message,
    NodeDescription,
    Reading,
    iso_time,
    samples,
    seqs_of,
)
from feltpost_gateway.formats.json_text import encode

CONTENT_TYPE = "application/json"


def messages(node: NodeDescription, journal: int, readings: Sequence[Reading]) -> list[Message]:
    """Return one message for each sample."""
    return [
        Message(encode(_flat(journal, sample)).encode(), seqs_of(sample))
        for sample in samples(readings)
    ]


def _flat(journal: int, sample: list[Reading]) -> dict[str, object]:
    flat: dict[str, object] = {
        "_time": iso_time(sample[0].record.time_ms),
        "_journal": journal,
        "_seq": sample[0].seq,
    }
    for reading in sample:
        record = reading.record
        flat[record.name] = record.value
        if record.unit and metrics.metric_of(record.name) is None:
            flat[f"_unit_{record.name}"] = record.unit
        if record.marks:
            flat[f"_q_{record.name}"] = record.marks
    return flat
