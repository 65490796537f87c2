"""The audit log: every action in it once, changes noticed, and the flashing never stopped by it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from feltpost_tools import audit_cli
from feltpost_tools.audit import START, Action, AuditLog, login_name, state_folder

FLASHED = Action(
    action="flash",
    result="ok",
    port="/dev/ttyUSB0",
    mac="02:00:00:12:34:56",
    node="måler-1",
    site="Ærø",
    versions={"feltpost": "0.1.0", "micropython": "1.26.0"},
)
FAILED = Action(action="enrol", result="failed", node="måler-2", error="[red]no[/] answer\nat all")

Run = Callable[..., Any]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return AuditLog()


@pytest.fixture
def run(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    audit_cli.register(app)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def lines(log: AuditLog) -> list[str]:
    return log.path.read_text(encoding="utf-8").splitlines()


def put(log: AuditLog, changed: list[str]) -> None:
    log.path.write_text("".join(line + "\n" for line in changed), encoding="utf-8")


def wrong(log: AuditLog) -> list[int]:
    return [line.number for line in log.verify().wrong]


def test_an_action_comes_back_with_time_and_person(log: AuditLog) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert log.record(FLASHED) is None
    assert log.record(FAILED) is None
    (first, second) = [line.entry for line in log.lines()]
    assert first is not None and second is not None
    assert (first.action, second.action) == (FLASHED, FAILED)
    assert before <= first.time <= second.time <= datetime.now(UTC)
    assert (first.who, first.host) == (login_name(), os.uname().nodename)


def test_a_line_is_json_with_a_chain(log: AuditLog) -> None:
    assert log.verify().digest == START
    log.record(FLASHED)
    log.record(FAILED)
    first, second = map(json.loads, lines(log))
    assert first["time"].endswith("Z")
    assert first["previous"] == START
    assert "error" not in first
    assert len(second["previous"]) == 64
    assert log.verify().lines == 2
    assert wrong(log) == []


def test_it_is_where_the_state_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for relative in ("", "state"):
        monkeypatch.setenv("XDG_STATE_HOME", relative)
        assert state_folder() == tmp_path / ".local" / "state" / "feltpost"


def test_only_its_user_can_read_it(log: AuditLog) -> None:
    before = os.umask(0)
    try:
        log.record(FLASHED)
    finally:
        os.umask(before)
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda old: old[1:], [1]),
        (lambda old: [*old[:2], *old[3:]], [3]),
        (lambda old: [old[0], old[1].replace("ok", "no"), *old[2:]], [3]),
        (lambda old: [old[0], old[2], old[1], *old[3:]], [2, 3, 4]),
        (lambda old: [*old[:2], old[1], *old[2:]], [3]),
        (lambda old: [old[0], "x", *old[2:]], [2, 3]),
    ],
    ids=["first removed", "removed", "changed", "swapped", "repeated", "damaged"],
)
def test_a_change_is_noticed(
    log: AuditLog, change: Callable[[list[str]], list[str]], found: list[int]
) -> None:
    for _ in range(5):
        log.record(FLASHED)
    put(log, change(lines(log)))
    assert wrong(log) == found
    # What comes after it is a chain again.
    log.record(FLASHED)
    assert wrong(log) == found


def test_an_end_that_is_cut_off_changes_the_digest(log: AuditLog) -> None:
    log.record(FLASHED)
    before = log.verify()
    log.record(FLASHED)
    whole = log.verify()
    put(log, lines(log)[:1])
    assert log.verify() == before != whole


def test_a_torn_line_stays_alone(log: AuditLog) -> None:
    log.record(FLASHED)
    with log.path.open("a") as file:
        file.write('{"time": "2026')
    assert log.record(FAILED) is None
    assert wrong(log) == [2]
    assert [line.entry and line.entry.action for line in log.lines()] == [FLASHED, None, FAILED]


def test_a_long_line_is_followed_too(log: AuditLog) -> None:
    log.record(Action("flash", "failed", error="æ" * 20_000))
    log.record(FLASHED)
    assert wrong(log) == []


def test_a_name_that_is_no_utf8_can_be_put_on_record(log: AuditLog) -> None:
    odd = Action("flash", "ok", node=os.fsdecode(b"m\xe5ler"))
    assert log.record(odd) is None
    assert [line.entry and line.entry.action for line in log.lines()] == [odd]


def test_processes_side_by_side_make_one_chain(log: AuditLog) -> None:
    program = (
        "from feltpost_tools.audit import Action, AuditLog\n"
        "for i in range(20):\n"
        "    assert AuditLog().record(Action('flash', 'ok', node=str(i))) is None\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(4)]
    assert [other.wait() for other in others] == [0] * 4
    assert log.verify().lines == 80
    assert wrong(log) == []


def test_a_full_disk_is_said_and_leaves_no_half_a_line(log: AuditLog) -> None:
    log.record(FLASHED)
    before = log.path.read_bytes()
    # The kernel writes what fits and refuses the rest, as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        said = log.record(FLASHED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert said == f"{log.path}: this action could not be put on record (File too large)."
    assert log.path.read_bytes() == before
    assert log.record(FLASHED) is None


def test_a_folder_in_its_place_is_said(log: AuditLog) -> None:
    log.path.mkdir(parents=True)
    assert "could not be put on record" in str(log.record(FLASHED))


def test_the_table_shows_what_was_done(run: Run, log: AuditLog) -> None:
    log.record(FLASHED)
    log.record(FAILED)
    result = run()
    assert result.exit_code == 0, result.output
    head, first, second, *_rest = result.output.splitlines()
    assert head.split() == ["Time", "Who", "Action", "Board", "Node", "Result", "Versions"]
    for shown in ("flash", "02:00:00:12:34:56", "Ærø/måler-1", "ok", "feltpost 0.1.0"):
        assert shown in first
    assert "failed: [red]no[/] answer" in second


def test_a_narrow_table_cuts_nothing_off(
    run: Run, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    log.record(FLASHED)
    assert "…" not in run().output


@pytest.mark.parametrize(
    "node", ["måler-1", "MÅLER-1", "Ærø/måler-1", "02:00:00:12:34:56", "12-34-56"]
)
def test_one_node_can_be_asked_for(run: Run, log: AuditLog, node: str) -> None:
    log.record(FLASHED)
    log.record(FAILED)
    result = run("--node", node, "--json")
    (entry,) = map(json.loads, result.output.splitlines())
    assert entry["node"] == "måler-1"
    assert entry["versions"] == {"feltpost": "0.1.0", "micropython": "1.26.0"}


def test_only_what_was_done_since(run: Run, log: AuditLog) -> None:
    log.record(FLASHED)
    log.record(FAILED)
    first, second = lines(log)
    put(log, [first.replace(json.loads(first)["time"], "2026-11-20T22:59:59Z"), second])
    noon = datetime(2026, 11, 21, 12).astimezone()
    assert "måler-1" not in run("--since", noon.isoformat()).output
    assert "måler-1" in run("--since", "2026-11-19").output
    assert run("--since", "yesterday").exit_code == 2


def test_a_damaged_line_is_said_and_the_rest_shown(run: Run, log: AuditLog) -> None:
    log.record(FLASHED)
    for odd in ("[]", "{}", '{"time": 1}', '{"time": "2026-11-20T00:00:00Z", "who": 1}', "\x00"):
        put(log, [odd, *lines(log)[-1:]])
        result = run("--lang", "en")
        assert result.exit_code == 0, result.output
        assert "line 1 is damaged and left out" in result.output
        assert "måler-1" in result.output


def test_the_chain_is_verified_on_request(run: Run, log: AuditLog) -> None:
    assert run().output == "Nothing is on record.\n"
    log.record(FLASHED)
    log.record(FLASHED)
    whole = run("--verify")
    assert whole.exit_code == 0
    assert whole.output == (f"2 lines, unbroken\nDigest of the last line: {log.verify().digest}\n")
    put(log, lines(log)[1:])
    broken = run("--verify")
    assert broken.exit_code == 1
    assert "line 1 does not follow" in broken.output


def test_a_log_that_cannot_be_read_is_said(run: Run, log: AuditLog) -> None:
    log.path.mkdir(parents=True)
    result = run()
    assert result.exit_code == 2
    assert "the log can't be read (Is a directory)" in result.output
