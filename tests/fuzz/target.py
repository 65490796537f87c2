"""What a fuzz target is, and where targets are found."""

from __future__ import annotations

import abc
import importlib
import random
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz import mutation

TARGETS = Path(__file__).with_name("targets")


class Refusal(Exception):
    """An input was refused; `features` tell where, in what can't be traced."""

    def __init__(self, *features: Hashable) -> None:
        super().__init__(*features)
        self.features = features


class Elsewhere(Exception):
    """A fault in another process: what tells it from others, and all that is known of it."""


class Target(abc.ABC):
    """One entrance. A module of targets/ has one subclass; the module's name is the target's.

    `refusals` are the exceptions by which the entrance says no; whatever else `run` raises is a
    finding. `traced` names the modules whose lines count as coverage.
    """

    refusals: tuple[type[Exception], ...] = ()
    traced: tuple[str, ...] = ()
    tokens: tuple[bytes, ...] = ()
    """Pieces that the format is made of, for mutations to put in."""
    suffix = ".hex"
    """Of its corpus files: .hex for bytes, any other for files that are text as they stand."""
    max_bytes = 2048
    cpu_s = 5.0
    """Of this process, for one input; more is a hang."""
    heap_bytes = 4 << 20
    heap_factor = 200
    """An input may take `heap_bytes`, and so many times its own length."""
    executions = 400
    """How many inputs the short run tries beside the corpus."""

    def __init__(self) -> None:
        self.name = type(self).__module__.rpartition(".")[2]

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Set up what all inputs share, and take it down."""
        yield

    def generate(self, rng: random.Random) -> bytes | None:
        """Make an input by the format's grammar; None where there is no grammar."""
        return None

    def mutate(self, rng: random.Random, data: bytes) -> bytes:
        """Change an input a little."""
        return mutation.mutate(rng, data, self.tokens)

    @abc.abstractmethod
    def run(self, data: bytes) -> Iterable[Hashable] | None:
        """Give an input to the entrance and assert what must hold of whatever came of it.

        Return what the answer showed of the way that was taken, where lines can't be traced.
        """


def names() -> list[str]:
    """The names of all targets."""
    return sorted(path.stem for path in TARGETS.glob("[a-z]*.py"))


def load(name: str) -> Target:
    """The target of that name."""
    module = importlib.import_module(f"{__package__}.targets.{name}")
    (kind,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Target) and value.__module__.endswith(name)
    )
    return kind()
