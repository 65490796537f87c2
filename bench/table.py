"""One measured figure per row, held against its budget; the table of them, on paper and as JSON."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """A figure and its budget.

    value: None where it could not be measured, which counts as missed; why then tells the reason.
    at_most and at_least: the budget; with neither the figure is there to be read.
    """

    what: str
    value: float | None
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the figure is within its budget; None where it has none."""
        if self.at_most is None and self.at_least is None:
            return None
        if self.value is None:
            return False
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def figure(self) -> str:
        """The figure with its unit, or why there is none."""
        return self.why if self.value is None else f"{_number(self.value)} {self.unit}".rstrip()

    @property
    def budget(self) -> str:
        """The budget as people say it."""
        bounds = (("at most", self.at_most), ("at least", self.at_least))
        return ", ".join(f"{word} {_number(limit)}" for word, limit in bounds if limit is not None)

    @property
    def verdict(self) -> str:
        """Met, missed, or nothing where there is no budget."""
        return {True: "met", False: "missed", None: ""}[self.met]


@dataclass(frozen=True)
class Section:
    """The rows of one part, what they ran on beside the machine, and what must be known of them."""

    title: str
    rows: Sequence[Row]
    ran_on: str
    notes: Sequence[str]


def show(sections: Sequence[Section], console: Console) -> None:
    """Print the sections as tables, and below them where they were measured."""
    for section in sections:
        table = Table("what", "figure", "budget", "", title=section.title, title_justify="left")
        for row in section.rows:
            style = {True: "green", False: "red", None: ""}[row.met]
            table.add_row(row.what, row.figure, row.budget, row.verdict, style=style)
        console.print(table)
        console.print(f"On {section.ran_on}.")
        for note in section.notes:
            console.print(note)
    for key, value in surroundings().items():
        console.print(f"{key}: {value}")


def write(sections: Sequence[Section], path: Path) -> None:
    """Write the sections, and where and when they were measured, as JSON."""
    content: dict[str, Any] = {
        **surroundings(),
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sections": [
            {
                "title": section.title,
                "ran_on": section.ran_on,
                "notes": list(section.notes),
                "rows": [
                    {
                        "what": row.what,
                        "value": row.value,
                        "unit": row.unit,
                        "at_most": row.at_most,
                        "at_least": row.at_least,
                        "met": row.met,
                        "why": row.why,
                    }
                    for row in section.rows
                ],
            }
            for section in sections
        ],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def surroundings() -> dict[str, str]:
    """Return the machine, its system, Python and the commit, as a person would name them."""
    return {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "OS": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "commit": _commit(),
    }


def _number(value: float) -> str:
    if value >= 10 or value == int(value):
        return f"{value:,.1f}".removesuffix(".0")
    return f"{value:.3f}".rstrip("0")


def _cpu() -> str:
    # x86 has "model name" for each core; ARM boards have one "Model" for the whole.
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
        changes = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + (" with changes" if changes.stdout else "")
