"""The one clock of a simulated run, shared between processes through a file.

Simulated time runs as fast as real time and now and then jumps ahead, when nothing in the run has
anything to do. So it is the machine's monotonic clock plus an offset, and the file holds the
offset: one 64-bit integer, microseconds, which every process of the run maps into its memory.
"""

import mmap
import time
from pathlib import Path

_BYTES = 8


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
        # Written and read as one aligned word, so no reader sees half of a jump.
        self._offset = memoryview(self._map).cast("q")
        self.path = path
        if start_us is not None:
            self._offset[0] = start_us - monotonic_us()

    @property
    def offset_us(self) -> int:
        """How far simulated Unix time is ahead of the monotonic clock, microseconds."""
        return self._offset[0]

    def now_us(self) -> int:
        """Return the simulated time, Unix microseconds."""
        return monotonic_us() + self._offset[0]

    def jump(self, duration_us: int) -> None:
        """Move the clock ahead by that much at once."""
        self._offset[0] += duration_us

    # What the gateway asks of a clock (feltpost_gateway.clock.Clock).

    def now_ms(self) -> int:
        """Return the simulated time, Unix milliseconds."""
        return self.now_us() // 1000

    def is_set(self) -> bool:
        """Tell whether the time can be trusted: a simulated clock's always can."""
        return True
