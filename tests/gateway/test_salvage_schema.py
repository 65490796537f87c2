"""A store whose schema is damaged: what SQLite says of it then may not even be text."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import make_config, make_node, running
from tests.gateway.old_stores import make_old
from tests.support.node import pack

from feltpost_gateway import service

# The row of a table in sqlite_schema: type, name, table, and the statement that made it.
ROW = b"tablepackspacks"
STATEMENT = b"CREATE TABLE packs"


async def readings_taken(directory, first, count, sequence_number=0):
    async with running(make_config(directory)) as gateway:
        node = make_node(gateway, sequence_number=sequence_number)
        assert (await node.put(1, first, pack(count))).code == codes.CHANGED
        node.close()


@pytest.mark.parametrize("name", [b"pbcks", b"\xe5acks"])
def test_a_damaged_schema_is_salvaged_whatever_is_said_of_it(tmp_path, name):
    path = tmp_path / "feltpost.db"
    asyncio.run(readings_taken(tmp_path, 0, 12))
    content = path.read_bytes()
    assert ROW in content
    content = content.replace(ROW, b"table" + name + b"packs")
    path.write_bytes(content.replace(STATEMENT, b"CREATE TABLX packs"))
    with closing(sqlite3.connect(path)) as reader, pytest.raises(Exception) as error:  # noqa: PT011
        reader.execute("SELECT * FROM packs")
    assert isinstance(error.value, UnicodeDecodeError) == (name == b"\xe5acks")
    asyncio.run(readings_taken(tmp_path, 12, 6, sequence_number=1000))
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT sum(count) FROM packs").fetchone() == (18,)
    assert (tmp_path / "feltpost.db.damaged-1").exists()


def test_a_schema_with_another_name_in_it_is_salvaged_without_a_restart(tmp_path, monkeypatch):
    path = tmp_path / "feltpost.db"
    asyncio.run(readings_taken(tmp_path, 0, 12))
    content = path.read_bytes()
    assert b"name TEXT NOT NULL" in content
    path.write_bytes(content.replace(b"name TEXT NOT NULL", b"nale TEXT NOT NULL"))
    monkeypatch.setattr(service, "_STORE_RETRY_S", 0.01)

    async def run():
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway, sequence_number=1000)
            async with asyncio.timeout(30):
                while (await node.put(1, 12, pack(6))).code != codes.CHANGED:
                    pass
            node.close()

    asyncio.run(run())
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT sum(count) FROM packs").fetchone() == (18,)
    assert (tmp_path / "feltpost.db.damaged-1").exists()


def test_a_table_that_only_a_later_statement_would_miss_is_salvaged(tmp_path):
    path = tmp_path / "feltpost.db"
    asyncio.run(readings_taken(tmp_path, 0, 12))
    content = path.read_bytes()
    assert b"kept_from" in content
    path.write_bytes(content.replace(b"kept_from", b"kept_frol"))
    asyncio.run(readings_taken(tmp_path, 12, 6, sequence_number=1000))
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT sum(count) FROM packs").fetchone() == (18,)
    assert (tmp_path / "feltpost.db.damaged-1").exists()


def test_an_old_store_that_a_migration_does_not_fit_is_salvaged(tmp_path):
    path = tmp_path / "feltpost.db"
    packs = make_old(path, 1)
    content = path.read_bytes()
    assert b"next_seq" in content
    path.write_bytes(content.replace(b"next_seq", b"next_sfq"))
    asyncio.run(readings_taken(tmp_path, 1000, 6))
    with closing(sqlite3.connect(path)) as reader:
        (kept,) = reader.execute("SELECT count(*) FROM packs WHERE first < 1000").fetchone()
    assert kept == len(packs)
    assert (tmp_path / "feltpost.db.damaged-1").exists()
