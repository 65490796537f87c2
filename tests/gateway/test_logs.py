"""Log lines: one an event, quoted where needed, and rate-limited by key."""

import logging

import pytest

from feltpost_gateway.logs import EventLog, printable


def test_fields_are_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "feltpost")
    EventLog("x").info("event", plain=1, spaced="a b", empty="", hostile="a\nERROR forged")
    assert caplog.messages == [
        'event plain=1 spaced="a b" empty="" hostile="a\N{REPLACEMENT CHARACTER}ERROR forged"'
    ]
    assert printable("x" * 300) == "x" * 256 + "…"


def test_repeated_events_are_held_back_by_key(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog("x")
    for _ in range(100):
        log.limited(("node-1",), "refused", node="node-1")
    log.limited(("node-2",), "refused", node="node-2")
    assert caplog.messages == ["refused node=node-1", "refused node=node-2"]
