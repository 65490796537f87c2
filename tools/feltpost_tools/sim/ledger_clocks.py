"""Which time a reading may carry: that of its sample, give or take what clocks were off."""

from bisect import bisect_right
from collections import defaultdict

from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.ledger_entries import BOUNDED, Arrived

# A node's clock is right to some tenths of a second, and it writes whole seconds.
TIME_TOLERANCE_S = 2.0
# The answer to a message tells a node of a step, so one message goes before it is known.
_LEARNT_US = 120_000_000


class Clocks:
    """The errors of the gateway's clock, and when each node last heard from it."""

    def __init__(self) -> None:
        self._since_us: list[float] = [float("-inf")]
        self._errors_us: list[int] = [0]
        self._contacts_us: dict[str, list[int]] = defaultdict(list)

    def step(self, at_us: int, error_s: float) -> None:
        """Note that the gateway's clock is off by error_s from that simulated time on."""
        self._since_us.append(at_us)
        self._errors_us.append(int(error_s * 1e6))

    def contact(self, node: str, at_us: int) -> None:
        """Note that a node got an answer, and with it the gateway's time.

        A node of which none is noted is taken to get one every two minutes.
        """
        self._contacts_us[node].append(at_us)

    @property
    def reach_us(self) -> float:
        """How far apart two samples can be that fit the same reading, unless it is bounded."""
        return max(self._errors_us) - min(self._errors_us) + 2 * TIME_TOLERANCE_S * 1e6

    def possible_us(self, reading: Arrived) -> tuple[float, float]:
        """Return the earliest and the latest simulated time at which it can have been sampled."""
        time_us, tolerance_us = reading.unix_s * 1e6, TIME_TOLERANCE_S * 1e6
        latest_us = time_us - min(self._errors_us) + tolerance_us
        # A time that is marked as bounded is only the latest that it can have been.
        if reading.marks & BOUNDED:
            return float("-inf"), latest_us
        return time_us - max(self._errors_us) - tolerance_us, latest_us

    def fits(self, sample: Sampled, reading: Arrived) -> bool:
        """Tell whether the reading's time may be the sample's."""
        late_s = reading.unix_s - sample.time_us / 1e6
        for error_us in self._errors_of(sample):
            off_s = late_s - error_us / 1e6
            if off_s >= -TIME_TOLERANCE_S and (
                off_s <= TIME_TOLERANCE_S or reading.marks & BOUNDED
            ):
                return True
        return False

    def _errors_of(self, sample: Sampled) -> list[int]:
        # What the node was told last before it sampled, and whatever it was told since: until a
        # reading is sent, it is dated anew.
        contacts_us = self._contacts_us[sample.node]
        place = bisect_right(contacts_us, sample.time_us)
        heard_us = contacts_us[place - 1] if place else sample.time_us
        return self._errors_us[bisect_right(self._since_us, heard_us - _LEARNT_US) - 1 :]
