"""Reports of a boot and of a gap: refused, or plain values that make one line of the log each."""

from __future__ import annotations

import random

from tests.fuzz import cbor_grammar
from tests.fuzz.target import Target

from feltpost_gateway import ingest, logs, reports
from feltpost_gateway.errors import PackError

_GAP, _BOOT = 0, 1
_TEXTS = ("1.2", "", 'Traceback\n  File "a.py", line 3, in f\nOSError', "\x1b[2J\r\n\0", "x" * 600)


class NodeReports(Target):
    """The first byte says which report it is."""

    refusals = (PackError,)
    traced = ("feltpost_gateway.reports",)
    executions = 1500
    max_bytes = 1024

    def generate(self, rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            gap = {0: rng.choice((0, 1, 9, 1 << 32)), 1: rng.choice((0, 1, 4, 5, True))}
            return bytes((_GAP,)) + cbor_grammar.encode(rng, gap, 0.05)
        report = {
            0: rng.choice(_TEXTS),
            2: rng.choice(_TEXTS),
            3: rng.randrange(8),
            4: [rng.choice(_TEXTS) for _ in range(rng.randrange(4))],
            5: rng.choice(_TEXTS),
            6: True,
            7: rng.choice((0, 12, 1 << 63, -1)),
        }
        return bytes((_BOOT,)) + cbor_grammar.encode(rng, report, 0.05)

    def run(self, data: bytes) -> None:
        payload = data[1:]
        if data[:1] == bytes((_GAP,)):
            count, reason = ingest._decode_gap(payload)
            assert count >= 1
            assert reason in range(1, 5)
            return
        report = reports.decode(payload)
        # One that has the traceback in it is taken for the same when it comes again.
        assert reports.is_repeated(report, payload)
        for value in reports.log_fields(report).values():
            assert len(logs.printable(str(value)).splitlines()) <= 1
