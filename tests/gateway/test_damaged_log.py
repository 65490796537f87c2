"""Bits that change in the store's files, and a log that is cut off where it had been synced.

What a log has after damage is saved. What was cut off is gone, and the next request says so.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.migrations import PAGE_BYTES
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import GapReason, NodeRow, Pack

Run = Callable[[Any], None]

SEED = 20261122
NODE = NodeRow(bytes(8), "node", "owner", "site")
STORE = "s.db"
LOG = f"{STORE}-wal"
LOG_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES
COUNT = 4

# Kinds of pages by their first byte ("Database File Format", section 1.6).
KINDS = {0x0D: "leaf", 0x05: "interior", 0x0A: "index leaf", 0x02: "index interior"}


def body_of(first: int) -> bytes:
    """What a pack has; every seventh has more than a page takes."""
    return Random(first).randbytes(3000 if first % 7 == 0 else 200)


async def append(store: Store, first: int) -> Any:
    pack = Pack(1, 1, first, COUNT, 1000 + first, body_of(first))
    return await store.write(lambda transaction: transaction.append(pack))


@dataclass(frozen=True)
class Files:
    """A store as it is when the power goes, with `old` packs in the database, `new` in its log."""

    old: int
    new: int
    database: bytes
    log: bytes

    @property
    def numbers(self) -> range:
        return range((self.old + self.new) * COUNT)

    def put(self, directory: Path, file: str, content: bytes) -> Path:
        """Write the files, one of them with another content; return where the store is."""
        directory.mkdir()
        for name, original in ((STORE, self.database), (LOG, self.log)):
            (directory / name).write_bytes(content if name == file else original)
        return directory / STORE

    def frames(self) -> Iterator[tuple[int, bool]]:
        """Where each frame of the log begins, and whether it ends a commit."""
        for offset in range(LOG_HEADER_BYTES, len(self.log), FRAME_BYTES):
            yield offset, any(self.log[offset + 4 : offset + 8])


async def make(path: Path, old: int, new: int) -> Files:
    store = Store(path)
    await store.open()
    await store.write(lambda transaction: transaction.register_node(NODE))
    for number in range(old):
        await append(store, number * COUNT)
    await store.write(lambda _: None, checkpoint=True)
    for number in range(old, old + new):
        await append(store, number * COUNT)
    files = await asyncio.to_thread(read_files, path, old, new)
    await store.close()
    return files


def read_files(path: Path, old: int, new: int) -> Files:
    return Files(old, new, path.read_bytes(), path.with_name(LOG).read_bytes())


async def open_store(path: Path) -> Store:
    store = Store(path)
    await store.open()
    return store


async def read(path: Path) -> dict[int, bytes]:
    """What a gateway reads of packs, by first number; where it meets damage, it starts anew."""
    for _ in range(3):
        store = await open_store(path)
        try:
            return {pack.first: pack.body for pack in await store.read_packs(0, 1000)}
        except StoreUnavailableError:
            continue
        finally:
            await store.close()
    raise AssertionError("the store can't be read, however often it is salvaged")


def gaps_of(path: Path) -> dict[int, int]:
    """The reasons of all numbers that are in gaps."""
    with closing(sqlite3.connect(path)) as store:
        rows = store.execute("SELECT first, count, reason FROM gaps").fetchall()
    return {
        number: reason for first, count, reason in rows for number in range(first, first + count)
    }


def check_accounts(files: Files, path: Path, packs: dict[int, bytes]) -> None:
    """Each pack is whole, or known to be spoilt, or a gap with the reason."""
    gaps = gaps_of(path)
    for first in files.numbers[::COUNT]:
        if first in packs:
            assert packs[first] in (body_of(first), b""), "a wrong reading is given out"
        else:
            lost = [gaps.get(number) for number in range(first, first + COUNT)]
            assert lost == [GapReason.DAMAGED] * COUNT, f"{first} is gone without a word"


def test_a_log_cut_off_anywhere_keeps_the_commits_before(run: Run, fast_directory: Path) -> None:
    """And the next request of the node makes the rest a gap, which its readings would close."""

    async def scenario() -> None:
        files = await make(fast_directory / STORE, old=0, new=20)
        commits = 0
        for number, (offset, is_commit) in enumerate(files.frames()):
            end = offset + FRAME_BYTES
            for cut in (offset, end - 500, end):
                commits += is_commit and cut == end
                path = files.put(fast_directory / f"{number}-{end - cut}", LOG, files.log[:cut])
                kept = range(0, commits * COUNT, COUNT)
                assert await read(path) == {first: body_of(first) for first in kept}
                assert gaps_of(path) == {}
        assert commits == files.new

    run(scenario())


def test_what_was_cut_off_is_a_gap_from_the_next_request_on(run: Run, fast_directory: Path) -> None:
    async def scenario() -> None:
        files = await make(fast_directory / STORE, old=0, new=20)
        ends = [offset + FRAME_BYTES for offset, is_commit in files.frames() if is_commit]
        path = files.put(fast_directory / "cut", LOG, files.log[: ends[11]])
        store = await open_store(path)
        outcome = await append(store, 20 * COUNT)
        assert (outcome.next_seq, outcome.unseen) == (21 * COUNT, 8 * COUNT)
        unseen = dict.fromkeys(range(12 * COUNT, 20 * COUNT), GapReason.UNSEEN)
        assert gaps_of(path) == unseen
        await append(store, 12 * COUNT)
        await store.close()
        assert gaps_of(path) == {n: reason for n, reason in unseen.items() if n >= 13 * COUNT}

    run(scenario())


@pytest.mark.parametrize("part", ["header of the log", "header of a frame", "page of a frame"])
def test_what_follows_on_a_flipped_bit_in_the_log_is_saved(
    run: Run, fast_directory: Path, part: str
) -> None:
    """But for the last two commits, which can't be told from one that the power loss tore."""

    async def scenario() -> None:
        files = await make(fast_directory / STORE, old=10, new=20)
        random = Random(f"{SEED} {part}")
        frames = list(files.frames())
        last = [number for number, (_, is_commit) in enumerate(frames) if is_commit][-3]
        for number in range(25):
            offset, _ = frames[random.randrange(last)]
            where = {
                "header of the log": range(LOG_HEADER_BYTES),
                "header of a frame": range(offset, offset + FRAME_HEADER_BYTES),
                "page of a frame": range(offset + FRAME_HEADER_BYTES, offset + FRAME_BYTES),
            }[part]
            flipped = flip(files.log, random.choice(where), random)
            path = files.put(fast_directory / str(number), LOG, flipped)
            check_accounts(files, path, await read(path))
            check_moved_aside(path, files.database, flipped)

    run(scenario())


def test_a_commit_that_the_power_loss_tore_is_no_damage(run: Run, fast_directory: Path) -> None:
    """Nobody was told of it, so it goes without a word."""

    async def scenario() -> None:
        files = await make(fast_directory / STORE, old=10, new=20)
        frames = list(files.frames())
        *_, before, _ = (number for number, (_, is_commit) in enumerate(frames) if is_commit)
        for number, (offset, _) in enumerate(frames[before + 1 :]):
            torn = flip(files.log, offset + FRAME_BYTES // 2, Random(SEED))
            path = files.put(fast_directory / str(number), LOG, torn)
            kept = files.numbers[:-COUNT:COUNT]
            assert await read(path) == {first: body_of(first) for first in kept}
            assert not list(path.parent.glob("*.damaged-*"))

    run(scenario())


def test_a_flipped_bit_in_the_database_makes_no_wrong_reading(
    run: Run, fast_directory: Path
) -> None:
    """In each kind of page. Only packs have a checksum; other rows are not compared here."""

    async def scenario() -> None:
        files = await make(fast_directory / STORE, old=150, new=2)
        pages: dict[str, list[int]] = {}
        for start in range(0, len(files.database), PAGE_BYTES):
            kind = KINDS.get(files.database[start], "other") if start else "first"
            pages.setdefault(kind, []).append(start)
        assert len(pages) >= 5
        for kind, starts in pages.items():
            random = Random(f"{SEED} {kind}")
            for number in range(12):
                place = random.choice(starts) + random.randrange(PAGE_BYTES)
                flipped = flip(files.database, place, random)
                path = files.put(fast_directory / f"{kind} {number}", STORE, flipped)
                check_accounts(files, path, await read(path))

    run(scenario())


def check_moved_aside(path: Path, database: bytes, log: bytes) -> None:
    aside = path.with_name(f"{STORE}.damaged-1")
    assert aside.read_bytes() == database
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == log


def flip(content: bytes, place: int, random: Random) -> bytes:
    flipped = bytearray(content)
    flipped[place] ^= 1 << random.randrange(8)
    return bytes(flipped)
