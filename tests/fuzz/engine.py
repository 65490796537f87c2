"""The fuzzer: takes inputs from a target's corpus and grammar, changes them, and keeps what is new.

An input is new where it takes a step in the target's modules that none before took. For each input
it is checked that the target refuses in its own way or keeps its rules, in bounded time and memory.
"""

from __future__ import annotations

import random
import signal
import time
import traceback
import tracemalloc
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from tests.fuzz.coverage import Coverage
from tests.fuzz.mutation import splice
from tests.fuzz.target import Elsewhere, Target

_GENERATED = 0.3
_SPLICED = 0.1
# Of what was found new, the latest leads on.
_FROM_LATEST = 0.5
_LATEST = 16
_FINDINGS_MOST = 10
_SHRINKING_RUNS = 400


class Hang(BaseException):
    """An input took more of this process's time than its target allows."""


class TooMuchMemory(Exception):
    """An input took more memory than its target allows."""


@dataclass(frozen=True)
class Finding:
    """An input that broke a rule; `kind` tells findings with different causes apart."""

    kind: str
    text: str
    data: bytes


@dataclass
class Result:
    """What came of a run; `steps` is the coverage, of which the corpus alone had `from_corpus`."""

    target: str
    seed: int
    executions: int = 0
    duration_s: float = 0.0
    steps: int = 0
    from_corpus: int = 0
    refused: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Executions a second."""
        return self.executions / self.duration_s if self.duration_s else 0.0


class _Fuzzer:
    def __init__(self, target: Target, seed: int) -> None:
        self._target = target
        self._rng = random.Random(f"{target.name} {seed}")
        self._coverage = Coverage(target.traced)
        self._seen: set[Hashable] = set()
        self._pool: list[bytes] = []
        self._kinds: set[str] = set()
        self.result = Result(target.name, seed)

    def take(self, data: bytes) -> None:
        """Run an input, and keep it where it is new; a finding is shrunk and noted."""
        finding, features = self._execute(data)
        self.result.executions += 1
        if not features <= self._seen:
            self._seen |= features
            self._pool.append(data)
        if finding is not None and finding.kind not in self._kinds:
            self._kinds.add(finding.kind)
            self.result.findings.append(self._shrunk(finding))

    def next_input(self) -> bytes:
        rng = self._rng
        generated = self._target.generate(rng) if rng.random() < _GENERATED else None
        if generated is not None:
            data = generated
        else:
            data = self._target.mutate(rng, self._chosen())
            if rng.random() < _SPLICED:
                data = splice(rng, data, self._chosen())
        return data[: self._target.max_bytes]

    def count_steps(self) -> int:
        return len(self._seen)

    def _chosen(self) -> bytes:
        if not self._pool:
            return b""
        latest = self._rng.random() < _FROM_LATEST
        return self._rng.choice(self._pool[-_LATEST:] if latest else self._pool)

    def _execute(self, data: bytes) -> tuple[Finding | None, set[Hashable]]:
        target = self._target
        shown: set[Hashable] = set()
        finding = None
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            with _bounded(target.cpu_s), self._coverage:
                shown = set(target.run(data) or ())
            self._check_memory(data, tracemalloc.get_traced_memory()[1] - before)
        except target.refusals as refusal:
            self.result.refused += 1
            shown = {type(refusal).__name__, *getattr(refusal, "features", ())}
        except (Exception, Hang) as error:  # noqa: BLE001 - whatever it is, it is a finding
            finding = Finding(_kind(error), "".join(traceback.format_exception(error)), data)
        return finding, shown | self._coverage.steps

    def _check_memory(self, data: bytes, peak: int) -> None:
        allowed = self._target.heap_bytes + self._target.heap_factor * len(data)
        if peak > allowed:
            raise TooMuchMemory(f"{len(data)} bytes of input took {peak} bytes of memory")

    def _shrunk(self, finding: Finding) -> Finding:
        # Pieces are left out as long as the same fault shows.
        size, runs = len(finding.data) // 2, 0
        while size and runs < _SHRINKING_RUNS and finding.kind != Hang.__name__:
            at = 0
            while at < len(finding.data) and runs < _SHRINKING_RUNS:
                runs += 1
                shorter = finding.data[:at] + finding.data[at + size :]
                found, _ = self._execute(shorter)
                if found is not None and found.kind == finding.kind:
                    finding = found
                else:
                    at += size
            size //= 2
        return finding


@contextmanager
def _bounded(cpu_s: float) -> Iterator[None]:
    # The time of this process, not of the clock: on a busy machine nothing hangs for that.
    def hang(_: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {cpu_s} s of CPU")

    before = signal.signal(signal.SIGVTALRM, hang)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, Hang | RecursionError):
        # Where these are noticed is chance.
        return name
    if isinstance(error, Elsewhere):
        return str(error.args[0])
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{name} at {at.filename.rpartition('/')[2]}:{at.lineno}"


def fuzz(
    target: Target,
    corpus: Mapping[str, bytes],
    seed: int,
    *,
    executions: int | None = None,
    seconds: float | None = None,
) -> Result:
    """Run the corpus, then so many executions more or for so long."""
    fuzzer = _Fuzzer(target, seed)
    result = fuzzer.result
    tracemalloc.start()
    try:
        with target.opened():
            started = time.monotonic()
            for data in corpus.values():
                fuzzer.take(data)
            result.from_corpus = fuzzer.count_steps()
            most = None if executions is None else result.executions + executions
            while len(result.findings) < _FINDINGS_MOST and _goes_on(
                result, started, most, seconds
            ):
                fuzzer.take(fuzzer.next_input())
            result.duration_s = time.monotonic() - started
    finally:
        tracemalloc.stop()
    result.steps = fuzzer.count_steps()
    return result


def _goes_on(result: Result, started: float, most: int | None, seconds: float | None) -> bool:
    if most is not None and result.executions >= most:
        return False
    return seconds is None or time.monotonic() - started < seconds
