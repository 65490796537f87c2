"""Runs on MicroPython: what twelve readings cost from values to a message at the link.

Prints one JSON object: the message's bytes, and of each contestant how long it takes (microseconds,
the best of many rounds taken in turns, so that a busy machine hurts all alike) and how many bytes
it allocates. The contestants are our encoder with OSCORE, a yardstick that mixes what encoders
written in Python do, and micropython-lib's senml where it can be imported.
"""

import gc
import io
import json
import struct
import time

from feltpost import coap
from feltpost.client import Client
from feltpost.metrics import fields
from feltpost.oscore import Context
from feltpost.senml import Pack

try:
    import senml
except ImportError:
    senml = None

_ROUNDS = 300

# A winter day, late enough in a year of readings for numbers of their usual length.
_START_S = 1767225600
_FORMAT_PACK = 112
_FIRST_NUMBER = 250000
_CHANNELS = (
    ("co2", "ppm", 648, 0),
    ("temperature", "Cel", 2137, 2),
    ("relativeHumidity", "%RH", 4352, 2),
    ("illuminance", "lx", 312, 0),
)
_READINGS = [
    (name, unit, mantissa + 3 * minute, digits, _START_S + 60 * minute)
    for minute in range(3)
    for name, unit, mantissa, digits in _CHANNELS
]


class _Sequence:
    def __init__(self):
        self._number = _FIRST_NUMBER

    def next(self):
        self._number += 1
        return self._number


class _Meter:
    """Measures time and heap from begin() to end()."""

    took_us = allocated = 0

    def begin(self):
        self._allocated = gc.mem_alloc()
        self._start_us = time.ticks_us()

    def end(self):
        self.took_us = time.ticks_diff(time.ticks_us(), self._start_us)
        self.allocated = gc.mem_alloc() - self._allocated


class _Sent(OSError):
    """Ends a request where its message has reached the link."""


class _Link:
    name = "bench"

    def __init__(self, meter):
        self._meter = meter
        self.length = 0

    def send(self, data):
        self._meter.end()
        self.length = len(data)
        raise _Sent


class _Ours:
    """Each reading into a pack, the pack into a protected request."""

    def __init__(self, meter):
        self._meter = meter
        self.link = _Link(meter)
        self._client = Client(self.link, Context(bytes(16), b"\x01", b"", _Sequence()))
        self._pack = Pack(bytearray(512))
        # A node has them from its start.
        self._fields = {name: fields(name, unit) for name, unit, _, _, _ in _READINGS}
        self._path = ["j", "12", str(_FIRST_NUMBER)]

    def run(self):
        self._meter.begin()
        self._pack.begin()
        for name, _, mantissa, digits, time_s in _READINGS:
            self._pack.add(self._fields[name], mantissa, digits, time_s)
        request = self._client.request(coap.PUT, self._path, _FORMAT_PACK, self._pack.end())
        try:
            request.send(None)
        except _Sent:
            return


class _Yardstick:
    """Objects, dictionaries, dispatch by type, struct and a stream: an encoder of no format."""

    class Item:
        def __init__(self, name, **fields):
            self.name = name
            self.fields = fields

        def pairs(self):
            pairs = {0: self.name}
            for label, key in ((1, "unit"), (2, "value"), (6, "time")):
                pairs[label] = self.fields.get(key, None)
            return pairs

    def __init__(self, meter):
        self._meter = meter
        self._stream = None
        self._kinds = {int: self._int, float: self._float, str: self._text, dict: self._pairs}

    def run(self):
        self._meter.begin()
        self._stream = io.BytesIO()
        items = [
            self.Item(name, unit=unit, value=mantissa / 10**digits, time=time_s)
            for name, unit, mantissa, digits, time_s in _READINGS
        ]
        for item in items:
            self._pairs(item.pairs())
        self._stream.getvalue()
        self._meter.end()

    def _pairs(self, pairs):
        self._stream.write(struct.pack(">B", len(pairs)))
        for key, value in pairs.items():
            self._int(key)
            self._kinds[type(value)](value)

    def _int(self, value):
        self._stream.write(struct.pack(">BI", 0, value))

    def _float(self, value):
        self._stream.write(struct.pack(">Bd", 1, value))

    def _text(self, value):
        encoded = value.encode()
        self._stream.write(struct.pack(">B", len(encoded)) + encoded)


class _Theirs:
    """The same readings with micropython-lib's senml: encoding alone, nothing protected."""

    def __init__(self, meter):
        self._meter = meter

    def run(self):
        self._meter.begin()
        pack = senml.SenmlPack("urn:dev:mac:0200004650fffe01_")
        pack.base_time = _START_S
        for name, unit, mantissa, digits, time_s in _READINGS:
            value = mantissa / 10**digits if digits else mantissa
            pack.add(senml.SenmlRecord(name, unit=unit, value=value, time=time_s))
        pack.to_cbor()
        self._meter.end()


def main():
    meter = _Meter()
    ours = _Ours(meter)
    contestants = {"ours": ours, "yardstick": _Yardstick(meter)}
    if senml:
        contestants["theirs"] = _Theirs(meter)
    best_us = {}
    allocated = {}
    for _ in range(_ROUNDS):
        for name, contestant in contestants.items():
            gc.collect()
            gc.disable()
            # The first run after a collection searches the heap for what is free, whoever it is.
            contestant.run()
            contestant.run()
            gc.enable()
            best_us[name] = min(meter.took_us, best_us.get(name, meter.took_us))
            allocated[name] = meter.allocated
    print(json.dumps({"bytes": ours.link.length, "time_us": best_us, "allocated": allocated}))


main()
