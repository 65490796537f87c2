"""Configurations of nodes (feltpost.json) in which a value or a few are wrong."""

from __future__ import annotations

import json
import random
from typing import Any

TOKENS = (
    b'"driver":',
    b'"channels":{}',
    b'"range":[1,0]',
    b"1e999",
    b"-1",
    b"true",
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"[" * 100,
    b"99999999999999999999",
)
_WHOLE: dict[str, Any] = {
    "links": [
        {"kind": "serial"},
        {
            "kind": "udp",
            "host": "192.0.2.1",
            "port": 5683,
            "ssid": "skole",
            "ip": "192.0.2.7/24",
            "gateway": "192.0.2.254",
        },
    ],
    "i2c": [{"id": 0, "scl": 22, "sda": 21, "freq_hz": 100_000}],
    "uart": [{"id": 1, "tx": 19, "rx": 18}],
    "sensors": [
        {
            "driver": "scd41",
            "bus": 0,
            "interval_s": 60,
            "channels": {
                "co2": "co2",
                "temperature": {
                    "name": "temperature.room",
                    "samples": 5,
                    "reduction": "median",
                    "deadband": 0.1,
                    "range": [-20, 60.5],
                    "calibration": [[0, 1], [10, 12]],
                    "fast_change": 1,
                },
            },
        },
        {"driver": "ds18b20", "pin": 4, "interval_s": 60, "channels": {"temperature": "t.2"}},
    ],
    "journal": {"mode": "flash", "readings": 1000},
    "health": {"interval_s": 3600},
    "power": {"mode": "battery", "send_interval_s": 600},
}
_ODD = (None, True, 0, -1, 1.5, 1e300, 10**30, "", "x" * 70, "udp", [], {}, [[1, 2]], [1, 2], "1/2")


def _bent(rng: random.Random, value: Any, oddness: float) -> Any:
    if rng.random() < oddness:
        return rng.choice(_ODD)
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if rng.random() > oddness / 2}
        return {name: _bent(rng, inner, oddness) for name, inner in kept.items()}
    if isinstance(value, list):
        return [_bent(rng, inner, oddness) for inner in value]
    return value


def generate(rng: random.Random) -> bytes:
    """Return a configuration as JSON."""
    return json.dumps(_bent(rng, _WHOLE, rng.choice((0, 0.02, 0.05, 0.2)))).encode()
