"""A simulated board's NVS: named values in a file, which a power cut leaves old or new."""

import json
import os
from pathlib import Path


class Nvs:
    """Values by ``namespace/key``; a set becomes permanent with the next commit."""

    def __init__(self, path: Path):
        self._path = path
        self._values: dict[str, bytes] = {}
        self.revert()

    def get(self, name: str) -> bytes | None:
        """Return the value, or None where there is none."""
        return self._values.get(name)

    def put(self, name: str, value: bytes) -> None:
        """Set a value."""
        self._values[name] = value

    def erase(self, name: str) -> bool:
        """Remove a value; return whether there was one."""
        return self._values.pop(name, None) is not None

    def commit(self) -> None:
        """Make all that was set permanent."""
        new = self._path.with_suffix(".new")
        with new.open("w") as file:
            new.chmod(0o600)
            json.dump({name: value.hex() for name, value in self._values.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def forget(self) -> None:
        """Lose every value for good, as when the flash is erased."""
        self._path.unlink(missing_ok=True)
        self._values = {}

    def revert(self) -> None:
        """Go back to what was last committed, as a power cut does."""
        if self._path.exists():
            stored = json.loads(self._path.read_text())
            self._values = {name: bytes.fromhex(value) for name, value in stored.items()}
        else:
            self._values = {}
