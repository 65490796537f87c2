"""The fuzzer itself: what it must find, and that it finds it again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.fuzz import corpus
from tests.fuzz.engine import Hang, Result, fuzz
from tests.fuzz.mutation import mutate
from tests.fuzz.target import Target
from tests.fuzz.toy import RefusedError, take


class Toy(Target):
    """A decoder with faults that few inputs show; `toy` says where they are."""

    refusals = (RefusedError,)
    traced = ("tests.fuzz.toy",)
    cpu_s = 0.3
    heap_bytes = 1 << 20

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []

    def run(self, data: bytes) -> None:
        self.taken.append(data)
        take(data)


def found_by(data: bytes) -> Result:
    return fuzz(Toy(), {"it": data}, seed=1, executions=0)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"E", "IndexError at toy.py"),
        (b"assertion", "AssertionError at toy.py"),
        (b"recursion", "RecursionError"),
        (b"endlessly", Hang.__name__),
        (b"memory", "TooMuchMemory"),
    ],
)
def test_faults_are_findings(data: bytes, kind: str) -> None:
    (finding,) = found_by(data).findings
    assert finding.kind.startswith(kind)


def test_a_refusal_is_none() -> None:
    result = found_by(b"no")
    assert (result.findings, result.refused) == ([], 1)


def test_coverage_leads_to_what_chance_does_not() -> None:
    """Four letters in their places, which are looked at one after the other."""
    toy, blind = Toy(), Toy()
    blind.traced = ()
    for one in (toy, blind):
        one.tokens = (b"d", b"e", b"p")
        fuzz(one, {"seed": b"...."}, seed=3, executions=1000)
    assert any(data.startswith(b"deep") for data in toy.taken)
    assert not any(data.startswith(b"deep") for data in blind.taken)


def test_a_finding_is_shrunk() -> None:
    (finding,) = found_by(b"............E.............").findings
    assert finding.data == b"E"


def test_a_seed_does_the_same_again() -> None:
    toys = [Toy(), Toy(), Toy()]
    for toy, seed in zip(toys, (5, 5, 6), strict=True):
        fuzz(toy, {"seed": b"E..."}, seed=seed, executions=300)
    assert toys[0].taken == toys[1].taken
    assert toys[0].taken != toys[2].taken


def test_a_finding_is_kept_as_it_was(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(200)
    path = corpus.save("toy", ".hex", data, "IndexError at toy.py:1", tmp_path)
    assert corpus.read(path) == data
    text = corpus.save("toy", ".toml", b"a = 1 # not a comment of ours", "", tmp_path)
    assert corpus.read(text) == b"a = 1 # not a comment of ours"
    assert corpus.load("toy", tmp_path) == {path.name: data, text.name: corpus.read(text)}


def test_mutations_change_nothing_but_their_copy() -> None:
    rng, data = random.Random(2), bytes(range(40))
    changed = {mutate(rng, data, (b"token",)) for _ in range(500)}
    assert data == bytes(range(40))
    assert len(changed) > 400
    assert any(b"token" in one for one in changed)
    assert mutate(rng, b"") is not None
