"""The metrics and units that readings may have (docs/protocol.md, "Packs")."""

from dataclasses import dataclass

from feltpost_gateway.errors import PackError


@dataclass(frozen=True)
class Metric:
    """One row of the protocol's table: its names, its unit, and the values that can be true.

    short: None where it has no short name.
    """

    name: str
    short: str | None
    unit: str
    minimum: int
    maximum: int


_TABLE = (
    Metric("temperature", "t", "Cel", -90, 150),
    Metric("relativeHumidity", "h", "%RH", 0, 100),
    Metric("co2", "c", "ppm", 0, 40_000),
    Metric("illuminance", "l", "lx", 0, 200_000),
    Metric("waterLevel", "w", "m", -500, 9_000),
    Metric("atmosphericPressure", "p", "hPa", 300, 1_100),
    Metric("distance", "d", "m", 0, 100),
    Metric("voltage", "v", "V", -1_000, 1_000),
    Metric("pm1", None, "ug/m3", 0, 65_535),
    Metric("pm25", None, "ug/m3", 0, 65_535),
    Metric("pm10", None, "ug/m3", 0, 65_535),
    Metric("contact", None, "/", 0, 1),
    Metric("openings", None, "count", 0, 2**32),
    Metric("motion", None, "count", 0, 2**32),
    Metric("uptime", None, "s", 0, 2**40),
    Metric("freeHeap", None, "B", 0, 2**32),
    Metric("rssi", None, "dBm", -127, 20),
    Metric("journalFill", None, "%", 0, 100),
    Metric("readingsLost", None, "count", 0, 2**32),
    Metric("retries", None, "count", 0, 2**32),
    Metric("resetCause", None, "/", 0, 255),
    Metric("sensorFault", None, "/", 0, 255),
)
_BY_NAME = {metric.name: metric for metric in _TABLE}
_BY_SHORT = {metric.short: metric for metric in _TABLE if metric.short}

# RFC 8428 section 12.1, and the units that RFC 8798 adds to it.
_UNITS_RFC_8428 = """
    m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 l m/s
    m/s2 m3/s l/s W/m2 cd/m2 bit bit/s lat lon pH dB dBW Bspl count / % %RH %EL EL 1/s 1/min
    beat/min beats S/m
"""
_UNITS_RFC_8798 = """
    B VA VAs var vars J/m kg/m3 deg
    ms min h MHz kW kVA kvar Ah Wh kWh varh kvarh kVAh Wh/km KiB GB Mbit/s B/s MB/s mV mA dBm
    ug/m3 mm/h m/h ppm /100 /1000 hPa mm cm km km/h
"""
UNITS = frozenset((_UNITS_RFC_8428 + _UNITS_RFC_8798).split())


def full_name(name: str) -> str:
    """Return `name` with a short metric name before its first dot written out."""
    head, dot, place = name.partition(".")
    metric = _BY_SHORT.get(head)
    return f"{metric.name}{dot}{place}" if metric else name


def metric_of(name: str) -> Metric | None:
    """Return the table's row for a full name such as `temperature.outdoor`, if it has one."""
    return _BY_NAME.get(name.partition(".")[0])


def unit_of(name: str, given: str | None) -> str:
    """Return the unit of the number called `name`; raise `PackError` where it has none it may have.

    A metric of the table has one unit, since its range is given in it.
    """
    metric = metric_of(name)
    if given is not None and given not in UNITS:
        raise PackError(f"{given!r} is not a unit of RFC 8428 or RFC 8798")
    if metric is None:
        if given is None:
            raise PackError(f"{name} is not in the table of metrics and names no unit")
        return given
    if given is not None and given != metric.unit:
        raise PackError(f"{metric.name} is reported in {metric.unit}, not in {given}")
    return metric.unit
