"""What is entered into a ledger, beside what the sensors hand out (`kit.Sampled`)."""

from dataclasses import dataclass

# docs/protocol.md, "Marks".
BOUNDED = 2


@dataclass(frozen=True)
class Arrived:
    """One reading as it came out of the broker.

    unix_s: its own time, not that of its arrival. marks: docs/protocol.md, "Marks".
    """

    node: str
    journal: int
    number: int
    name: str
    unit: str
    value: float
    unix_s: float
    marks: int = 0


@dataclass(frozen=True)
class Gap:
    """Numbers of a journal that the gateway lists as lost; reason: docs/durability.md."""

    node: str
    journal: int
    first: int
    count: int
    reason: int

    @property
    def numbers(self) -> range:
        """The numbers that are in it."""
        return range(self.first, self.first + self.count)
