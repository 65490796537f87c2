"""The demo as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feltpost_tools.sim.broker import free_port

pytestmark = pytest.mark.timeout(240)

FELTPOST = [sys.executable, "-c", "from feltpost_tools.cli import app; app()"]
SHORT_RECORDING = (
    Path(__file__).parents[2] / "tools/feltpost_tools/sim/data/indoor-climate-short.csv"
)


def demo(tmp_path, *options):
    """Run the demo in a folder of its own for temporary files; return (result, counts)."""
    counts = tmp_path / "counts.json"
    result = subprocess.run(
        [*FELTPOST, "demo", "--json", counts, *options],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    return result, json.loads(counts.read_text()) if counts.exists() else None


def processes_below(folder):
    """Return the processes that mention the folder on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(folder) in (entry / "cmdline").read_text():
                    found.append(entry.name)
            except OSError:
                continue
    return found


def test_counts_and_exit_code(tmp_path):
    result, counts = demo(tmp_path, "--for", "5", "--speed", "max")
    assert result.returncode == 0, result.stdout + result.stderr
    assert counts["nodes"] == 3
    assert counts["sampled"] == counts["delivered"] > 100
    assert counts["missing"] == counts["duplicates"] == counts["wrong"] == 0
    assert 0 < counts["p50_ms"] <= counts["p99_ms"]
    assert processes_below(tmp_path) == []


def test_outage_loses_nothing(tmp_path):
    result, counts = demo(tmp_path, "--for", "9", "--speed", "600", "--outage")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "outage: the broker and a serial line gone" in result.stdout
    assert counts["missing"] == counts["wrong"] == 0
    assert counts["sampled"] > 100


def test_own_recording_nodes_and_link(tmp_path):
    result, counts = demo(
        tmp_path, "--for", "2", "--speed", "max", "--nodes", "2", "--link", "serial",
        "--trace", SHORT_RECORDING,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert (counts["nodes"], counts["missing"]) == (2, 0)


def test_running_broker_is_used(tmp_path):
    port = free_port()
    configuration = tmp_path / "own.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
    broker = subprocess.Popen(["mosquitto", "-c", configuration], env=environment)
    try:
        result, counts = demo(
            tmp_path, "--for", "2", "--speed", "max", "--broker", f"127.0.0.1:{port}"
        )
    finally:
        broker.terminate()
        broker.wait()
    assert result.returncode == 0, result.stdout + result.stderr
    assert counts["delivered"] > 0


def test_interrupt_ends_it_and_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(
        [*FELTPOST, "demo", "--for", "600"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    for line in process.stdout:
        if "delivered" in line and " 0 delivered" not in line:
            break
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - started < 60
    assert processes_below(tmp_path) == []
    assert [entry for entry in tmp_path.iterdir() if entry.name.startswith("feltpost")] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--speed", "0.5"], "must be a number from 1 on"),
        (["--broker", "nonsense"], "HOST:PORT"),
        (["--trace", "/nonexistent.csv"], "/nonexistent.csv"),
        (["--broker", "127.0.0.1:1"], "no MQTT broker answers at 127.0.0.1:1"),
    ],
)
def test_wrong_options_get_a_clear_error(tmp_path, options, says):
    result, counts = demo(tmp_path, "--for", "2", *options)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert counts is None
