"""What a run of ./run fuzz did, for people and for programs: dist/reports/fuzz.md and fuzz.json."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz.engine import Result

_ROOT = Path(__file__).parents[2]
_REPORTS = _ROOT / "dist" / "reports"
_HEAD = "| target | executions | a second | refused | steps | new | findings |"
_RULE = "|---|---:|---:|---:|---:|---:|---:|"


def line(result: Result) -> str:
    """Return a result on one line of the terminal."""
    return (
        f"{result.target}: {result.executions} executions, {result.rate:.0f}/s,"
        f" {result.refused} refused, {result.steps} steps"
        f" ({result.steps - result.from_corpus} beyond the corpus),"
        f" {len(result.findings)} findings"
    )


def write(results: Sequence[Result], started: float) -> Path:
    """Write both reports and return where the one for people is; `started` is Unix time."""
    _REPORTS.mkdir(parents=True, exist_ok=True)
    commit, date = _commit(), datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")
    seed = results[0].seed
    content = {
        "date": date,
        "commit": commit,
        "seed": seed,
        "targets": [_figures(result) for result in results],
    }
    (_REPORTS / "fuzz.json").write_text(json.dumps(content, indent=1) + "\n")
    executions = sum(result.executions for result in results)
    duration_s = sum(result.duration_s for result in results)
    findings = sum(len(result.findings) for result in results)
    told = [
        "# Fuzzing",
        "",
        f"{date}, commit {commit}, seed {seed}: {executions} executions of {len(results)} targets"
        f" in {duration_s:.0f} s, {findings} findings.",
        "",
        _HEAD,
        _RULE,
        *map(_row, results),
        *(f"\n{result.target}: {f.kind}" for result in results for f in result.findings),
    ]
    path = _REPORTS / "fuzz.md"
    path.write_text("\n".join(told) + "\n")
    return path


def _row(result: Result) -> str:
    new = result.steps - result.from_corpus
    cells = (
        result.target,
        result.executions,
        f"{result.rate:.0f}",
        result.refused,
        result.steps,
        new,
        len(result.findings),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _figures(result: Result) -> dict[str, object]:
    return {
        "target": result.target,
        "executions": result.executions,
        "duration_s": round(result.duration_s, 1),
        "refused": result.refused,
        "steps": result.steps,
        "steps_from_corpus": result.from_corpus,
        "findings": [{"kind": f.kind, "input": f.data.hex()} for f in result.findings],
    }


def _commit() -> str:
    told = subprocess.run(
        ["git", "-C", _ROOT, "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
    )
    return told.stdout.strip() or "unknown"
