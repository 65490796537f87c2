"""The gateway under measurement, a process of its own, seen from outside and asked from inside."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.table import ROOT
from feltpost_tools.errors import FeltpostError

_START_S = 120.0
_STOP_S = 60.0
_READY = b"feltpost.service ready"
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Counts:
    """Totals since the gateway was started.

    device_bytes: what the whole process made dirty in whole pages of the file system.
    """

    commits: int
    requests: int
    fdatasyncs: int
    device_bytes: int

    def since(self, earlier: Self) -> "Counts":
        """Return what was added after ``earlier``."""
        return Counts(
            self.commits - earlier.commits,
            self.requests - earlier.requests,
            self.fdatasyncs - earlier.fdatasyncs,
            self.device_bytes - earlier.device_bytes,
        )


@dataclass(frozen=True)
class Cpu:
    """CPU seconds: of the thread with the event loop, and of all others together."""

    main_s: float
    others_s: float

    def since(self, earlier: Self) -> "Cpu":
        """Return what was added after ``earlier``."""
        return Cpu(self.main_s - earlier.main_s, self.others_s - earlier.others_s)


class GatewayUnderTest:
    """``feltpost-gateway run`` by way of gateway_watched.py; a context manager."""

    def __init__(self, configuration: Path):
        """configuration: its file; the log is put beside it."""
        self._configuration = configuration
        self._log = configuration.with_suffix(".log")

    def __enter__(self) -> Self:
        """Start it and return when it serves."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.gateway_watched", str(self._configuration)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=ROOT,
        )
        ready = threading.Event()
        threading.Thread(target=self._copy_log, args=(ready,), daemon=True).start()
        if not ready.wait(_START_S) or self._process.poll() is not None:
            self.__exit__()
            raise FeltpostError(f"the gateway did not start:\n{self._log.read_text()}")
        return self

    def __exit__(self, *_: object) -> None:
        """Have it stop in good order, and wait until it has."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def lose_power(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def _copy_log(self, ready: threading.Event) -> None:
        assert self._process.stderr is not None
        with self._log.open("ab") as log:
            for line in self._process.stderr:
                log.write(line)
                log.flush()
                if _READY in line:
                    ready.set()
        # It has ended; nobody must wait any longer.
        ready.set()

    def _ask(self, question: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{question}\n".encode())
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise FeltpostError(
                f"the gateway has ended:\n{self._log.read_text()[-2000:]}"
            ) from error

    def counts(self) -> Counts:
        """Return what the store has done."""
        stats = self._ask("stats")
        return Counts(
            stats["commits"],
            stats["jobs"],
            stats["disk"]["fdatasyncs"],
            stats["process_device_bytes"],
        )

    def start_profile(self) -> None:
        """Begin to sample the main thread's stack."""
        self._ask("profile")

    def stop_profile(self) -> dict[str, int]:
        """Return how often which stack was found: functions, the innermost first, by spaces."""
        samples: dict[str, int] = self._ask("samples")
        return samples

    def cpu(self) -> Cpu:
        """Return the CPU time used up to now."""
        process = Path(f"/proc/{self._process.pid}")
        main_s = _cpu_s(process / "task" / str(self._process.pid) / "stat")
        return Cpu(main_s, _cpu_s(process / "stat") - main_s)

    def memory_mb(self, most: bool = False) -> float:
        """Return the resident memory now, or the most that it ever was, in 10^6 bytes."""
        name = "VmHWM:" if most else "VmRSS:"
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024 / 1e6
        raise FeltpostError("the gateway has ended")


def _cpu_s(stat: Path) -> float:
    # proc(5): the name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
