"""What a ledger found in the end: counts, and everything that is not as it was promised."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

_SHOWN = 5


class Kind(StrEnum):
    """What can be wrong."""

    ACKNOWLEDGED_MISSING = "acknowledged-missing"
    """A node was told that the gateway has it, and it neither arrived nor was lost on purpose."""
    HANDED_OVER_MISSING = "handed-over-missing"
    """The broker acknowledged it to the gateway, and it did not arrive."""
    DUPLICATE_NUMBER = "duplicate-number"
    """Two readings under one number, or one under two."""
    ORDER = "order"
    """A reading arrived after one with a higher number, and no lane explains it."""
    UNACCOUNTED = "unaccounted"
    """A number that neither arrived nor is in a gap."""
    FALSE_GAP = "false-gap"
    """A number that arrived and is in a gap."""
    WRONG_REASON = "wrong-reason"
    """A gap with a reason that nothing in the run gave."""
    WRONG = "wrong"
    """A reading that no sample fits by name, unit, value and time."""
    UNEXPLAINED = "unexplained"
    """A sample that neither arrived, nor has room in a gap, nor was cut off before its journal."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    node: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.node}: {self.text}"


@dataclass(frozen=True)
class Counts:
    """Samples, and numbers of journals.

    duplicates: arrivals beyond the first. lost_before_journal: samples that an interruption took.
    """

    sampled: int
    acknowledged: int
    handed_over: int
    arrived: int
    duplicates: int
    in_gaps: int
    lost_before_journal: int

    def __str__(self) -> str:
        return (
            f"{self.sampled} sampled, {self.acknowledged} acknowledged, {self.handed_over} handed"
            f" over, {self.arrived} arrived, {self.duplicates} more than once, {self.in_gaps} in"
            f" gaps, {self.lost_before_journal} lost before the journal"
        )


@dataclass(frozen=True)
class Verdict:
    """All is well when there are no findings. str() shows a few of each kind."""

    findings: tuple[Finding, ...]
    counts: Counts

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __str__(self) -> str:
        lines = [str(self.counts)]
        shown: Counter[Kind] = Counter()
        for finding in self.findings:
            shown[finding.kind] += 1
            if shown[finding.kind] <= _SHOWN:
                lines.append(str(finding))
        lines += [
            f"{kind}: {count - _SHOWN} more" for kind, count in shown.items() if count > _SHOWN
        ]
        return "\n".join(lines)
