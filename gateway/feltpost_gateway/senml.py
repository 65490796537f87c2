"""SenML packs in CBOR (RFC 8428 section 6): decoding, resolving and checking.

`decode` says what a pack means; `check` says whether this gateway takes it. The forwarder needs
the first only: a rule that changed since must not stop what was accepted before.
"""

import math
import re
import struct
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Any

import cbor2

from feltpost_gateway import metrics
from feltpost_gateway.cborshape import check_shape
from feltpost_gateway.errors import ClockNotSetError, PackError, PackTooLargeError

MAX_RECORDS = 64

_BVER, _BN, _BT, _BU = -1, -2, -3, -4
_N, _U, _V, _VB, _T, _UT = 0, 1, 2, 4, 6, 7
# The update time says nothing about the reading itself.
_LABELS = frozenset((_BVER, _BN, _BT, _BU, _N, _U, _V, _VB, _T, _UT))
# Ours: docs/protocol.md, "Marks".
_MARKS = "q"
_MARKS_MAX = 7

_VERSION = 10
_MAX_NAME_CHARS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")

# RFC 8428 section 4.5.3: from here on a time is absolute.
_ABSOLUTE_FROM_S = 1 << 28
_YEAR_2000_MS = 946_684_800_000
_DAY_MS = 86_400_000
_MAX_TIME_S = 1 << 40

Number = int | float | Decimal


@dataclass(frozen=True)
class Record:
    """One resolved reading.

    `unit` is empty only for a truth value that came without one. `value` is exact: a float is
    what came as binary64, a `Decimal` what came as a decimal or stands for one. `time_ms` is Unix
    milliseconds. `marks` are the bits of docs/protocol.md, "Marks".
    """

    name: str
    unit: str
    value: Number | bool
    time_ms: int
    marks: int = 0


def decode(
    payload: bytes, *, now_ms: int | None, base_name: str = "", short_floats: bool
) -> list[Record]:
    """Return the readings of a pack in their order.

    `now_ms` is what relative times count from, None while the clock is not set. `base_name` is
    the sending node's own (`urn:dev:mac:…_`), which is taken off names that carry it.
    `short_floats` is true for packs of a journal, whose 16-bit and 32-bit floats stand for the
    shortest decimal that rounds to them.

    Raises `PackError` with the index of the record that is wrong, `PackTooLargeError` over 64
    records, and `ClockNotSetError` for a relative time without a clock.
    """
    check_shape(payload)
    try:
        pack = cbor2.loads(payload)
    except (cbor2.CBORError, ValueError) as error:
        raise PackError(f"the CBOR can't be decoded: {error}") from error
    if not isinstance(pack, list) or not pack:
        raise PackError("a pack is an array of one record or more")
    if len(pack) > MAX_RECORDS:
        raise PackTooLargeError(f"{len(pack)} records; a pack has at most {MAX_RECORDS}")
    resolver = _Resolver(now_ms, base_name, short_floats)
    records = []
    for index, fields in enumerate(pack):
        try:
            records.append(resolver.resolve(fields))
        except PackError as error:
            raise PackError(f"record {index}: {error}") from error
    return records


def check(records: list[Record], *, now_ms: int | None) -> None:
    """Raise `PackError` for a value or a time that can't be true.

    The upper bound for times, a day ahead of `now_ms`, holds only once the clock is set.
    """
    for index, record in enumerate(records):
        metric = metrics.metric_of(record.name)
        if metric is not None:
            if isinstance(record.value, bool):
                raise PackError(f"record {index}: {record.name} is a number, not a truth value")
            if not metric.minimum <= record.value <= metric.maximum:
                raise PackError(
                    f"record {index}: {record.name} {record.value} {record.unit} is not between"
                    f" {metric.minimum} and {metric.maximum}"
                )
        if record.time_ms < _YEAR_2000_MS:
            raise PackError(f"record {index}: its time is before the year 2000")
        if now_ms is not None and record.time_ms > now_ms + _DAY_MS:
            raise PackError(f"record {index}: its time is more than a day ahead of the gateway's")


class _Resolver:
    """Carries the base values from record to record (RFC 8428 section 4.6)."""

    def __init__(self, now_ms: int | None, own_base_name: str, short_floats: bool) -> None:
        self._now_ms = now_ms
        self._own_base_name = own_base_name
        self._short_floats = short_floats
        self._base_name = ""
        self._base_unit: str | None = None
        self._base_time: Number = 0

    def resolve(self, fields: Any) -> Record:
        if not isinstance(fields, dict):
            raise PackError("is not a map")
        for label in fields:
            if not _may_have(label):
                raise PackError(f"label {label!r} is not taken")
        if fields.get(_BVER, _VERSION) != _VERSION:
            raise PackError(f"SenML version {fields[_BVER]} is not {_VERSION}")
        if _BN in fields:
            self._base_name = _text(fields, _BN) or ""
        if _BU in fields:
            self._base_unit = _text(fields, _BU)
        if _BT in fields:
            self._base_time = _number(fields[_BT], "bt")
        name = self._name(_text(fields, _N) or "")
        unit = _text(fields, _U) or self._base_unit
        if (_V in fields) == (_VB in fields):
            raise PackError("has not exactly one value (v or vb)")
        value: Number | bool
        if _VB in fields:
            value = fields[_VB]
            if not isinstance(value, bool):
                raise PackError("vb is not a truth value")
            if unit is not None:
                unit = metrics.unit_of(name, unit)
        else:
            value = _number(fields[_V], "v")
            if isinstance(value, float) and self._short_floats:
                value = shortest_decimal(value)
            unit = metrics.unit_of(name, unit)
        time_ms = self._time_ms(_number(fields.get(_T, 0), "t"))
        return Record(name, unit or "", value, time_ms, _marks(fields))

    def _name(self, name: str) -> str:
        full = self._base_name + name
        if self._own_base_name:
            full = full.removeprefix(self._own_base_name)
        full = metrics.full_name(full)
        if len(full) > _MAX_NAME_CHARS:
            raise PackError(f"its name is longer than {_MAX_NAME_CHARS} characters")
        if not _NAME.fullmatch(full):
            raise PackError(f"{full!r} is not a SenML name (RFC 8428 section 4.5.1)")
        return full

    def _time_ms(self, time: Number) -> int:
        base = self._base_time
        if isinstance(base, int) and isinstance(time, int):
            # What our own nodes send needs no decimals.
            milliseconds = 1000 * (base + time)
        else:
            seconds = Decimal(base) + Decimal(time)
            # Before it is rounded, which takes the longer the larger it is.
            if abs(seconds) > _MAX_TIME_S:
                raise PackError("its time is out of all bounds")
            milliseconds = round(seconds * 1000)
        if abs(milliseconds) > 1000 * _MAX_TIME_S:
            raise PackError("its time is out of all bounds")
        if milliseconds >= 1000 * _ABSOLUTE_FROM_S:
            return milliseconds
        if self._now_ms is None:
            raise ClockNotSetError("a relative time came while the gateway's clock is not set")
        return self._now_ms + milliseconds


def _may_have(label: Any) -> bool:
    """Tell whether a record with that label is understood (RFC 8428 section 4.4).

    Texts are extensions, which may be passed over unless they end in an underscore. What is left
    out of our own labels would change the reading (a base value) or be lost with it (a sum).
    """
    return label in _LABELS or (isinstance(label, str) and not label.endswith("_"))


def _marks(fields: dict[Any, Any]) -> int:
    marks = fields.get(_MARKS, 0)
    if type(marks) is not int or not 0 <= marks <= _MARKS_MAX:
        raise PackError(f"its marks (q) are not a number from 0 to {_MARKS_MAX}")
    return marks


def _text(fields: dict[Any, Any], label: int) -> str | None:
    value = fields.get(label)
    if value is not None and not isinstance(value, str):
        raise PackError(f"label {label} is not a text")
    return value


def _number(value: Any, what: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PackError(f"{what} is not a number")
    if not math.isfinite(value):
        raise PackError(f"{what} is not a finite number")
    return value


@lru_cache(maxsize=4096)
def shortest_decimal(value: float) -> float | Decimal:
    """Return the decimal that a short float stands for (docs/protocol.md, "Numbers").

    That is the shortest that rounds to `value` in binary16 where `value` fits that, else in
    binary32 where it fits that; any other float comes back as it is.
    """
    for width, digits_max in (("<e", 5), ("<f", 9)):
        if _rounded(value, width) == value:
            return _shortest(value, width, digits_max)
    return value


def _rounded(value: float, width: str) -> float | None:
    try:
        rounded: float = struct.unpack(width, struct.pack(width, value))[0]
    except OverflowError:
        return None
    return rounded


def _shortest(value: float, width: str, digits_max: int) -> Decimal:
    exact = Decimal(value)
    for digits in range(1, digits_max + 1):
        # Next to a power of two the shortest may lie on the side that is further away.
        for rounding in (ROUND_HALF_EVEN, ROUND_FLOOR, ROUND_CEILING):
            candidate = Context(prec=digits, rounding=rounding).plus(exact)
            if _rounded(float(candidate), width) == value:
                return candidate
    return exact
