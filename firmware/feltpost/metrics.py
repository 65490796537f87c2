"""The metrics that have a short name on the wire, and their units (docs/protocol.md)."""

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


def unit(name):
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
