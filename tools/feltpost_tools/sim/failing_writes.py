"""SQLite's writes in this process, made to fail as a full, broken or read-only disk's do."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from feltpost_tools.errors import FeltpostError

_CALL = b"pwrite64"


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3 (https://sqlite.org/c3ref/vfs.html)."""

    _fields_ = (
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
    )


_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int64,
    use_errno=True,
)


class FailingWrites:
    """SQLite's pwrite(2), which fails with `error_number` from the `fail_from`-th call on."""

    def __init__(self) -> None:
        self.calls = 0
        self.fail_from: int | None = None
        self.error_number = 0

    def fail(self, error_number: int) -> None:
        """Have every write from now on fail with that error."""
        self.error_number = error_number
        self.fail_from = 0

    def heal(self) -> None:
        """Have writes succeed again."""
        self.fail_from = None


@contextmanager
def failing_writes() -> Iterator[FailingWrites]:
    """Put a function of ours in the place of the system call, as SQLite's own tests do.

    Raises `FeltpostError` where this machine's SQLite doesn't let itself be treated so.
    """
    try:
        library = ctypes.CDLL("libsqlite3.so.0")
    except OSError as error:
        raise FeltpostError(f"SQLite is not a shared library here: {error}") from error
    library.sqlite3_vfs_find.restype = ctypes.c_void_p
    address = library.sqlite3_vfs_find(None)
    vfs = _Vfs.from_address(address)
    get_call = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
        vfs.get_system_call
    )
    set_call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        vfs.set_system_call
    )
    real_address = get_call(address, _CALL)
    if not real_address:
        raise FeltpostError("this machine's SQLite does not write with pwrite64")
    real = _PWRITE(real_address)
    writes = FailingWrites()

    def pwrite(descriptor: int, data: int, size: int, offset: int) -> int:
        writes.calls += 1
        if writes.fail_from is not None and writes.calls >= writes.fail_from:
            ctypes.set_errno(writes.error_number)
            return -1
        return int(real(descriptor, data, size, offset))

    # SQLite calls it as long as it is in place, so it must not be collected before.
    callback = _PWRITE(pwrite)
    set_call(address, _CALL, ctypes.cast(callback, ctypes.c_void_p))
    try:
        yield writes
    finally:
        set_call(address, _CALL, real_address)
