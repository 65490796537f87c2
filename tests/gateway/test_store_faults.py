"""A disk that is full, failing or read-only: nothing false is said, and it heals by itself."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import make_config, make_node, running
from tests.gateway.disks import Disk, failing_writes, thin_disk, tmpfs
from tests.support.node import Node, pack

from feltpost_gateway import service
from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, Pack, Transaction

NODE = NodeRow(bytes(8), "node", "owner", "site")

Run = Callable[[Any], None]


def config_on(disk: Disk) -> Any:
    return make_config(disk.path, store={"path": str(disk.path / "feltpost.db"), "min_free_mib": 0})


async def put_until(node: Node, code: codes.Code, seq: int = 0) -> Any:
    """Put the same pack until it is answered with `code`; return that answer."""
    while True:
        answer = await node.put(1, seq, pack(1))
        if answer.code == code:
            return answer
        assert answer.code in (codes.CHANGED, codes.SERVICE_UNAVAILABLE)


@pytest.fixture
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_STORE_RETRY_S", 0.05)


def numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as reader:
        rows = reader.execute("SELECT first, count FROM packs ORDER BY first").fetchall()
    return [number for first, count in rows for number in range(first, first + count)]


# Every write for one error, every seventh for the others, which take the same way.
@pytest.mark.parametrize(
    ("error_number", "step"), [(errno.EIO, 1), (errno.ENOSPC, 7), (errno.EROFS, 7)]
)
def test_an_error_at_any_write_tells_no_lie_and_heals(
    run: Run,
    fast_directory: Path,
    error_number: int,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the n-th write on all fail, for every n of a run that commits and checkpoints."""
    monkeypatch.setattr("feltpost_gateway.store._CHECKPOINT_BYTES", 10_000)

    async def scenario(writes: Any, path: Path, fail_from: int) -> bool:
        """Return whether any write was made to fail."""
        confirmed = 0
        store = Store(path)
        writes.calls, writes.error_number, writes.fail_from = 0, error_number, fail_from
        failed = False
        try:
            await store.open()
        except StoreUnavailableError:
            failed = True
            writes.heal()
            await store.open()
        try:
            node_id = 0
            while confirmed < 4:
                row = Pack(node_id, 1, confirmed, 1, 1000, bytes(900))
                try:
                    if not node_id:
                        node_id = await store.write(lambda t: t.register_node(NODE))
                        continue
                    await store.write(partial(Transaction.append, pack=row))
                    confirmed += 1
                except StoreUnavailableError:
                    assert not failed, "it healed but the store did not"
                    failed = True
                    writes.heal()
                    assert len(await store.read_packs(0, 100)) == confirmed
            reached = writes.calls >= fail_from
        finally:
            await store.close()
        writes.heal()
        assert numbers(path) == list(range(4))
        return reached

    async def sweep() -> None:
        with failing_writes() as writes:
            fail_from = 1
            while await scenario(writes, fast_directory / f"{fail_from}.db", fail_from):
                fail_from += step
            assert fail_from > 50, "the run has fewer writes than it should"

    run(sweep())


def test_device_errors_are_answered_5_03(run: Run, tmp_path: Path) -> None:
    """fdatasync itself gives EIO: the device behind the file system has no room."""

    async def scenario(disk: Disk) -> None:
        async with running(config_on(disk)) as gateway:
            node = make_node(gateway)
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            disk.fill()
            seq = 1
            while (answer := await node.put(1, seq, pack(60))).code == codes.CHANGED:
                seq += 60
            assert answer.code == codes.SERVICE_UNAVAILABLE
            disk.empty()
            await put_until(node, codes.CHANGED, seq)
            node.close()
        stored = numbers(disk.path / "feltpost.db")
        assert stored[:seq] == list(range(seq))

    with thin_disk(tmp_path) as disk:
        run(scenario(disk))


@pytest.mark.usefixtures("quick_retry")
@pytest.mark.parametrize("known", [False, True], ids=["new store", "known store"])
def test_full_disk_at_start_is_answered_5_03(run: Run, tmp_path: Path, known: bool) -> None:
    async def scenario(disk: Disk) -> None:
        sequence_number = 0
        if known:
            async with running(config_on(disk)) as gateway:
                node = make_node(gateway)
                assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
                sequence_number = node.keys.sender_sequence_number
                node.close()
        disk.fill()
        async with running(config_on(disk)) as gateway:
            node = make_node(gateway, sequence_number=sequence_number)
            partial_ivs = set()
            for _ in range(3):
                datagram, request_id = node.protect(codes.PUT, "/j/1/1", pack(1), 112)
                outer = await node.exchange(datagram)
                answer = node.unprotect(outer, request_id)
                assert answer.code == codes.SERVICE_UNAVAILABLE
                assert answer.opt.max_age == 30
                partial_ivs.add(outer.opt.oscore)
            assert len(partial_ivs) == 3
            disk.empty()
            await put_until(node, codes.CHANGED, 1)
            node.close()
        assert numbers(disk.path / "feltpost.db") == ([0, 1] if known else [1])

    with tmpfs(tmp_path / "disk", "1m") as disk:
        run(scenario(disk))


@pytest.mark.usefixtures("quick_retry")
def test_read_only_disk_at_start_is_answered_5_03(run: Run, tmp_path: Path) -> None:
    async def scenario(disk: Disk) -> None:
        async with running(config_on(disk)):
            pass
        disk.remount("ro")
        async with running(config_on(disk)) as gateway:
            node = make_node(gateway)
            answer = await node.put(1, 0, pack(1))
            assert answer.code == codes.SERVICE_UNAVAILABLE
            passer_by = make_node(gateway, sequence_number=100)
            passer_by.keys.derive_keys(b"", bytes(16))
            datagram, _ = passer_by.protect(codes.PUT, "/j/1/0", pack(1), 112)
            refused = await passer_by.exchange(datagram)
            assert refused.code == codes.BAD_REQUEST, "only who has the key is answered"
            disk.remount("rw")
            await put_until(node, codes.CHANGED)
            node.close()
            passer_by.close()

    with tmpfs(tmp_path / "disk", "1m") as disk:
        run(scenario(disk))
