"""What a node tells of itself, and how it comes back from crashes and hangs."""

import asyncio
import math
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import cbor2
import pytest
from tests.support.boards import files_of

from feltpost_tools.flashing.compile import firmware_source
from feltpost_tools.sim.image import Image

pytestmark = pytest.mark.timeout(300)

HOUR_S = 3600
INTERVAL_S = 300
WAIT_S = 60

# Goes behind the node's app.py: its light sensor does, as often as the board's NVS says, what that
# names.
FAULTY = """
import asyncio, esp32, time
from feltpost import sensor_bh1750

def _fault():
    faults = esp32.NVS("fault")
    try:
        left = faults.get_i32("times")
    except OSError:
        return None
    if left <= 0:
        return None
    faults.set_i32("times", left - 1)
    faults.commit()
    kind = bytearray(8)
    return kind[: faults.get_blob("kind", kind)].decode()

async def _sample(self, values, sample=sensor_bh1750.Bh1750.sample):
    kind = _fault()
    if kind == "crash":
        values[1 << 20] = 0
    if kind == "hang":
        await asyncio.Event().wait()
    if kind == "block":
        time.sleep_ms(100_000_000)
    await sample(self, values)

sensor_bh1750.Bh1750.sample = _sample
"""


@pytest.fixture
def faulty(tmp_path_factory):
    """Return a firmware whose light sensor can be made to fail, see fault()."""
    folder = tmp_path_factory.mktemp("faulty")
    firmware = folder / "firmware"
    shutil.copytree(firmware_source(), firmware, ignore=shutil.ignore_patterns("__pycache__"))
    app = firmware / "feltpost" / "app.py"
    app.write_text(app.read_text() + FAULTY)
    return Image(folder / "image", firmware)


def fault(board, kind, times=1):
    board.nvs.put("fault/kind", kind.encode())
    board.nvs.put("fault/times", struct.pack("<i", times))
    board.nvs.commit()


def reports(running, node=1):
    """Return what the gateway's store has of a node's reports, oldest boot first."""
    # From a copy: the database is the gateway's while it runs.
    with tempfile.TemporaryDirectory() as folder:
        for file in running.folder.glob("feltpost.db*"):
            if file.suffix in (".db", ".db-wal"):
                shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / "feltpost.db")) as database:
            rows = database.execute(
                "SELECT body FROM reports JOIN nodes ON nodes.id = node_id"
                " WHERE name = ? ORDER BY boot",
                (f"node-{node}",),
            ).fetchall()
    return [cbor2.loads(body) for (body,) in rows]


async def reported(running, count, node=1):
    """Wait until a node has sent so many reports and return them."""
    async with asyncio.timeout(WAIT_S):
        while len(found := reports(running, node)) < count:
            await running.until(running.simulated_s + 60)
    return found


def boots(board):
    """Return how often the node has started."""
    return (board.folder / "console.log").read_bytes().count(b" sensors")


async def complete(running):
    """Wait until all that was sampled has arrived."""
    assert await running.drain(WAIT_S)
    outcome = running.ledger.outcome()
    assert (outcome.missing, outcome.wrong) == (0, 0), running.ledger.wrong[:5]


def test_a_node_that_is_well_tells_its_health_and_is_reset_by_nobodys_absence(rig):
    seen = []

    async def run():
        async with rig(["udp"], interval_s=INTERVAL_S) as running:
            keep = running.subscriber._received
            running.subscriber._received = lambda reading, at: (
                seen.append(reading),
                keep(reading, at),
            )
            await running.until(1.5 * HOUR_S)
            await running.gateway.stop()
            await running.until(5.5 * HOUR_S)
            await running.gateway.start()
            await running.until(5.8 * HOUR_S)
            await complete(running)
            return reports(running), boots(running.nodes[0].board)

    (report,), started = asyncio.run(run())
    assert started == 1
    assert report[0]
    assert report[3] == 1
    assert report[7] < 60
    assert not {4, 5, 6} & report.keys()
    health = {}
    for reading in seen:
        health.setdefault(reading.name, []).append(reading.value)
    hours = len(health["uptime"])
    assert hours > 5
    assert [round(uptime_s, -1) for uptime_s in health["uptime"]] == [
        n * HOUR_S for n in range(hours)
    ]
    assert min(health["freeHeap"]) > 10_000
    assert health["readingsLost"] == [0] * hours
    assert health["journalFill"][0] == health["retries"][0] == 0
    assert health["retries"] == sorted(health["retries"])
    assert health["retries"][-1] > 10
    assert health["resetCause"] == [1]


def test_crashes_and_hangs_are_told_after_the_reset_and_cost_no_reading(rig, faulty):
    async def run():
        links = ["serial", "udp", "udp", "udp"]
        async with rig(links, image=faulty, interval_s=INTERVAL_S) as running:
            boards = [node.board for node in running.nodes]
            await running.until(60)
            fault(boards[0], "crash")
            fault(boards[1], "hang")
            fault(boards[2], "block")
            # One to end the good boot, and ten bad ones.
            fault(boards[3], "crash", 11)
            found = [
                await reported(running, count, node)
                for node, count in enumerate((2, 2, 2, 3), start=1)
            ]
            await running.until(running.simulated_s + INTERVAL_S)
            await complete(running)
            for board in boards:
                await board.power_off()
                files = files_of(board)
                assert "feltpost.json" in files
                assert "crash.txt" not in files
            return found

    (_, crash), (_, hang), (_, block), (_, safe, after) = asyncio.run(run())
    assert crash[3] == 2
    assert "in round" in crash[5]
    assert crash[5].endswith("IndexError: list index out of range\n")
    assert hang[3] == 3
    assert hang[5] == "watchdog: bh1750 makes no progress; the board is reset"
    # Nothing ran any more that could have told.
    assert block[3] == 3
    assert 5 not in block
    # After an hour in safe mode it made an attempt, which was a good one.
    assert safe[6]
    assert not {5, 6} & after.keys()


def test_a_technician_gets_into_safe_mode_and_the_node_back_to_work(rig, faulty):
    async def run():
        async with rig(["serial"], image=faulty, interval_s=INTERVAL_S) as running:
            board = running.nodes[0].board
            await running.until(60)
            fault(board, "crash", 1000)
            _, safe, *_ = await reported(running, 2)
            # People don't work at the simulation's speed.
            running.world.speed = 1
            await running.gateway.stop()
            port = str(board.line.path)
            result = await asyncio.to_thread(
                subprocess.run,
                [
                    sys.executable,
                    "-m",
                    "mpremote",
                    "connect",
                    port,
                    "resume",
                    "exec",
                    "print(6 * 7)",
                ],
                capture_output=True,
                timeout=30,
            )
            assert (result.returncode, result.stdout.strip()) == (0, b"42"), result
            fault(board, "crash", 0)
            left_s = running.simulated_s
            running.world.speed = math.inf
            await running.gateway.start()
            count = len(reports(running))
            after = (await reported(running, count + 1))[-1]
            back_s = running.simulated_s
            await running.until(back_s + INTERVAL_S)
            await complete(running)
            return safe, after, back_s - left_s

    safe, after, prompt_s = asyncio.run(run())
    assert (safe[3], safe[6]) == (2, True)
    assert safe[5].endswith("IndexError: list index out of range\n\n10 more crashes since")
    # Forgotten at the prompt for an hour it went back to work, the crashes forgiven.
    assert after[3] == 3
    assert not {5, 6} & after.keys()
    assert prompt_s >= HOUR_S
