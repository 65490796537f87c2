"""Disks that fail: small and full, read-only, with errors, and SQLite's own calls to them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.failing_writes import FailingWrites
from feltpost_tools.sim.failing_writes import failing_writes as sqlite_writes

_FILLER_BYTES = 4096


class Disk:
    """A file system mounted at `path`."""

    def __init__(self, path: Path, filled_at: Path | None = None) -> None:
        self.path = path
        self._filler = (filled_at or path) / "filler"

    def fill(self) -> None:
        """Take all that is free."""
        with self._filler.open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(_FILLER_BYTES))

    def empty(self) -> None:
        self._filler.unlink()

    def remount(self, option: str) -> None:
        _run("mount", "-o", f"remount,{option}", str(self.path))


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def _mount(*command: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    try:
        _run(*command)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"{command[0]} does not work here: {error}")


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory in memory where there is one, for what need not last and is synced a lot."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        yield Path(directory)


@contextmanager
def tmpfs(path: Path, size: str) -> Iterator[Disk]:
    """A file system in memory; writes to it get ENOSPC when it is full."""
    path.mkdir()
    _mount("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))
    try:
        yield Disk(path)
    finally:
        _run("umount", str(path))


@contextmanager
def thin_disk(directory: Path) -> Iterator[Disk]:
    """A file system whose device has less room than it says: full, its writes fail with EIO."""
    with tmpfs(directory / "backing", "8m") as backing:
        image, path = backing.path / "image", directory / "thin"
        path.mkdir()
        with image.open("wb") as file:
            file.truncate(32 << 20)
        # Without a journal ext4 does not turn itself read-only at the first error.
        _run("mkfs.ext4", "-q", "-O", "^has_journal", str(image))
        _mount("mount", "-o", "loop,errors=continue", str(image), str(path))
        try:
            yield Disk(path, filled_at=backing.path)
        finally:
            _run("umount", str(path))


@contextmanager
def failing_writes() -> Iterator[FailingWrites]:
    """SQLite's writes made to fail where the machine's SQLite allows that."""
    with ExitStack() as stack:
        try:
            writes = stack.enter_context(sqlite_writes())
        except FeltpostError as error:
            pytest.skip(str(error))
        yield writes
