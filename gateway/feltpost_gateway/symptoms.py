"""What a node's own readings say about its health (docs/protocol.md, the last rows of "Packs")."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from feltpost_gateway.events import EventKind
from feltpost_gateway.senml import Record

_FILL_WRONG_PERCENT = 80
_FILL_RIGHT_PERCENT = 70

# What hovers about its bound must not begin and end an event with each reading.
_BATTERY_HYSTERESIS = 0.03

_TIME_MARKS = 1 | 2
_SENSOR_ANSWERS = 0


@dataclass(frozen=True)
class Bounds:
    """Below which voltage (V) and which state of charge (percent) a battery is low."""

    battery_volts: float
    battery_percent: float


@dataclass(frozen=True)
class Symptom:
    """What one reading says about one thing; `wrong` is None where it leaves that open.

    part: the sensor or the channel, empty where a node has only one. value: for the event.
    """

    kind: EventKind
    part: str
    time_ms: int
    wrong: bool | None
    value: str


def find(records: Sequence[Record], bounds: Bounds) -> Iterator[Symptom]:
    """Return what the readings of a pack say."""
    for record in records:
        metric, _, part = record.name.partition(".")
        if isinstance(record.value, bool):
            continue
        value = float(record.value)
        if metric == "journalFill":
            yield Symptom(
                EventKind.JOURNAL_FILLING,
                part,
                record.time_ms,
                _between(value <= _FILL_RIGHT_PERCENT, value >= _FILL_WRONG_PERCENT),
                f"{value:.0f}",
            )
        elif metric == "sensorFault":
            yield Symptom(
                EventKind.SENSOR_FAULT,
                part,
                record.time_ms,
                value != _SENSOR_ANSWERS,
                f"{value:.0f}",
            )
        elif metric == "batteryVoltage" or record.name == "voltage.battery":
            yield _low_battery(record, value, bounds.battery_volts)
        elif metric == "batteryLevel":
            percent = value * 100 if record.unit == "/" else value
            yield _low_battery(record, percent, bounds.battery_percent)
    # A node marks what it measured before it learnt the time, after each of its starts. Only where
    # its latest reading is marked too, something is wrong.
    latest = max(records, key=lambda record: record.time_ms)
    yield Symptom(
        EventKind.CLOCK_UNSURE,
        "",
        latest.time_ms,
        bool(latest.marks & _TIME_MARKS),
        str(latest.marks & _TIME_MARKS),
    )


def _low_battery(record: Record, value: float, bound: float) -> Symptom:
    return Symptom(
        EventKind.BATTERY_LOW,
        "",
        record.time_ms,
        _between(value >= bound * (1 + _BATTERY_HYSTERESIS), value < bound),
        f"{record.value} {record.unit}",
    )


def _between(is_right: bool, is_wrong: bool) -> bool | None:
    """Return whether something is wrong, None where it is neither, so that it stays what it is."""
    return None if is_right == is_wrong else is_wrong
