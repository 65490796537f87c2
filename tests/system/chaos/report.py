"""The summary of chaos runs: what was survived, and what became of the readings."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.table import surroundings

_HOUR_S = 3600


@dataclass(frozen=True)
class Played:
    """What one round says of itself: at its beginning, that it has not passed.

    faults: how many of each kind; readings: by what became of them.
    """

    number: int
    passed: bool = False
    faults: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    simulated_s: int = 0
    readings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """All rounds of a run together; failed: the numbers of those that found something wrong."""

    seed: int
    date: str
    surroundings: dict[str, str]
    rounds: int
    failed: list[int]
    faults: dict[str, int]
    kills: int
    simulated_hours: int
    readings: dict[str, int]


def summary(seed: int, rounds: Sequence[dict[str, Any]]) -> Summary:
    """Add rounds up, each an ``asdict`` of a Played."""
    played = [Played(**one) for one in rounds]
    faults: Counter[str] = Counter()
    readings: Counter[str] = Counter()
    for one in played:
        if one.passed:
            faults.update(one.faults)
        readings.update(one.readings)
    return Summary(
        seed=seed,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        surroundings=surroundings(),
        rounds=len(played),
        failed=sorted(one.number for one in played if not one.passed),
        faults=dict(sorted(faults.items())),
        kills=sum(one.kills for one in played if one.passed),
        simulated_hours=sum(one.simulated_s for one in played) // _HOUR_S,
        readings=dict(readings),
    )


def table(of: Summary) -> str:
    """Return the summary as Markdown."""
    failed = ", ".join(map(str, of.failed))
    lines = [
        f"Seed {of.seed}, {of.date}: {of.rounds} rounds, "
        + (f"**failed: {failed}**" if failed else "all passed"),
        ", ".join(f"{name} {value}" for name, value in of.surroundings.items()),
        "",
        "| faults survived | |",
        "|---|---:|",
        *(f"| {kind} | {count:,} |" for kind, count in of.faults.items()),
        f"| **together** | **{sum(of.faults.values()):,}** |",
        f"| processes and boards ended on the spot by them | {of.kills:,} |",
        f"| simulated hours | {of.simulated_hours:,} |",
        *(f"| readings {what} | {count:,} |" for what, count in of.readings.items()),
    ]
    return "\n".join(lines)


def write(of: Summary, folder: Path) -> None:
    """Write the summary into a folder, as chaos.md and chaos.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chaos.md").write_text(table(of) + "\n")
    (folder / "chaos.json").write_text(json.dumps(asdict(of), indent=2) + "\n")
