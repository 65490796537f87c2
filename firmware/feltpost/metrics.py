"""The metrics that have a short name on the wire, and their units (docs/protocol.md).

Of use while the node starts, and not in memory after that: it encodes each channel's name once.
"""

from micropython import const

from . import cbor

# RFC 8428 table 4.
_NAME = const(0)
_UNIT = const(1)
_VALUE = const(2)
# These labels, and the heads of two strings.
_LABELS_BYTES = const(7)

# metric: (short name as it goes on the wire, SenML unit)
_METRICS = {
    "temperature": (b"t", "Cel"),
    "relativeHumidity": (b"h", "%RH"),
    "co2": (b"c", "ppm"),
    "illuminance": (b"l", "lx"),
    "waterLevel": (b"w", "m"),
    "atmosphericPressure": (b"p", "hPa"),
    "distance": (b"d", "m"),
    "voltage": (b"v", "V"),
}


def own_unit(name):
    """Return the metric's own SenML unit, or None for a metric that the table doesn't know.

    ``name`` is a metric, or a channel's name: a metric with a dot and a place or number.
    """
    entry = _METRICS.get(name.split(".", 1)[0])
    return entry[1] if entry else None


def wire_name(name):
    """Return a channel's name as it goes on the wire, UTF-8: with the metric shortened."""
    entry = _METRICS.get(name)
    if entry:
        return entry[0]
    metric, dot, place = name.partition(".")
    entry = _METRICS.get(metric)
    if entry:
        return entry[0] + (dot + place).encode()
    return name.encode()


def fields(name, unit):
    """Return what all records of a channel share, as senml.Pack takes it.

    unit: SenML's, None or the metric's own is left out. In CBOR: unit where there is one, name, and
    the label of the value, which follows: the first byte, a label, tells whether there is a unit.
    """
    encoded_name = wire_name(name)
    encoded_unit = b"" if unit is None or unit == own_unit(name) else unit.encode()
    encoder = cbor.Encoder(bytearray(_LABELS_BYTES + len(encoded_name) + len(encoded_unit)))
    if encoded_unit:
        encoder.int(_UNIT)
        encoder.text(encoded_unit)
    encoder.int(_NAME)
    encoder.text(encoded_name)
    encoder.int(_VALUE)
    return bytes(encoder.view())
