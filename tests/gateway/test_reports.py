"""What nodes say of themselves: checked, kept, and one line in the log."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap.message import Message
from aiocoap.numbers import codes
from tests.gateway.conftest import FixedClock, make_config, make_node, running
from tests.support.node import Node

from feltpost_gateway import reports
from feltpost_gateway.errors import PackError
from feltpost_gateway.reports import NodeReport, ResetCause
from feltpost_gateway.transaction import REPORTS_KEPT

Run = Callable[[Any], None]

TRACEBACK = """Traceback (most recent call last):
  File "main.py", line 12, in <module>
  File "feltpost/uplink.py", line 88, in run
OSError: [Errno 28] ENOSPC
"""
FULL = {
    0: "0.1.0",
    1: "1.25.0",
    2: "esp32-s3",
    3: 3,
    4: ["sensor scd41: no answer on i2c 0", "unknown key 'wfii'"],
    5: TRACEBACK,
    6: True,
    7: 14,
}


async def put_report(node: Node, boot: object, report: Any) -> Message:
    return await node.request(codes.PUT, f"/h/{boot}", cbor2.dumps(report), 60)


def stored(path: Path) -> list[tuple[int, Any]]:
    with closing(sqlite3.connect(path / "feltpost.db")) as reader:
        rows = reader.execute("SELECT boot, body FROM reports ORDER BY id").fetchall()
    return [(boot, cbor2.loads(body)) for boot, body in rows]


def test_every_key_is_understood_and_unknown_ones_are_passed_over() -> None:
    assert reports.decode(cbor2.dumps(FULL | {8: "newer", "x": 1})) == NodeReport(
        "0.1.0", "1.25.0", "esp32-s3", ResetCause.WATCHDOG, tuple(FULL[4]), TRACEBACK, True, 14
    )
    assert reports.decode(cbor2.dumps({0: "0.1.0"})) == NodeReport(
        "0.1.0", None, None, None, (), None, False, None
    )


@pytest.mark.parametrize(
    ("report", "text"),
    [
        ({}, "key 0"),
        (["0.1.0"], "a map"),
        ({0: 1}, "key 0"),
        ({0: "1", 3: 7}, "key 3"),
        ({0: "1", 3: True}, "key 3"),
        ({0: "1", 4: "broken"}, "key 4"),
        ({0: "1", 4: [1]}, "key 4"),
        ({0: "1", 5: ["x"]}, "key 5"),
        ({0: "1", 6: False}, "key 6"),
        ({0: "1", 7: -1}, "key 7"),
        ({0: b"1"}, "no place"),
    ],
)
def test_malformed_reports_are_refused_by_name(report: Any, text: str) -> None:
    with pytest.raises(PackError, match=text):
        reports.decode(cbor2.dumps(report))


def test_a_report_is_stored_answered_and_logged_once(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        clock = FixedClock()
        async with running(make_config(tmp_path), clock) as gateway:
            node = make_node(gateway)
            for uptime in (14, 20):
                answer = await put_report(node, 7, FULL | {7: uptime})
                assert answer.code == codes.CHANGED
                assert cbor2.loads(answer.payload) == {0: clock.value_ms}
            node.close()

    run(scenario())
    assert stored(tmp_path) == [(7, FULL | {7: 20})]
    lines = [message for message in caplog.messages if message.startswith("report ")]
    assert lines == [
        "report node=node-01 boot=7 firmware=0.1.0 micropython=1.25.0 board=esp32-s3"
        ' reset=watchdog safe_mode=yes problems="sensor scd41: no answer on i2c 0;'
        " unknown key 'wfii'\""
        ' traceback="main.py:12 <module> | feltpost/uplink.py:88 run | OSError: [Errno 28] ENOSPC"'
    ]


def test_a_changed_report_of_the_same_boot_is_logged_again(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            await put_report(node, 7, {0: "0.1.0"})
            await put_report(node, 7, {0: "0.1.0", 4: ["no sensors"]})
            node.close()

    run(scenario())
    assert stored(tmp_path) == [(7, {0: "0.1.0", 4: ["no sensors"]})]
    assert caplog.text.count("report node=node-01") == 2


def test_the_latest_reports_of_each_node_are_kept(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node, other = make_node(gateway), make_node(gateway, b"\x02")
            await put_report(other, 1, {0: "0.1.0"})
            for boot in range(REPORTS_KEPT + 5):
                await put_report(node, boot, {0: "0.1.0"})
            node.close()
            other.close()

    run(scenario())
    assert [boot for boot, _ in stored(tmp_path)] == [1, *range(5, REPORTS_KEPT + 5)]


def test_wrong_requests_are_answered_with_what_is_wrong(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            for boot in ("x", "-1", 1 << 32, "0x1"):
                answer = await put_report(node, boot, FULL)
                assert answer.code == codes.BAD_REQUEST
                assert b"a boot is a number" in answer.payload
            refused = await put_report(node, 1, {0: 1})
            assert refused.code == codes.BAD_REQUEST
            assert b"firmware version (key 0)" in refused.payload
            assert (
                await node.request(codes.PUT, "/h/1", cbor2.dumps(FULL), 112)
            ).code == codes.UNSUPPORTED_CONTENT_FORMAT
            assert (await node.request(codes.GET, "/h/1")).code == codes.METHOD_NOT_ALLOWED
            node.close()

    run(scenario())
    assert stored(tmp_path) == []


def test_a_long_traceback_keeps_its_end() -> None:
    long = TRACEBACK.replace("OSError", '  File "x.py", line 1, in f\n' * 60 + "OSError")
    line = reports.one_line(long)
    assert len(line) <= 256
    assert line.startswith("…")
    assert line.endswith("x.py:1 f | OSError: [Errno 28] ENOSPC")
