"""Programs for a board's prompt, made of ../../../firmware/scripts, and what they tell."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.flashing.compile import firmware_source

_PACKAGE = "scripts"
_MARK = "feltpost:"


def call(function: str, *arguments: object) -> str:
    """Return the line that calls a script's function with constants, lists and dictionaries."""
    return f"{function}({', '.join(map(ascii, arguments))})"


async def run(
    board: Mpremote,
    modules: tuple[str, ...],
    *calls: str,
    timeout_s: float,
    soft_reset: bool = False,
) -> list[list[Any]]:
    """Run calls of functions of those scripts on a board; return what they tell, in its order.

    Raises a DeviceError.
    """
    program = "\n".join((_source(modules), *calls))
    printed = await board.run(program, timeout_s=timeout_s, soft_reset=soft_reset)
    lines = printed.splitlines()
    return [json.loads(line[len(_MARK) :]) for line in lines if line.startswith(_MARK)]


@cache
def _source(modules: tuple[str, ...]) -> str:
    # Return the scripts and those that they import as one program, without what is for readers.
    done: set[str] = set()
    body = [statement for module in modules for statement in _flat(module, done)]
    return ast.unparse(ast.Module(body, type_ignores=[]))


def _flat(module: str, done: set[str]) -> Iterator[ast.stmt]:
    if module in done:
        return
    done.add(module)
    path = firmware_source() / _PACKAGE / f"{module}.py"
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(_PACKAGE):
            yield from _flat(str(statement.module).removeprefix(f"{_PACKAGE}."), done)
        elif not _is_docstring(statement):
            if isinstance(statement, ast.FunctionDef) and _is_docstring(statement.body[0]):
                del statement.body[0]
            yield statement


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
