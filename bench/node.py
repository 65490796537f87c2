"""The node's rows: encoding, delivery over UDP, and the whole application in a board's heap."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from bench import journal_wear, node_day, node_encode
from bench.table import Row, Section
from feltpost_tools.sim import interpreter

_DAY_H = 24
_HEAP_KIB = 96
_HEAP_AIM_KIB = 64
_HEAP_MOST_KIB = 128
_HEAP_STEP_KIB = 8


def measure(micropython_lib: Path | None, progress: Console) -> Section:
    """Measure the node's budgets; progress tells what is being done."""
    # The budgets are those of a board, whose words have 32 bits.
    found = interpreter.find(32)
    with tempfile.TemporaryDirectory(prefix="feltpost-bench-") as name:
        folder = Path(name)
        progress.print("Encoding 12 readings …")
        encoding = node_encode.measure(found, folder, micropython_lib)
        progress.print(f"{_DAY_H} simulated hours in a heap of {_HEAP_KIB} KiB …")
        day = asyncio.run(node_day.run(folder / "day", _HEAP_KIB, _DAY_H))
        least_kib = _least_heap(folder, progress)
    notes = [
        encoding.reference,
        "Heap is what the application has; a simulated board's shims have theirs on top.",
    ]
    if day.failure:
        notes.append(f"The {_DAY_H} hours ended early: {day.failure}.")
    progress.print("The journal's wear …")
    return Section(
        title="Node",
        rows=[
            *_encoding_rows(encoding),
            *_delivery_rows(day),
            *_heap_rows(day, least_kib),
            *journal_wear.rows(),
        ],
        ran_on="MicroPython {}.{}.{}, {}-bit".format(*found.version, found.bits),
        notes=notes,
    )


def _least_heap(folder: Path, progress: Console) -> int | None:
    # The smallest heap, in steps, in which the application delivers for an hour.
    least_kib = None
    for kib in range(_HEAP_MOST_KIB, 0, -_HEAP_STEP_KIB):
        progress.print(f"An hour in a heap of {kib} KiB …")
        hour = asyncio.run(node_day.run(folder / f"hour-{kib}", kib, 1))
        if hour.failure:
            break
        least_kib = kib
    return least_kib


def _encoding_rows(encoding: node_encode.Encoding) -> list[Row]:
    what = "12 readings, SenML-CBOR and OSCORE"
    return [
        Row(f"{what}: size", encoding.message_bytes, "bytes", at_most=160),
        Row(
            f"{what}: time, of micropython-lib's for encoding alone",
            encoding.time_us / encoding.reference_us,
            "times",
            at_most=0.5,
        ),
        Row(
            f"{what}: heap churn, of micropython-lib's for encoding alone",
            encoding.allocated / encoding.reference_allocated,
            "times",
            at_most=0.2,
        ),
        Row(f"{what}: time on this machine", encoding.time_us, "µs"),
        Row(f"{what}: heap churn", encoding.allocated, "bytes"),
    ]


def _delivery_rows(day: node_day.Day) -> list[Row]:
    what = "4 readings delivered and acknowledged over UDP"
    traffic = day.traffic
    return [
        Row(
            f"{what}: round trips",
            None if day.failure else traffic.requests / traffic.sets,
            "",
            at_most=1,
            why=day.failure,
        ),
        Row(
            f"{what}: both ways, with IP and UDP headers",
            None if day.failure else traffic.octets / traffic.sets,
            "bytes",
            at_most=210,
            why=day.failure,
        ),
    ]


def _heap_rows(day: node_day.Day, least_kib: int | None) -> list[Row]:
    heap_bytes = _HEAP_KIB * 1024
    live = [heap_bytes - sample.free for sample in day.heap]
    largest = [sample.largest for sample in day.heap]
    what = f"whole application in {_HEAP_KIB} KiB"
    return [
        Row(f"{what}: simulated hours", day.hours, "", at_least=_DAY_H),
        Row(
            f"{what}: most live heap",
            max(live) / 1024 if live else None,
            "KiB",
            why=day.failure,
        ),
        Row(
            f"{what}: largest free block, after the first hour",
            largest[0] if largest else None,
            "bytes",
            why=day.failure,
        ),
        Row(
            f"{what}: largest free block, least",
            min(largest) if largest else None,
            "bytes",
            why=day.failure,
        ),
        Row(
            "smallest heap for the whole application",
            least_kib,
            "KiB",
            at_most=_HEAP_AIM_KIB,
            why=f"more than {_HEAP_MOST_KIB} KiB",
        ),
    ]
