"""The one clock of a simulated run, shared between processes through a file.

Simulated time runs as fast as real time and now and then jumps ahead, when nothing in the run has
anything to do. So it is the machine's monotonic clock plus an offset, and the file holds the
offset. Beside it stands by how much the gateway's own clock is wrong. Both are 64-bit integers,
microseconds, which every process of the run maps into its memory.
"""

import mmap
import time
from pathlib import Path

_OFFSET, _GATEWAY_ERROR = range(2)
_BYTES = 16

# A simulated gateway whose clock shows an earlier time takes it for one that has not been set. The
# real one's bound (feltpost_gateway.clock) is younger than the recordings that runs begin with.
_GATEWAY_FLOOR_US = 946_684_800_000_000


def monotonic_us() -> int:
    """Return the machine's monotonic clock, the same in all processes, in microseconds."""
    return time.monotonic_ns() // 1000


class SharedClock:
    """Simulated Unix time. Whoever created the file may move it ahead; all may read it."""

    def __init__(self, path: Path, start_us: int | None = None):
        """Open the clock in that file, or create it, showing start_us now."""
        if start_us is not None:
            path.write_bytes(bytes(_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _BYTES)
        # Written and read as one aligned word each, so no reader sees half of a jump.
        self._words = memoryview(self._map).cast("q")
        self.path = path
        if start_us is not None:
            self._words[_OFFSET] = start_us - monotonic_us()

    @property
    def offset_us(self) -> int:
        """How far simulated Unix time is ahead of the monotonic clock, microseconds."""
        return self._words[_OFFSET]

    @property
    def gateway_error_us(self) -> int:
        """How far the gateway's clock is ahead of simulated time, microseconds; at first 0."""
        return self._words[_GATEWAY_ERROR]

    @gateway_error_us.setter
    def gateway_error_us(self, error_us: int) -> None:
        self._words[_GATEWAY_ERROR] = error_us

    def now_us(self) -> int:
        """Return the simulated time, Unix microseconds."""
        return monotonic_us() + self._words[_OFFSET]

    def jump(self, duration_us: int) -> None:
        """Move the clock ahead by that much at once."""
        self._words[_OFFSET] += duration_us


class GatewayClock:
    """The clock of a simulated run's gateway: what feltpost_gateway.clock.Clock asks for."""

    def __init__(self, shared: SharedClock):
        """shared: simulated time, and how far the gateway is off it."""
        self._shared = shared

    def now_ms(self) -> int:
        """Return the gateway's time, Unix milliseconds."""
        return (self._shared.now_us() + self._shared.gateway_error_us) // 1000

    def is_set(self) -> bool:
        """Tell whether somebody has set it since it began in 1970."""
        return self.now_ms() * 1000 >= _GATEWAY_FLOOR_US
