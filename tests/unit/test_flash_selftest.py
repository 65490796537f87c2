"""What a board's self-test means: which answers are doubted, and what is to be done."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from feltpost_tools.errors import SelftestFailed
from feltpost_tools.flashing import selftest


class Board:
    """Stands where Mpremote stands, for a board that prints those answers."""

    port = "port"

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._printed = "boot\n" + "".join(f"feltpost:{json.dumps(a)}\n" for a in answers)

    async def run(self, script: str, *, timeout_s: float, soft_reset: bool = False) -> str:
        assert soft_reset, "the heap of what ran before would be measured"
        return self._printed


def answer(check: str, of: str = "", why: str = "", **measured: Any) -> dict[str, Any]:
    return {"check": check, "of": of, "ok": not why, "why": why, **measured}


GOOD = [
    answer("heap", bytes=120_000),
    answer("journal", bytes=1 << 20),
    answer("sensor", "scd41", values={"co2": 612, "temperature": 21.5, "other": -1e9}),
    answer("sensor", "pir", values={"motion": None}),
    answer("link", "udp skole", joined=True, rssi=-60),
]


def test_a_board_that_is_well_passes() -> None:
    made = asyncio.run(selftest.run(Board(*GOOD)))
    assert all(check.ok and not check.advice for check in made)
    assert made[2].measured["co2"] == 612
    assert made[4].measured["rssi"] == -60


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (answer("heap", bytes=60_000), "60000 bytes"),
        (answer("journal", bytes=8192), "8192 bytes"),
        (answer("journal", why="no partition"), "no partition"),
        (answer("sensor", "scd41", values={"co2": 0}), "co2 is 0"),
        (answer("sensor", "ds18b20", values={"temperature": 85.0}), "temperature is 85.0"),
        (answer("sensor", "sht4x", why="no acknowledgement", values={}), "no acknowledgement"),
        (answer("nvs", why="reads back otherwise"), "reads back otherwise"),
        (answer("key", why="there is none"), "there is none"),
    ],
)
def test_what_a_node_needs_must_work(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(SelftestFailed) as caught:
        asyncio.run(selftest.run(Board(*GOOD, bad)))
    assert said in caught.value.happened
    assert caught.value.advice


@pytest.mark.parametrize(("joined", "advice"), [(True, "gateway runs"), (False, "password")])
def test_a_link_may_be_out_of_reach_where_boards_are_flashed(joined: bool, advice: str) -> None:
    bad = answer("link", "udp skole", why="refused", joined=joined)
    (link,) = (check for check in asyncio.run(selftest.run(Board(*GOOD, bad))) if not check.ok)
    assert advice in link.advice
