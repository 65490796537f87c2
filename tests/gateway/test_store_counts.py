"""What the store says it wrote, against what the kernel saw it do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WRITER = """
import asyncio, sys
from functools import partial
from pathlib import Path
from feltpost_gateway import store as module
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, Pack, Transaction

module._CHECKPOINT_BYTES = 100_000

async def main():
    store = Store(Path(sys.argv[1]))
    await store.open()
    node_id = await store.write(lambda t: t.register_node(NodeRow(bytes(8), "n", "o", "s")))
    print("begin", file=sys.stderr, flush=True)
    for first in range(120):
        pack = Pack(node_id, 1, first, 1, 1000, bytes(600))
        await store.write(partial(Transaction.append, pack=pack))
    await store.write(lambda _: None, checkpoint=True)
    await store.write(lambda t: t.save_cursor("mqtt", 1))
    disk = store.stats().disk
    print("end", file=sys.stderr, flush=True)
    print(disk.fdatasyncs, disk.written_bytes, disk.device_bytes)
    await store.close()

asyncio.run(main())
"""


NEIGHBOUR = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM packs").fetchone()[0])
connection.close()
"""

LOCKS = """
import asyncio, subprocess, sys
from pathlib import Path
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, Pack

async def main():
    path = Path(sys.argv[1])
    store = Store(path)
    await store.open()
    node_id = await store.write(lambda t: t.register_node(NodeRow(bytes(8), "n", "o", "s")))
    for first in range(20):
        pack = Pack(node_id, 1, first, 1, 1000, bytes(60))
        await store.write(lambda t, pack=pack: t.append(pack))
        held = Path("/proc/locks").read_text()
        inode = f":{Path(f'{path}-shm').stat().st_ino} "
        assert inode in held, "SQLite's lock of the wal-index is gone"
        subprocess.run([sys.executable, "-c", sys.argv[2], str(path)], check=True)
    await store.close()

asyncio.run(main())
"""


def test_others_may_look_into_the_store_meanwhile(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCKS, str(tmp_path / "s.db"), NEIGHBOUR],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, [str(n) for n in range(1, 21)]), (
        done.stderr
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace sees the system calls")
def test_counts_are_those_of_the_kernel(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=fdatasync,write,pwrite64"
    command = ["strace", "-f", "-qq", "-e", calls, "-e", "signal=none", "-o", str(trace)]
    traced = subprocess.run(
        [*command, sys.executable, "-c", WRITER, str(tmp_path / "s.db")],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in traced.stderr:
        pytest.skip(f"strace may not trace here: {traced.stderr.strip()}")
    syncs, written, device = map(int, traced.stdout.split())
    lines = trace.read_text().splitlines()
    begin = next(n for n, line in enumerate(lines) if '"begin"' in line or '"begin\\n"' in line)
    end = next(n for n, line in enumerate(lines) if '"end"' in line or '"end\\n"' in line)
    seen = lines[begin:end]
    # The commit of the node, which began the log, came before that and took two.
    assert sum("fdatasync(" in line for line in seen) == syncs - 2
    pwrites = sum(int(line.rsplit("= ", 1)[1]) for line in lines[:end] if "pwrite64(" in line)
    # Making the tables came before the count began.
    assert 0.8 * pwrites < written <= pwrites
    # A file system in memory has no device.
    assert device == 0 or device >= written // 2
