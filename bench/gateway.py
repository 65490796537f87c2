"""The gateway's rows, beside those of a mosquitto bridge on the same machine in the same run."""

import asyncio
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from bench import gateway_comeback
from bench import gateway_scenes as scenes
from bench.gateway_figures import Backlog, Bridged, Serving, Taken, quantile
from bench.table import Row, Section

# Debian keeps /tmp in memory, where a commit costs nothing.
_FOLDER = Path("/var/tmp")

_SYNCS = 100
_SYNC_BYTES = 4096
_LOOK_S = 2.0
_OPEN_FILES = 4096


def measure(scale: float, progress: Console) -> Section:
    """Measure the gateway's budgets; progress tells what is being done.

    scale: how much of the full measurement is made.
    """
    _allow_open_files()
    sizes = scenes.Sizes.scaled(scale)
    busy = _busy()
    with tempfile.TemporaryDirectory(prefix="feltpost-bench-", dir=_FOLDER) as name:
        folder = Path(name)
        file_system = _file_system(folder)
        sync_ms = _sync_ms(folder / "sync")
        serving = asyncio.run(scenes.serve(_new(folder / "serve"), sizes, progress.print))
        bridged = asyncio.run(scenes.bridge(_new(folder / "bridge"), sizes, progress.print))
        backlog = asyncio.run(scenes.pile_up(_new(folder / "backlog"), sizes, progress.print))
        unknown, known = asyncio.run(
            gateway_comeback.come_back(
                _new(folder / "comeback"), sizes.many_nodes, scenes.MOST_READINGS, progress.print
            )
        )
    return Section(
        title="Gateway",
        rows=[
            *_taking_rows(serving, bridged, backlog),
            *_path_rows(serving, backlog),
            *_disk_rows(serving, backlog, sizes, sync_ms),
            *_latency_rows(serving, bridged),
            *_backlog_rows(backlog, sizes),
            *gateway_comeback.rows(unknown, known),
        ],
        ran_on=f"{_mosquitto()}, {file_system}",
        notes=list(_notes(serving, scale, busy)),
    )


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _taking_rows(serving: Serving, bridged: Bridged, backlog: Backlog) -> Iterator[Row]:
    bridge = bridged.delivered
    taken = backlog.filled.rate
    yield Row(
        "durable, authenticated, deduplicated readings, of what the bridge delivers",
        taken.readings_per_s / bridge.readings_per_s,
        "times",
        at_least=1,
    )
    what = f"{scenes.READINGS} readings a request"
    yield Row(f"taken, {what}, broker away: requests", taken.messages_per_s, "/s")
    yield Row(f"taken, {what}, broker away: readings", taken.readings_per_s, "/s")
    there = serving.flood.rate
    yield Row(f"taken, {what}, broker there: requests", there.messages_per_s, "/s")
    yield Row(
        f"delivered to a subscriber, {what}: readings", serving.delivered.readings_per_s, "/s"
    )
    most = serving.catching_up.rate
    what = f"{scenes.MOST_READINGS} readings a request"
    yield Row(f"taken, {what}, broker there: requests", most.messages_per_s, "/s")
    yield Row(f"taken, {what}, broker there: readings", most.readings_per_s, "/s")
    yield Row("mosquitto bridge, not durable: messages", bridge.messages_per_s, "/s")
    yield Row(
        f"mosquitto bridge, {scenes.READINGS} readings a message: readings",
        bridge.readings_per_s,
        "/s",
    )


def _path_rows(serving: Serving, backlog: Backlog) -> Iterator[Row]:
    taken = backlog.filled
    requests = taken.rate.messages
    yield Row("a request: CPU of the event loop", 1e6 * taken.cpu.main_s / requests, "µs")
    yield Row("a request: CPU of all other threads", 1e6 * taken.cpu.others_s / requests, "µs")
    for part, share in serving.profile.parts.items():
        yield Row(f"event loop's time in {part}", 100 * share, "%")


def _disk_rows(
    serving: Serving, backlog: Backlog, sizes: scenes.Sizes, sync_ms: float
) -> Iterator[Row]:
    yield Row(f"an fdatasync of {_SYNC_BYTES:,} bytes here, median", sync_ms, "ms")
    steady = f"{sizes.few_nodes} nodes, {scenes.READINGS} readings a minute each"
    for what, taken, at_most in (
        (steady, serving.steady, 64),
        ("one request at a time", serving.alone, None),
        (f"{scenes.IN_FLIGHT} requests at a time", backlog.filled, None),
    ):
        readings = taken.rate.readings
        yield Row(
            f"{what}: written to the device, per reading",
            taken.counts.device_bytes / readings,
            "bytes",
            at_most=at_most,
        )
        yield Row(f"{what}: fdatasyncs per reading", taken.counts.fdatasyncs / readings, "")
        yield Row(f"{what}: requests per commit", _requests_per_commit(taken), "")


def _requests_per_commit(taken: Taken) -> float:
    return taken.rate.messages / taken.counts.commits


def _latency_rows(serving: Serving, bridged: Bridged) -> Iterator[Row]:
    what = "idle, node to subscriber"
    for part, name, at_most in ((0.5, "p50", 10), (0.99, "p99", 50)):
        yield Row(f"{what}: {name}", quantile(serving.idle_ms, part), "ms", at_most=at_most)
    for part, name in ((0.5, "p50"), (0.99, "p99")):
        yield Row(f"bridge, {what}: {name}", quantile(bridged.idle_ms, part), "ms")


def _backlog_rows(backlog: Backlog, sizes: scenes.Sizes) -> Iterator[Row]:
    readings = sizes.backlog * scenes.READINGS
    what = f"while {readings:,} readings drain"
    for part, name, at_most in ((0.5, "p50", None), (0.99, "p99", 1_000)):
        latency_ms = quantile(backlog.live_ms, part)
        arrived = latency_ms != float("inf")
        yield Row(
            f"live latency {what}: {name}",
            latency_ms if arrived else None,
            "ms",
            at_most=at_most,
            why="did not arrive",
        )
    yield Row(f"{readings:,} readings: drained in", backlog.drain_s, "s", why="not drained")
    if backlog.drain_s is not None:
        yield Row("drained", readings / backlog.drain_s, "readings/s")
    nodes = f"memory with {sizes.many_nodes:,} nodes"
    yield Row(f"{nodes} and that backlog, at the start", backlog.started_mb, "MB")
    yield Row(f"{nodes} and that backlog, most {what}", backlog.draining_mb, "MB", at_most=90)
    rate = round(backlog.filled.rate.messages_per_s, -2)
    yield Row(f"{nodes}, most at {rate:,.0f} requests/s", backlog.filling_mb, "MB")


def _notes(serving: Serving, scale: float, busy: float) -> Iterator[str]:
    if scale != 1:
        yield f"Only {scale} of the full measurement: these are not the budgets' figures."
    yield f"{100 * busy:.0f} % of the machine's CPU was taken by others before the run."
    yield (
        "Bridge: QoS 1 all the way, mosquitto's own defaults but for a queue without a limit;"
        " payloads as long as the nodes' packs, without security. It writes nothing to the disk"
        " before it acknowledges."
    )
    yield (
        f"A node has one message under way at a time; {scenes.IN_FLIGHT} nodes wait for their"
        " answers. Every answer was decrypted and was a 2.04."
    )
    yield (
        "A backlog goes at the destination's backlog_rate, which is left as it is unless the"
        " configuration says otherwise."
    )
    functions = ", ".join(
        f"{name} {100 * share:.1f} %" for name, share in serving.profile.functions.items()
    )
    yield (
        "Sampled while the broker was there; the event loop waited"
        f" {100 * serving.profile.waiting:.0f} % of the time. Most by themselves: {functions}."
    )


def _sync_ms(path: Path) -> float:
    times_ms = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            begin_s = time.perf_counter()
            file.write(bytes(_SYNC_BYTES))
            os.fdatasync(file.fileno())
            times_ms.append(1000 * (time.perf_counter() - begin_s))
    return quantile(times_ms, 0.5)


def _file_system(folder: Path) -> str:
    # proc(5), mountinfo: the third field is major:minor, the type follows the lone dash.
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return "an unknown file system"


def _mosquitto() -> str:
    shown = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False)
    return shown.stdout.partition("\n")[0].replace(" version", "")


def _busy() -> float:
    before = _cpu_times()
    time.sleep(_LOOK_S)
    idle, total = (after - earlier for after, earlier in zip(_cpu_times(), before, strict=True))
    return 1 - idle / total


def _cpu_times() -> tuple[int, int]:
    # proc(5), stat: user, nice, system, idle, iowait, …; guest time is in user time already.
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return fields[3] + fields[4], sum(fields)


def _allow_open_files() -> None:
    # Each node has a socket of its own.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_OPEN_FILES, hard), hard))
