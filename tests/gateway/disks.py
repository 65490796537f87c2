"""Disks that fail: small and full, read-only, with errors, and SQLite's own calls to them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3 (https://sqlite.org/c3ref/vfs.html)."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("max_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("app_data", ctypes.c_void_p),
        ("methods", ctypes.c_void_p * 13),
        ("set_system_call", ctypes.c_void_p),
        ("get_system_call", ctypes.c_void_p),
        ("next_system_call", ctypes.c_void_p),
    ]


_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int64,
    use_errno=True,
)
_CALL = b"pwrite64"


class FailingWrites:
    """SQLite's pwrite(2), which fails with `error_number` from the `fail_from`-th call on."""

    def __init__(self) -> None:
        self.calls = 0
        self.fail_from: int | None = None
        self.error_number = 0

    def heal(self) -> None:
        self.fail_from = None


@contextmanager
def failing_writes() -> Iterator[FailingWrites]:
    """Put a function of ours in the place of the system call, as SQLite's own tests do."""
    try:
        library = ctypes.CDLL("libsqlite3.so.0")
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        address = library.sqlite3_vfs_find(None)
        vfs = _Vfs.from_address(address)
        get_call = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
            vfs.get_system_call
        )
        set_call = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
        )(vfs.set_system_call)
        real_address = get_call(address, _CALL)
    except OSError as error:
        pytest.skip(f"SQLite is not a shared library here: {error}")
    if not real_address:
        pytest.skip("this SQLite does not write with pwrite64")
    real = _PWRITE(real_address)
    writes = FailingWrites()

    @_PWRITE
    def pwrite(descriptor: int, data: int, size: int, offset: int) -> int:
        writes.calls += 1
        if writes.fail_from is not None and writes.calls >= writes.fail_from:
            ctypes.set_errno(writes.error_number)
            return -1
        return int(real(descriptor, data, size, offset))

    set_call(address, _CALL, ctypes.cast(pwrite, ctypes.c_void_p))
    try:
        yield writes
    finally:
        set_call(address, _CALL, real_address)
