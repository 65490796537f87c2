"""A damaged store: moved aside, everything readable in a new one, nothing unaccounted for."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import make_config, make_node, running
from tests.support.node import pack

from feltpost_gateway import salvage
from feltpost_gateway.contacts import Contact, save_contacts
from feltpost_gateway.deletion import prune
from feltpost_gateway.delivery import DeadLetter, note_refused
from feltpost_gateway.errors import StoreError
from feltpost_gateway.migrations import PAGE_BYTES, SCHEMA_VERSION
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import (
    Gap,
    GapReason,
    NodeRow,
    Pack,
    Report,
    SecurityRow,
    Transaction,
)

NODES = [NodeRow(bytes([7] * 7 + [n]), f"node-{n}", "owner", "site") for n in range(3)]
PACKS = 150
COUNT = 4

Run = Callable[[Any], None]


def body_of(node: int, first: int) -> bytes:
    return random.Random(node << 32 | first).randbytes(200)


def fill(transaction: Transaction) -> None:
    """Packs of three nodes, a gap of each kind, security state, a cursor, a refusal, a report."""
    ids = [transaction.register_node(node) for node in NODES]
    for first in range(0, PACKS * COUNT, COUNT):
        for node_id in ids:
            transaction.append(
                Pack(node_id, 1, first, COUNT, 1000 + first, body_of(node_id, first))
            )
    end = PACKS * COUNT
    transaction.note_gap(Gap(ids[0], 1, end, 10, GapReason.JOURNAL_FULL, 5))
    transaction.append(Pack(ids[0], 1, end + 20, 1, 9000, b"x"))
    transaction.save_security(SecurityRow(b"\x01", bytes(8), (3, 5), 640))
    transaction.save_cursor("mqtt", 30)
    note_refused(transaction.connection, DeadLetter("mqtt", 20, "24-26", "a/b", "too large", 5))
    prune(transaction.connection, ("mqtt",), 1010, 100)
    transaction.save_report(Report(ids[1], 3, 1000, b"\xa1\x00\x61x"))
    transaction.connection.executemany(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
        [
            ("store-full", None, "", 7000, ""),
            ("clock-not-set", None, "", None, ""),
            ("sensor-fault", ids[0], "scd41", 8000, "1"),
            ("sensor-fault", ids[0], "sht4x", 8000, "1"),
            ("silent", ids[2], "", 9000, "600"),
        ],
    )
    save_contacts(
        transaction.connection, [Contact(ids[0], 9500, 60_000), Contact(ids[2], 9000, None)]
    )


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def suspect(path: Path) -> None:
    """Do what a gateway does that meets damage."""
    path.with_name(f"{path.name}.suspect").touch()


def contents(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in (path, log_of(path))}


def moved_aside(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.glob("*.damaged-*"))


async def make_store(path: Path, through_log: bool = False) -> None:
    store = Store(path)
    await store.open()
    await store.write(fill, checkpoint=not through_log)
    if through_log:
        # Closing the store empties the log; a power cut would not.
        copies = contents(path)
    await store.close()
    if through_log:
        for file, content in copies.items():
            file.write_bytes(content)


def read_all(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as reader:
        return {
            table: reader.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in (
                "nodes",
                "journals",
                "packs",
                "gaps",
                "cursors",
                "dead_letters",
                "reports",
                "events",
                "contacts",
            )
        }


def overwrite(path: Path, page: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(content)


def check_accounts(path: Path) -> int:
    """Each number kept is in packs or in one gap; return how many the damage took."""
    tables = read_all(path)
    lost = 0
    for node_id, journal, next_seq, kept_from in tables["journals"]:
        numbers = [
            number
            for _, node, of, first, count, _, _, body, _ in tables["packs"]
            if (node, of) == (node_id, journal)
            for number in range(first, first + count)
            if count == 1 or body == body_of(node_id, first)
        ]
        for node, of, first, count, reason, _ in tables["gaps"]:
            if (node, of) == (node_id, journal):
                numbers += range(first, first + count)
                lost += count if reason == GapReason.DAMAGED else 0
        assert sorted(numbers) == list(range(kept_from, next_seq))
    return lost


async def reopen(path: Path) -> None:
    store = Store(path)
    await store.open()
    await store.close()


def test_everything_comes_back_from_a_store_without_its_first_page(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        await make_store(path)
        before = read_all(path)
        damaged = bytes(PAGE_BYTES) + path.read_bytes()[PAGE_BYTES:]
        path.write_bytes(damaged)
        await reopen(path)
        after = read_all(path)
        for table, rows in before.items():
            # What had been deleted may come back, as long as it counts as delivered.
            extra = [row for row in after[table] if row not in rows]
            assert [row for row in after[table] if row in rows] == rows
            assert not extra or (table == "packs" and all(row[0] <= 30 for row in extra))
        assert path.with_name("s.db.damaged-1").read_bytes() == damaged, "moved, not changed"
        (said,) = [record for record in caplog.records if "salvaged " in record.getMessage()]
        assert said.levelname == "ERROR"
        assert "events=5 contacts=2 not_kept=" in said.getMessage()

    run(scenario())


def test_security_state_is_never_older_than_what_was_used(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        await make_store(path)
        overwrite(path, 1, bytes(PAGE_BYTES))
        store = Store(path)
        await store.open()
        row = await store.write(lambda t: t.load_security(b"\x01", bytes(8)))
        assert row is not None
        assert row.window is None, "an old window would let requests in twice"
        assert row.sender_reserved >= 640 + (1 << 32)
        new_id = await store.write(lambda t: t.append(Pack(1, 9, 0, 1, 1, b"")))
        assert new_id.stored == 1
        assert (await store.read_packs(0, 10_000))[-1].id > 451, "no id is used twice"
        await store.close()

    run(scenario())


@pytest.mark.parametrize("seed", range(6))
def test_what_a_ruined_page_held_is_written_off_as_a_gap(
    run: Run, tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "s.db"
    random_source = random.Random(seed)

    async def scenario() -> None:
        await make_store(path, through_log=seed % 3 == 0)
        pages = path.stat().st_size // PAGE_BYTES
        if seed % 3:
            for _ in range(3):
                page = random_source.randrange(1, pages + 1)
                overwrite(path, page, random_source.randbytes(PAGE_BYTES))
        else:
            overwrite(path, 1, b"ruined")
        suspect(path)
        await reopen(path)
        if {row[0] for row in read_all(path)["journals"]} == {1, 2, 3}:
            lost = check_accounts(path)
            assert lost <= 3 * 4 * COUNT * 3
        assert not path.with_name("s.db.suspect").exists()

    run(scenario())


def test_a_torn_log_costs_only_what_it_did_not_confirm(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        await make_store(path, through_log=True)
        log = log_of(path)
        log.write_bytes(log.read_bytes()[:-100])
        await reopen(path)
        assert moved_aside(tmp_path) == [], "SQLite itself drops a torn commit"

    run(scenario())


def test_version_1_is_salvaged_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    schema = Path(salvage.__file__).parent / "schema" / "0001.sql"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 4096")
    connection.executescript(schema.read_text() + "PRAGMA user_version = 1;")
    connection.execute("INSERT INTO nodes VALUES (1, ?, 'node', 'owner', 'site')", (bytes(8),))
    connection.execute("INSERT INTO journals VALUES (1, 1, 30)")
    connection.executemany(
        "INSERT INTO packs VALUES (?, 1, 1, ?, 2, 0, 1000, ?)",
        [(n, 2 * n, bytes(500)) for n in range(5, 15)],
    )
    connection.commit()
    connection.close()
    path.write_bytes(bytes(100) + path.read_bytes()[100:])

    run(reopen(path))
    tables = read_all(path)
    assert [row[3] for row in tables["packs"]] == list(range(10, 30, 2))
    assert tables["journals"] == [(1, 1, 30, 10)]
    assert tables["gaps"] == []


@pytest.mark.parametrize("renames", range(4))
def test_a_salvage_that_is_cut_off_is_finished(
    run: Run, tmp_path: Path, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power goes before the n-th rename; the next start must end up the same."""
    path = tmp_path / "s.db"

    class PowerCut(BaseException):
        pass

    async def scenario() -> None:
        await make_store(path, through_log=True)
        overwrite(path, 1, bytes(PAGE_BYTES))
        # The log has a good copy of that page, so nothing else would tell.
        suspect(path)
        real, done = Path.rename, []

        def rename(source: Path, target: Path) -> Path:
            if len(done) == renames:
                raise PowerCut
            done.append(source)
            return real(source, target)

        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(PowerCut):
            salvage.salvage(path)
        monkeypatch.undo()
        await reopen(path)
        assert check_accounts(path) == 0
        assert path.with_name("s.db.damaged-1").exists()
        assert not path.with_name("s.db.damaged-2").exists()
        assert not path.with_name("s.db.salvaged").exists()

    run(scenario())


def test_damage_met_in_use_ends_the_gateway_and_the_next_start_mends_it(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "feltpost.db"

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            for seq in range(0, 1200, 60):
                assert (await node.put(1, seq, pack(60))).code == codes.CHANGED
            sequence_number = node.keys.sender_sequence_number
            with sqlite3.connect(path) as outside:
                outside.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                (root,) = outside.execute(
                    "SELECT rootpage FROM sqlite_schema WHERE name = 'packs'"
                ).fetchone()
            overwrite(path, root, bytes(PAGE_BYTES))
            running_gateway = asyncio.create_task(gateway.run(asyncio.Event()))
            # SQLite has pages in its memory; it reads them anew once somebody else has written.
            with sqlite3.connect(path) as outside:
                outside.execute("INSERT INTO cursors VALUES ('someone', 1)")
            answer = await node.put(1, 1200, pack(1))
            assert answer.code == codes.SERVICE_UNAVAILABLE
            with pytest.raises(StoreError, match="damaged"):
                await running_gateway
            node.close()
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway, sequence_number=sequence_number + 1)
            assert (await node.put(1, 1200, pack(1))).code == codes.CHANGED
            node.close()

    run(scenario())
    with closing(sqlite3.connect(path)) as reader:
        rows = reader.execute("SELECT first, count FROM packs ORDER BY first").fetchall()
        assert sum(count for _, count in rows) == 1201
        assert reader.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    assert "salvaged" in caplog.text


def test_flipped_bits_are_not_taken_for_readings(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario() -> None:
        await make_store(path)
        content = path.read_bytes()
        at = content.index(body_of(1, 400))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        store = Store(path)
        await store.open()
        packs = await store.read_packs(0, 10_000)
        assert [(p.first, p.node.name) for p in packs if not p.body] == [(400, "node-0")]
        await store.close()

    run(scenario())


def test_other_files_are_left_alone(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "gateway.toml"
    text.write_text("[store]\npath = 'gateway.toml'\n" * 100)
    before = text.read_bytes()
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")

    async def scenario() -> None:
        with pytest.raises(StoreError, match="not a database"):
            await Store(text).open()
        with pytest.raises(StoreError, match="another program"):
            await Store(other).open()

    run(scenario())
    assert text.read_bytes() == before
    with closing(sqlite3.connect(other)) as connection:
        assert connection.execute("SELECT count(*) FROM songs").fetchone() == (0,)
