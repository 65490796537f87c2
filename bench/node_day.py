"""A node on UDP with some kit of sensors, for some simulated hours in a heap of a given size.

What it sends and is answered passes through a tap that counts it; what its heap is like comes from
its console (mp_watch.py).
"""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from feltpost_tools.flashing.compile import firmware_source
from feltpost_tools.sim import kit
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.rig import Plan, Rig, shared_recording
from feltpost_tools.sim.trace import Trace

_WATCH = Path(__file__).with_name("mp_watch.py")
_HOUR_S = 3600
_LOOK_S = 0.2
_DRAIN_S = 60.0
_INTERVAL_S = 60

# IPv4 and UDP without options.
_HEADER_BYTES = 20 + 8

# What MicroPython counts free blocks in where words have 32 bits.
_BLOCK_BYTES = 16
_MEM_INFO = re.compile(rb"GC: total: \d+, used: \d+, free: (\d+)\s+No\. of .*max free sz: (\d+)")
# The application has crashed, and the line before says why; or it has ended, and the prompt comes.
_ENDED = re.compile(rb"([^\n]*)\r?\n+(?:MicroPython v|(?:\xc0\n)?restarts in )")


@dataclass(frozen=True)
class HeapSample:
    """A board's heap after a collection: bytes free, and bytes of the largest free block."""

    free: int
    largest: int


@dataclass(frozen=True)
class Traffic:
    """What passed between board and gateway while ``sets`` sets of readings were taken.

    requests: datagrams from the board; octets: both ways, with IP and UDP headers.
    """

    sets: int
    requests: int
    octets: int


@dataclass(frozen=True)
class Day:
    """What became of the run.

    hours: how many the application completed; failure: what ended it early, empty when nothing
    did; heap: a sample an hour; traffic: that of the last hour.
    """

    hours: int
    failure: str
    heap: list[HeapSample]
    traffic: Traffic


@dataclass(frozen=True)
class Outage:
    """What became of a run without a gateway for a while.

    sampled, missing: readings; failure: what ended the run early, or what is missing, else empty.
    """

    sampled: int
    missing: int
    failure: str


@dataclass(frozen=True)
class _Datagram:
    from_board: bool
    octets: int
    simulated_s: float


class _Tap(asyncio.DatagramProtocol):
    """Passes datagrams between one board and the gateway, and remembers their lengths."""

    def __init__(self, rig: Rig):
        self._rig = rig
        self._gateway = ("127.0.0.1", rig.udp_port)
        self._board: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport
        self.passed: list[_Datagram] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        from_board = address != self._gateway
        if from_board:
            self._board = address
        self.passed.append(_Datagram(from_board, len(data) + _HEADER_BYTES, self._rig.simulated_s))
        self._transport.sendto(data, self._gateway if from_board else self._board)


# What a waste room's sensors may see beside its climate: by quantity, the value.
_ELSEWHERE = {"atmosphericPressure": 1013.25, "distance": 1.2}

INDOOR_CLIMATE: kit.Kit = kit
FIVE_SENSORS: kit.Kit = kit.I2cKit(
    {
        "scd41": {"co2": "co2"},
        "sht4x": {"temperature": "temperature", "relativeHumidity": "relativeHumidity"},
        "bh1750": {"illuminance": "illuminance"},
        "bme280": {"atmosphericPressure": "atmosphericPressure"},
        "vl53l1x": {"distance": "distance"},
    }
)
"""What the design's budget of 96 KiB is for: a node with five sensors, six readings a set."""


async def run(sensors: kit.Kit, folder: Path, heap_kib: int, hours: int) -> Day:
    """Run the application for so many simulated hours, or until it fails.

    sensors: INDOOR_CLIMATE or FIVE_SENSORS. folder: a new one, for all that the run writes.
    """
    async with _node(sensors, folder, heap_kib) as (rig, tap):
        # Half an interval off, so that no set is on its way at the first or the last moment.
        end_s = rig.simulated_s + hours * _HOUR_S + _INTERVAL_S / 2
        failure = await _run_until(rig, end_s + _INTERVAL_S) or await _drained(rig)
        console = _console(rig)
    samples = [
        HeapSample(int(free), int(blocks) * _BLOCK_BYTES)
        for free, blocks in _MEM_INFO.findall(console)
    ]
    counted = [d for d in tap.passed if end_s - _HOUR_S <= d.simulated_s < end_s]
    traffic = Traffic(
        sets=_HOUR_S // _INTERVAL_S,
        requests=sum(d.from_board for d in counted),
        octets=sum(d.octets for d in counted),
    )
    return Day(min(len(samples), hours), failure, samples, traffic)


async def without_gateway(sensors: kit.Kit, folder: Path, heap_kib: int, hours: int) -> Outage:
    """Take the gateway away for so many simulated hours, then give it back; see run()."""
    async with _node(sensors, folder, heap_kib) as (rig, _tap):
        failure = await _run_until(rig, rig.simulated_s + _HOUR_S / 2)
        await rig.gateway.stop()
        failure = failure or await _run_until(rig, rig.simulated_s + hours * _HOUR_S)
        await rig.gateway.start()
        failure = failure or await _run_until(rig, rig.simulated_s + _HOUR_S / 2)
        failure = failure or await _drained(rig)
        outcome = rig.ledger.outcome()
    return Outage(outcome.sampled, outcome.missing, failure)


@contextlib.asynccontextmanager
async def _node(sensors: kit.Kit, folder: Path, heap_kib: int) -> AsyncIterator[tuple[Rig, _Tap]]:
    firmware = folder / "firmware"
    shutil.copytree(firmware_source(), firmware, ignore=shutil.ignore_patterns("__pycache__"))
    main = firmware / "main.py"
    main.write_text(_WATCH.read_text() + main.read_text())
    plan = Plan(
        _extended(Trace.load(shared_recording()), _ELSEWHERE),
        ["udp"],
        interval_s=_INTERVAL_S,
        heap_kib=heap_kib,
        image=Image(folder / "image", firmware),
        kit=sensors,
    )
    async with Rig(plan, folder) as rig, tapped(rig) as tap:
        yield rig, tap


async def _drained(rig: Rig) -> str:
    # Return what is wrong once all has had its time to arrive; empty when nothing is.
    if await rig.drain(_DRAIN_S):
        return ""
    return f"{rig.ledger.outcome().missing} readings did not arrive"


def _extended(trace: Trace, constants: Mapping[str, float]) -> Trace:
    # With quantities that the recording lacks, which never change.
    values = {name: [value] * len(trace.times) for name, value in constants.items()}
    return Trace(trace.times, {**trace.values, **values})


@contextlib.asynccontextmanager
async def tapped(rig: Rig) -> AsyncIterator[_Tap]:
    # Put a tap between the rig's one board and its gateway, and start the board anew. It has had no
    # time to sample anything: its sensors are answered by this very event loop.
    loop = asyncio.get_running_loop()
    transport, tap = await loop.create_datagram_endpoint(
        lambda: _Tap(rig), local_addr=("127.0.0.1", 0)
    )
    try:
        board = rig.nodes[0].board
        await board.power_off()
        assert board.air
        board.air.close()
        port = board.join(transport.get_extra_info("sockname"))
        link = {"kind": "udp", "host": "127.0.0.1", "port": port, "ssid": "simulated"}
        board.install(rig.plan.kit.configuration([link], rig.plan.interval_s))
        await board.power_on()
        yield tap
    finally:
        transport.close()


async def _run_until(rig: Rig, simulated_s: float) -> str:
    # Return what ended the application before that moment; empty when nothing did.
    reached = asyncio.create_task(rig.until(simulated_s))
    try:
        while not reached.done():
            await asyncio.wait({reached}, timeout=_LOOK_S)
            if not rig.nodes[0].board.running:
                return "the interpreter died"
            ended = _ENDED.search(_console(rig))
            if ended:
                return ended[1].decode().strip()
    finally:
        reached.cancel()
    return ""


def _console(rig: Rig) -> bytes:
    return (rig.nodes[0].board.folder / "console.log").read_bytes()
