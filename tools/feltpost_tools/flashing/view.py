"""Shows how far each board is: a bar for each on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from feltpost_tools.device.ports import Port
from feltpost_tools.flashing.result import Progress
from feltpost_tools.flashing.words import step_text


class View(Protocol):
    """What boards tell their progress to."""

    def board(self, port: Port) -> AbstractContextManager[Progress]:
        """Show a board until the context ends; it gives what the board's job is to tell."""
        ...


class Lines:
    """A line when a board begins with a step."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @contextmanager
    def board(self, port: Port) -> Iterator[Progress]:
        """Show a board, see `View`."""
        before = ""

        def progress(step: str, done: int, total: int) -> None:
            nonlocal before
            if step != before:
                self._console.print(f"{port.path}: {step_text(step)}", markup=False, soft_wrap=True)
            before = step

        yield progress


class BarsOnTerminal:
    """A bar for each board. A context manager: the bars are there while it is open."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.fields[port]}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def board(self, port: Port) -> Iterator[Progress]:
        """Show a board, see `View`."""
        task = self._bars.add_task("", total=None, port=port.path)

        def progress(step: str, done: int, total: int) -> None:
            # A step of unknown length moves by itself.
            self._bars.update(
                task,
                description=step_text(step),
                completed=done,
                total=total if total > 1 else None,
            )

        yield progress
        self._bars.update(task, total=1, completed=1, description="")


def view(console: Console) -> Lines | BarsOnTerminal:
    """Return what suits where the text goes."""
    return BarsOnTerminal(console) if console.is_terminal else Lines(console)
