"""The short run: every input of the corpus, and some more, always the same, for each target."""

from __future__ import annotations

import pytest
from tests.fuzz import corpus
from tests.fuzz.engine import fuzz
from tests.fuzz.target import load, names

_SEED = 6


@pytest.mark.parametrize("name", names())
def test_nothing_is_found(name: str) -> None:
    target = load(name)
    kept = corpus.load(name)
    assert kept, f"corpus/{name} is empty"
    result = fuzz(target, kept, _SEED, executions=target.executions)
    assert not result.findings, "\n".join(
        f"{finding.text}\ninput: {finding.data.hex()}" for finding in result.findings
    )
    assert result.executions == len(kept) + target.executions
    assert result.steps > 1


def test_every_corpus_has_its_target() -> None:
    assert sorted(path.name for path in corpus.CORPUS.iterdir()) == names()
