"""The node's rows: encoding, delivery over UDP, and the whole application in a board's heap."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from bench import journal_wear, node_battery, node_day, node_encode
from bench.table import Row, Section
from feltpost_tools.sim import interpreter

_DAY_H = 24
_OUTAGE_H = 6
_HEAP_KIB = 96
_HEAP_AIM_KIB = 64
_HEAP_MOST_KIB = 128
_HEAP_STEP_KIB = 4


def measure(micropython_lib: Path | None, days: int, progress: Console) -> Section:
    """Measure the node's budgets; progress tells what is being done.

    days: for how many simulated days the largest free block is watched, one at least.
    """
    # The budgets are those of a board, whose words have 32 bits.
    found = interpreter.find(32)
    with tempfile.TemporaryDirectory(prefix="feltpost-bench-") as name:
        folder = Path(name)
        progress.print("Encoding 12 readings …")
        encoding = node_encode.measure(found, folder, micropython_lib)
        progress.print("An hour with the indoor climate kit …")
        kit = node_day.INDOOR_CLIMATE
        delivery = asyncio.run(node_day.run(kit, folder / "delivery", _HEAP_MOST_KIB, 1))
        hours = _DAY_H * days
        progress.print(f"{hours} simulated hours with five sensors in {_HEAP_KIB} KiB …")
        kit = node_day.FIVE_SENSORS
        run = asyncio.run(node_day.run(kit, folder / "run", _HEAP_KIB, hours))
        progress.print(f"{_OUTAGE_H} simulated hours without a gateway …")
        outage = asyncio.run(node_day.without_gateway(kit, folder / "outage", _HEAP_KIB, _OUTAGE_H))
        least_kib = _least_heap(folder, progress)
        progress.print("Nodes on a battery …")
        battery = node_battery.rows(folder)
    notes = [
        encoding.reference,
        "Heap is what the application has; a simulated board's shims have theirs on top.",
        node_battery.NOTE,
    ]
    if run.failure:
        notes.append(f"The {hours} hours ended early: {run.failure}.")
    progress.print("The journal's wear …")
    return Section(
        title="Node",
        rows=[
            *_encoding_rows(encoding),
            *_delivery_rows(delivery),
            *_heap_rows(run, hours, least_kib),
            *_outage_rows(outage),
            *journal_wear.rows(),
            *battery,
        ],
        ran_on="MicroPython {}.{}.{}, {}-bit".format(*found.version, found.bits),
        notes=notes,
    )


def _outage_rows(outage: node_day.Outage) -> list[Row]:
    what = f"five sensors in {_HEAP_KIB} KiB, {_OUTAGE_H} hours without a gateway"
    missing = None if outage.failure and not outage.missing else outage.missing
    return [
        Row(f"{what}: readings sampled", outage.sampled, ""),
        Row(f"{what}: of these missing in the end", missing, "", at_most=0, why=outage.failure),
    ]


def _least_heap(folder: Path, progress: Console) -> int | None:
    # The smallest heap, in steps, in which a node with five sensors delivers for an hour.
    least_kib = None
    for kib in range(_HEAP_MOST_KIB, 0, -_HEAP_STEP_KIB):
        progress.print(f"An hour in a heap of {kib} KiB …")
        hour = asyncio.run(node_day.run(node_day.FIVE_SENSORS, folder / f"hour-{kib}", kib, 1))
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


def _heap_rows(run: node_day.Day, hours: int, least_kib: int | None) -> list[Row]:
    heap_bytes = _HEAP_KIB * 1024
    live = [heap_bytes - sample.free for sample in run.heap]
    largest = [sample.largest for sample in run.heap]
    what = f"five sensors in {_HEAP_KIB} KiB"

    def row(which: str, value: float | None, unit: str) -> Row:
        return Row(f"{what}: {which}", value, unit, why=run.failure)

    return [
        Row(f"{what}: simulated hours", run.hours, "", at_least=hours, why=run.failure),
        row("most live heap", max(live) / 1024 if live else None, "KiB"),
        row("largest free block, after the first hour", largest[0] if largest else None, "bytes"),
        row("largest free block, in the last hour", largest[-1] if largest else None, "bytes"),
        row("largest free block, least", min(largest) if largest else None, "bytes"),
        Row(
            "smallest heap for five sensors",
            least_kib,
            "KiB",
            at_most=_HEAP_AIM_KIB,
            why=f"more than {_HEAP_MOST_KIB} KiB",
        ),
    ]
