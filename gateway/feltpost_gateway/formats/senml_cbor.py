"""SenML in CBOR (RFC 8428 section 6): half the bytes of SenML in JSON.

What goes out is plain SenML. That a short float stands for a decimal is a rule of the node
protocol, which a subscriber does not know.
"""

import struct
from collections.abc import Sequence
from decimal import Decimal

import cbor2

from feltpost_gateway.formats.base import Message, NodeDescription, Reading, seqs_of

CONTENT_TYPE = "application/senml+cbor"

_BN, _BT = -2, -3
_N, _U, _V, _VB, _T = 0, 1, 2, 4, 6
# Ours: docs/protocol.md, "Marks".
_MARKS = "q"


def messages(node: NodeDescription, journal: int, readings: Sequence[Reading]) -> list[Message]:
    """Return one message with all readings.

    The first record has the base name and the base time, which is its own time.
    """
    if not readings:
        return []
    base_ms = readings[0].record.time_ms
    pack: list[dict[int | str, object]] = []
    for reading in readings:
        record = reading.record
        fields: dict[int | str, object] = {_N: record.name}
        if not pack:
            fields |= {_BN: node.urn + "_", _BT: _seconds(base_ms)}
        if record.unit:
            fields[_U] = record.unit
        if isinstance(record.value, bool):
            fields[_VB] = record.value
        else:
            fields[_V] = _number(record.value)
        if record.time_ms != base_ms:
            fields[_T] = _seconds(record.time_ms - base_ms)
        if record.marks:
            fields[_MARKS] = record.marks
        pack.append(fields)
    # Canonical CBOR (RFC 7049 section 3.9) gives floats the shortest width that keeps their value.
    return [Message(cbor2.dumps(pack, canonical=True), seqs_of(readings))]


def _seconds(time_ms: int) -> int | float | Decimal:
    return _number(Decimal(time_ms).scaleb(-3))


def _number(value: int | float | Decimal) -> int | float | Decimal:
    """Return `value` in the short form among those from which every reader gets it back exactly.

    These are integers, floats that need no more than 32 bits, and decimal fractions (tag 4). A
    value that came as a longer float stays one.
    """
    if not isinstance(value, Decimal):
        return value
    if value == value.to_integral_value() and abs(value) < 1 << 64:
        return int(value)
    single = _single(value)
    return value if single is None else single


def _single(value: Decimal) -> float | None:
    try:
        (single,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return None
    return single if single == value else None
