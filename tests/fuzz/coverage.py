"""Which steps from line to line an input takes in the modules that a target names.

It is `sys.settrace`, as every Python that the gateway runs on has it; the decoders are small enough
for that.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

_LINE_BITS = 20


class Coverage:
    """Collects steps while it is entered; a step is a number for (line before, line)."""

    def __init__(self, modules: Iterable[str]) -> None:
        files = [importlib.import_module(name).__file__ for name in modules]
        self._bases = {file: index << _LINE_BITS for index, file in enumerate(files, 1)}
        self._last = 0
        self.steps: set[int] = set()

    def __enter__(self) -> None:
        self.steps = set()
        self._last = 0
        if self._bases:
            sys.settrace(self._enters)

    def __exit__(self, *_: object) -> None:
        if self._bases:
            sys.settrace(None)

    def _enters(self, frame: FrameType, event: str, argument: Any) -> Any:
        # Frames of other modules are not followed, so they cost next to nothing.
        return self._follow if frame.f_code.co_filename in self._bases else None

    def _follow(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            here = self._bases[frame.f_code.co_filename] + frame.f_lineno
            self.steps.add(self._last << 2 * _LINE_BITS | here)
            self._last = here
        return self._follow
