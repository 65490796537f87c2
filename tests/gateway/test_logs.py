"""Log lines: one an event, quoted where needed, and rate-limited by key."""

import logging
import os
import subprocess
import sys
from pathlib import Path

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


def test_a_key_gets_through_again_with_what_was_held_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog("x")
    for now_s in (0.0, 1.0, 59.0, 61.0):
        monkeypatch.setattr("feltpost_gateway.logs.time.monotonic", lambda now_s=now_s: now_s)
        log.limited((), "refused")
    assert caplog.messages == ["refused", "refused repeated=2"]


LOGGING = r"""
import logging
from feltpost_gateway import logs

logs.configure(logging.DEBUG)
log = logs.EventLog("x")
log.error("broken", reason="two\nlines")
log.warning("bad")
log.info("good", n=1)
log.debug("detail")
library = logging.getLogger("aiocoap")
for number in range(50):
    try:
        raise ValueError(f"case {number}")
    except ValueError:
        library.exception("lost %s", number)
logging.getLogger("aiocoap.other").critical("end")
"""


def logged(stderr: Path, is_journal: bool) -> list[str]:
    with stderr.open("w+") as file:
        status = os.fstat(file.fileno())
        inode = status.st_ino if is_journal else 1
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{inode}"}
        subprocess.run([sys.executable, "-c", LOGGING], check=True, stderr=file, env=environment)
    # From Python 3.13 on a traceback shows the lines of a program that was no file, too.
    shown = ' | raise ValueError(f"case {number}")'
    return stderr.read_text().replace(shown, "").splitlines()


def test_the_journal_gets_a_priority_with_each_line(tmp_path: Path) -> None:
    lines = logged(tmp_path / "log", is_journal=True)
    assert lines == [
        "<3>feltpost.x broken reason=two\N{REPLACEMENT CHARACTER}lines",
        "<4>feltpost.x bad",
        "<6>feltpost.x good n=1",
        "<7>feltpost.x detail",
        '<3>aiocoap lost 0 traceback="<string>:14 <module> | ValueError: case 0"',
        "<3>aiocoap.other end",
    ]


def test_people_get_the_level(tmp_path: Path) -> None:
    lines = logged(tmp_path / "log", is_journal=False)
    assert lines[0].startswith("ERROR feltpost.x broken")
    assert lines[-1] == "CRITICAL aiocoap.other end"
