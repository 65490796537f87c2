"""``feltpost-gateway run`` as it is, in a process that also tells the bench what goes on inside.

Each line on standard input is a question, answered by one line of JSON on standard output:

- ``stats``: the store's counts, and what the process has written;
- ``profile``: begins to sample the main thread's stack, answered with null;
- ``samples``: ends that; how many samples of all found the main thread in which function.

The process ends when standard input does, so that none outlives the bench.
"""

import json
import os
import signal
import sys
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from feltpost_gateway.cli import app
from feltpost_gateway.store import Store

_SAMPLE_S = 0.001

_stores: list[Store] = []
_samples: Counter[str] = Counter()


def _watch_stores() -> None:
    open_store = Store.open

    async def open_watched(self: Store) -> None:
        _stores.append(self)
        await open_store(self)

    Store.open = open_watched  # type: ignore[method-assign]


def _sample(_signal: int, frame: FrameType | None) -> None:
    # The innermost function first, each as its module and name. What C code does counts for the
    # function that called it.
    if frame is not None and frame.f_code is _sample.__code__:
        # On a busy machine a signal may come while the one before is still being seen to.
        return
    stack = []
    while frame is not None:
        stack.append(f"{frame.f_globals.get('__name__')}:{frame.f_code.co_name}")
        frame = frame.f_back
    _samples[" ".join(stack)] += 1


def _answer(question: str) -> object:
    match question:
        case "stats":
            fields = dict(
                line.split(": ") for line in Path("/proc/self/io").read_text().splitlines()
            )
            device_bytes = int(fields["write_bytes"])
            return {**asdict(_stores[-1].stats()), "process_device_bytes": device_bytes}
        case "profile":
            _samples.clear()
            signal.setitimer(signal.ITIMER_REAL, _SAMPLE_S, _SAMPLE_S)
            return None
        case "samples":
            signal.setitimer(signal.ITIMER_REAL, 0)
            return dict(_samples)
        case _:
            raise ValueError(question)


def _answer_questions() -> None:
    # Not by sys.stdin: its lock, held by a thread that waits, would trouble an orderly end.
    with os.fdopen(os.dup(0), "r") as questions:
        for question in questions:
            os.write(1, json.dumps(_answer(question.strip())).encode() + b"\n")
    os._exit(1)


if __name__ == "__main__":
    _watch_stores()
    signal.signal(signal.SIGALRM, _sample)
    threading.Thread(target=_answer_questions, daemon=True).start()
    app(["run", "--config", sys.argv[1]])
