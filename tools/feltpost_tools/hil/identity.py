"""What board a test ran on and with which firmware, for reports."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """eui64: in hex. micropython, firmware: versions. digest: of the firmware, as slots are named.

    simulated: whether the chip is none.
    """

    chip: str
    eui64: str
    micropython: str
    firmware: str
    digest: str
    simulated: bool

    def properties(self) -> list[tuple[str, str]]:
        """Return them as properties of a test in a JUnit report."""
        return [
            ("board.chip", self.chip + " (simulated)" * self.simulated),
            ("board.eui64", self.eui64),
            ("board.micropython", self.micropython),
            ("board.firmware", self.firmware),
            ("board.firmware-digest", self.digest),
        ]
