"""The command ``./run fuzz``: fuzzes for a time, prints what it found, keeps it, and reports."""

import random
import re
import resource
import time
from pathlib import Path
from typing import Annotated

import typer
from tests.fuzz import corpus, report
from tests.fuzz.engine import Finding, Result, fuzz
from tests.fuzz.target import Target, load, names

_UNITS = {"s": 1, "m": 60, "h": 3600}
# What an input should not even be able to ask for fails then, instead of the machine.
_ADDRESS_SPACE = 3 << 30


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        raise typer.BadParameter("must be a time such as 90s, 10m or 2h")
    return float(found[1]) * _UNITS[found[2] or "s"]


def _names(given: list[str] | None) -> list[str]:
    known = names()
    for name in given or ():
        if name not in known:
            raise typer.BadParameter(
                f"{name}: there is no such target; known are {', '.join(known)}"
            )
    return given or known


def main(
    targets: Annotated[list[str] | None, typer.Argument(help="All without it.")] = None,
    time_each: Annotated[
        str, typer.Option("--for", metavar="TIME", help="For how long, each target: 90s, 10m, 2h.")
    ] = "1m",
    seed: Annotated[int | None, typer.Option(help="Do again what a run with it did.")] = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", exists=True, help="Give the target these files and nothing else."),
    ] = None,
) -> None:
    """Fuzz the decoders that face a wire or a file; exit status 1 where something was found."""
    chosen, seconds = _names(targets), _seconds(time_each)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}")
    results = []
    started = time.time()
    for name in chosen:
        target = load(name)
        if inputs:
            given = {path.name: corpus.read(path) for path in inputs}
            result = fuzz(target, given, seed, executions=0)
        else:
            result = fuzz(target, corpus.load(name), seed, seconds=seconds)
        print(report.line(result), flush=True)
        for finding in result.findings:
            _tell(target, finding, keep=not inputs)
        results.append(result)
    if not inputs:
        print(f"report: {report.write(results, started)}")
    raise typer.Exit(_status(results))


def _tell(target: Target, finding: Finding, keep: bool) -> None:
    print(finding.text)
    if keep:
        path = corpus.save(target.name, target.suffix, finding.data, finding.kind)
        print(f"Again: ./run fuzz {target.name} --input {path}")


def _status(results: list[Result]) -> int:
    return int(any(result.findings for result in results))


typer.run(main)
