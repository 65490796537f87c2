"""Who has a board: one run at a time, the others wait for a while and are told who has it."""

import hashlib
import os
import tempfile
from pathlib import Path

import filelock

from feltpost_tools.errors import BoardBusy

_LOCKS = Path("/run/lock")
_EVERYBODY = 0o777
_READABLE = 0o644


class BoardLock:
    """The lock of the board at a port, whatever the port is called; the system frees it with us."""

    def __init__(self, port: str, folder: Path | None = None):
        """folder: where locks are; the computer's own for None, so that all its users meet."""
        self._port = port
        folder = folder or _folder()
        digest = hashlib.sha256(os.path.realpath(port).encode()).hexdigest()[:16]
        self._holder = folder / f"{digest}.holder"
        self._lock = filelock.FileLock(folder / f"{digest}.lock", mode=0o666)

    def take(self, who: str, wait_s: float) -> None:
        """Take it; who: what others are told. Raises BoardBusy after wait_s."""
        try:
            self._lock.acquire(timeout=wait_s)
        except filelock.Timeout:
            raise BoardBusy(
                f"{self._port}: the board is in use by {self._who()}. Wait until that run is done, "
                f"or give this one more time with --board-wait (it was {wait_s:g} s)."
            ) from None
        self._holder.unlink(missing_ok=True)
        self._holder.write_text(who)
        self._holder.chmod(_READABLE)

    def release(self) -> None:
        """Let others have it."""
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _who(self) -> str:
        try:
            return self._holder.read_text()
        except OSError:
            return "another run"


def _folder() -> Path:
    base = _LOCKS if os.access(_LOCKS, os.W_OK) else Path(tempfile.gettempdir())
    folder = base / "feltpost-boards"
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        # Not sticky: there the kernel would not let one user open another's lock.
        folder.chmod(_EVERYBODY)
    return folder
