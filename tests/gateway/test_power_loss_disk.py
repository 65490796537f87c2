"""The model of a disk that loses its power, and what is read of strace's lines."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.gateway.power_loss.disk import (
    SECTOR_BYTES,
    Change,
    Create,
    Disk,
    Rename,
    Survives,
    Sync,
    Truncate,
    Unlink,
    Write,
)
from tests.gateway.power_loss.system_calls import read

NOTHING, EVERYTHING, FIRST, ANY = Survives

SEEDS = 200


def disk_after(*changes: Change, **files: bytes) -> Disk:
    disk = Disk(files)
    for change in changes:
        disk.apply(change)
    return disk


def states(disk: Disk, contents: Survives, names: Survives) -> set[tuple[tuple[str, bytes], ...]]:
    """All that is found with many seeds."""
    return {
        tuple(sorted(disk.after_power_loss(contents, names, Random(seed)).items()))
        for seed in range(SEEDS)
    }


def test_what_was_synced_is_there_and_the_rest_may_be() -> None:
    disk = disk_after(Write(1, "a", 0, b"new"), Sync(3, "a", 2), Write(4, "a", 3, b"er"), a=b"old")
    assert states(disk, NOTHING, NOTHING) == {(("a", b"new"),)}
    assert states(disk, EVERYTHING, NOTHING) == {(("a", b"newer"),)}
    assert states(disk, ANY, NOTHING) == {(("a", b"new"),), (("a", b"newer"),)}


def test_a_sync_holds_for_what_was_done_before_it() -> None:
    disk = disk_after(Write(1, "a", 0, b"1"), Write(3, "a", 0, b"2"), Sync(4, "a", 2), a=b"0")
    assert states(disk, NOTHING, NOTHING) == {(("a", b"1"),)}
    assert not disk.is_certain
    disk.apply(Sync(6, "a", 5))
    assert states(disk, NOTHING, NOTHING) == {(("a", b"2"),)}
    assert disk.is_certain


def test_a_write_is_torn_where_sectors_begin() -> None:
    disk = disk_after(Write(1, "a", 500, b"x" * 1000), a=bytes(1500))
    found = {dict(state)["a"] for state in states(disk, FIRST, NOTHING)}
    ends = [500, SECTOR_BYTES, 2 * SECTOR_BYTES, 1500]
    assert found == {bytes(500) + b"x" * (end - 500) + bytes(1500 - end) for end in ends}


def test_writes_survive_in_any_order_and_part() -> None:
    writes = [Write(1, "a", 0, b"1"), Write(2, "a", 0, b"2"), Write(3, "a", 1, b"3")]
    disk = disk_after(*writes, a=b"00")
    in_order = {b"00", b"10", b"20", b"23"}
    assert {dict(state)["a"] for state in states(disk, FIRST, NOTHING)} == in_order
    found = {dict(state)["a"] for state in states(disk, ANY, NOTHING)}
    assert found == in_order | {b"03", b"13"}


def test_what_lies_before_a_write_beyond_the_end_is_zeros() -> None:
    disk = disk_after(Write(1, "a", 2, b"x"), Truncate(2, "a", 1), Truncate(3, "a", 4), a=b"ab")
    assert states(disk, EVERYTHING, NOTHING) == {(("a", b"a\0\0\0"),)}
    disk = disk_after(Write(1, "a", 4, b"x"), a=b"ab")
    assert states(disk, EVERYTHING, NOTHING) == {(("a", b"ab\0\0x"),)}


def test_a_synced_file_is_lost_without_its_name() -> None:
    changes = [Create(1, "a"), Write(2, "a", 0, b"x"), Sync(4, "a", 3)]
    disk = disk_after(*changes)
    assert states(disk, EVERYTHING, NOTHING) == {()}
    assert states(disk, NOTHING, EVERYTHING) == {(("a", b"x"),)}
    disk.apply(Sync(6, "", 5))
    assert states(disk, NOTHING, NOTHING) == {(("a", b"x"),)}


def test_a_file_has_its_old_name_or_its_new_one() -> None:
    disk = disk_after(Rename(1, "new", "a"), Unlink(2, "b"), a=b"old", b=b"gone", new=b"new")
    assert disk.has_renamed
    before, after = (("a", b"old"), ("new", b"new")), (("a", b"new"),)
    assert states(disk, NOTHING, FIRST) == {
        tuple(sorted((*before, ("b", b"gone")))),
        tuple(sorted((*after, ("b", b"gone")))),
        after,
    }
    assert states(disk, NOTHING, ANY) == states(disk, NOTHING, FIRST) | {before}


def test_calls_that_succeeded_are_read_with_all_they_carried(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(
        r"""7 openat(AT_FDCWD<\x2f>, "\x2f\x61", O_RDONLY) = -1 ENOENT (No such file or directory)
7 pwrite64(3<\x2f\x61>, "\x00\xff\x29", 3, 1024 <unfinished ...>
8 recvfrom(4<TCP:[127.0.0.1:1->127.0.0.1:2]>,  <unfinished ...>
7 <... pwrite64 resumed>)           = 2
8 <... recvfrom resumed>"\x40", 1, 0, NULL, NULL) = 1
7 fdatasync(3<\x2f\x61>)            = 0
7 +++ exited with 0 +++
"""
    )
    write, receive, sync = read(trace)
    assert (write.name, write.path, write.strings) == ("pwrite64", "/a", [b"\x00\xff)"])
    assert (write.result, write.last_number, write.begun, write.ended) == (2, 1024, 1, 3)
    assert (receive.path, receive.strings) == ("TCP:[127.0.0.1:1->127.0.0.1:2]", [b"\x40"])
    assert (sync.name, sync.path, sync.begun) == ("fdatasync", "/a", 5)
