"""What came of setting a board up, step by step, and how far a step is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from feltpost_tools.errors import AlreadyDone, DeviceError, FeltpostError

Progress = Callable[[str, int, int], None]
"""Told a step's name, how much of it is done, and how much there is to do."""


def no_progress(_step: str, _done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class StepResult:
    """Whether a step succeeded; if not, why, and what to do about it."""

    step: str
    ok: bool
    why: str = ""
    advice: str = ""


@dataclass(frozen=True)
class BoardResult:
    """All steps that a board went through; the last one may have failed."""

    port: str
    steps: tuple[StepResult, ...]

    @property
    def ok(self) -> bool:
        """Whether every step succeeded."""
        return self.failed is None

    @property
    def failed(self) -> StepResult | None:
        """The first step that failed."""
        return next((step for step in self.steps if not step.ok), None)


async def attempt(step: str, work: Awaitable[object]) -> StepResult:
    """Return what came of a step; only AlreadyDone and what is no FeltpostError is raised."""
    try:
        await work
    except AlreadyDone:
        raise
    except DeviceError as error:
        return StepResult(step, False, error.happened, error.advice)
    except FeltpostError as error:
        return StepResult(step, False, str(error))
    return StepResult(step, True)
