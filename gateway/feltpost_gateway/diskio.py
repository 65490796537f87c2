"""Counts what the store's writer really puts on the disk.

Bytes come from the kernel, which counts them for each thread (`/proc/thread-self/io`): `written`
is what the thread handed to write(2), `to_device` what of it made pages of the file system dirty,
in whole pages, which is what wears an SD card.

Syncs are counted from what SQLite's write-ahead log shows (https://sqlite.org/walformat.html): a
commit that adds frames to it takes one fdatasync, one more where it starts the log again from its
beginning, and a checkpoint takes two, one of the log and one of the database.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

_THREAD_IO = Path("/proc/thread-self/io")
_FRAME_HEADER_BYTES = 24

# The wal-index begins with a header in the byte order of the machine: the number of valid frames
# in the log, and the salts, which change whenever the log starts again.
_INDEX_HEADER = struct.Struct("=16xI12x8s")


@dataclass(frozen=True)
class DiskCounts:
    """Totals since the store was opened; bytes are None where the kernel doesn't count them."""

    written_bytes: int | None
    device_bytes: int | None
    fdatasyncs: int


class DiskCounter:
    """Belongs to the writer's thread, in which all of its methods but close() must be called."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        self._index = Path(f"{path}-shm")
        self._index_fd: int | None = None
        self._frame_bytes = page_bytes + _FRAME_HEADER_BYTES
        self._fdatasyncs = 0
        self._backfilled = 0
        self._frames, self._salts = self._read_index()
        self._start = _read_thread_io()

    @property
    def log_bytes(self) -> int:
        """How much of the write-ahead log is in use."""
        return self._frames * self._frame_bytes

    def committed(self) -> None:
        """Count a commit."""
        frames, salts = self._read_index()
        if salts != self._salts:
            self._fdatasyncs += 2
            self._backfilled = 0
        elif frames != self._frames:
            self._fdatasyncs += 1
        self._frames, self._salts = frames, salts

    def checkpointed(self, frames: int) -> None:
        """Count a checkpoint, after which `frames` of the log are in the database."""
        if frames > self._backfilled:
            self._fdatasyncs += 2
            self._backfilled = frames

    def counts(self) -> DiskCounts:
        """Return the totals up to now."""
        now = _read_thread_io()
        if now is None or self._start is None:
            return DiskCounts(None, None, self._fdatasyncs)
        written, device = (after - before for after, before in zip(now, self._start, strict=True))
        return DiskCounts(written, device, self._fdatasyncs)

    def close(self) -> None:
        """Let go of the file; the process's connections to the store must be closed already."""
        if self._index_fd is not None:
            os.close(self._index_fd)
            self._index_fd = None

    def _read_index(self) -> tuple[int, bytes]:
        # Opened once and kept: closing any descriptor of that file would drop the locks that
        # SQLite has on it in this process, and the next one to open the database would cut the
        # file off under it (https://sqlite.org/howtocorrupt.html section 2.2).
        try:
            if self._index_fd is None:
                self._index_fd = os.open(self._index, os.O_RDONLY | os.O_CLOEXEC)
            header = os.pread(self._index_fd, _INDEX_HEADER.size, 0)
        except OSError:
            # SQLite makes it when the database is first used.
            return 0, b""
        if len(header) < _INDEX_HEADER.size:
            return 0, b""
        frames, salts = _INDEX_HEADER.unpack(header)
        return int(frames), bytes(salts)


def _read_thread_io() -> tuple[int, int] | None:
    try:
        lines = _THREAD_IO.read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(": ") for line in lines)
    return int(fields["wchar"]), int(fields["write_bytes"])
