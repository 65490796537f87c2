"""A gateway that goes on from a backup: what it had is there, and old requests are not new ones."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import make_config, make_node, running
from tests.gateway.operators import operate, operate_beside
from tests.support.node import pack

from feltpost_gateway import sealing
from feltpost_gateway.migrations import PAGE_BYTES
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.sealing import MAGIC, SealedReader, SealedWriter

PASSPHRASE = "korrekt hest"


@pytest.fixture(autouse=True)
def _cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_SCRYPT_N", 2)


def nodes_file(directory: Path) -> Path:
    path = directory / "gateway.toml"
    lines = [f'[store]\npath = "{directory / "feltpost.db"}"']
    for node in make_config(directory).nodes:
        lines.append(
            f'[[nodes]]\nname = "{node.name}"\nowner = "{node.owner}"\nsite = "{node.site}"\n'
            f'mac = "{node.eui64.hex(":")}"\nkey_id = "{node.key_id.hex()}"\n'
            f'key = "{node.key.get_secret_value().hex()}"'
        )
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


def sender_reserved(store: Path) -> dict[bytes, int]:
    with closing(sqlite3.connect(store)) as reader:
        return dict(reader.execute("SELECT key_id, sender_reserved FROM oscore"))


@pytest.mark.parametrize("encrypt", [False, True])
def test_another_computer_goes_on(tmp_path: Path, encrypt: bool) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    nodes_file(old)
    nodes_file(new)
    saved = tmp_path / "saved"
    secret = tmp_path / "passphrase"
    secret.write_text(f"{PASSPHRASE}\n")
    options = ["--passphrase-file", str(secret)] if encrypt else []

    async def run() -> None:
        async with running(make_config(old)) as gateway:
            node = make_node(gateway)
            assert (await node.put(7, 0, pack(3))).code == codes.CHANGED
            await operate_beside(old, "backup", str(saved), *options)
            # What the backup does not know of: readings, and a request that is overheard.
            overheard, _ = node.protect(codes.PUT, "/j/7/3", pack(2), 112)
            assert (await node.exchange(overheard)).code == codes.CHANGED
            node.close()
        assert saved.stat().st_mode & 0o777 == 0o600
        assert (b"SQLite format" in saved.read_bytes()) != encrypt
        await operate_beside(new, "restore", str(saved), "--keep-config", *options)
        async with running(make_config(new)) as gateway:
            stranger = make_node(gateway)
            # The overheard request is no fresh one: it is answered by a challenge.
            answer = await stranger.exchange(overheard)
            assert answer.opt.oscore is not None
            assert await gateway._store.read_packs(1, 10) == []
            stranger.close()
            node = make_node(gateway, sequence_number=1000)
            assert (await node.put(7, 5, pack(1))).code == codes.CHANGED
            packs = await gateway._store.read_packs(0, 10)
            assert [(p.journal, p.first, p.count) for p in packs] == [(7, 0, 3), (7, 5, 1)]
            node.close()

    asyncio.run(run())
    # No sender sequence number can be one that the old gateway used.
    before, after = sender_reserved(old / "feltpost.db"), sender_reserved(new / "feltpost.db")
    assert all(abs(after[key] - before[key]) > 1 << 16 for key in before)


def test_a_store_is_not_overwritten(tmp_path: Path) -> None:
    nodes_file(tmp_path)
    saved = tmp_path / "saved"

    async def run() -> None:
        async with running(make_config(tmp_path)):
            await operate_beside(tmp_path, "backup", str(saved))
            busy = await operate_beside(tmp_path, "restore", str(saved), "--replace", status=1)
            assert "in use by another gateway" in busy.output

    asyncio.run(run())
    refused = operate(tmp_path, "restore", str(saved), status=1)
    assert "is a store" in refused.output and "--replace" in refused.output
    operate(tmp_path, "restore", str(saved), "--replace")
    assert (tmp_path / "feltpost.db.replaced-1").exists()
    assert (tmp_path / "gateway.toml.before-restore").exists()
    assert not list(tmp_path.glob(".*")) and not list(tmp_path.glob("*.restored"))


@pytest.mark.parametrize("damage", ["cut off", "changed", "something else"])
def test_a_damaged_backup_changes_nothing(tmp_path: Path, damage: str) -> None:
    nodes_file(tmp_path)
    saved = tmp_path / "saved"

    async def run() -> None:
        async with running(make_config(tmp_path)):
            await operate_beside(tmp_path, "backup", str(saved))

    asyncio.run(run())
    content = bytearray(saved.read_bytes())
    if damage == "cut off":
        del content[len(content) // 2 :]
    elif damage == "changed":
        # A page that nothing but a check looks at.
        with closing(sqlite3.connect(tmp_path / "feltpost.db")) as reader:
            find = "SELECT rootpage FROM sqlite_schema WHERE name = 'reports'"
            number = reader.execute(find).fetchone()[0]
        start = content.index(b"SQLite format") + (number - 1) * PAGE_BYTES
        content[start : start + 100] = b"\xff" * 100
    else:
        content[:] = b"PK\x03\x04" * 1000
    saved.write_bytes(content)
    before = (tmp_path / "feltpost.db").read_bytes()
    operate(tmp_path, "restore", str(saved), "--replace", status=1)
    assert (tmp_path / "feltpost.db").read_bytes() == before
    assert not list(tmp_path.glob("*.restored"))


# Empty, shorter than a chunk, just one, one and a byte, several.
@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 200_000])
def test_sealed_and_opened(size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    assert opened(sealed(content)) == content


@pytest.mark.parametrize(
    "change", ["last chunk gone", "two exchanged", "a bit", "other passphrase"]
)
def test_what_was_changed_is_not_opened(change: str) -> None:
    chunk, head = 65_536 + 16, len(MAGIC) + 16
    whole = sealed(bytes(200_000))
    passphrase = PASSPHRASE
    if change == "last chunk gone":
        whole = whole[: head + 3 * chunk]
    elif change == "two exchanged":
        first, second = whole[head : head + chunk], whole[head + chunk : head + 2 * chunk]
        whole = whole[:head] + second + first + whole[head + 2 * chunk :]
    elif change == "a bit":
        whole = whole[:-1] + bytes((whole[-1] ^ 1,))
    else:
        passphrase = "another"
    with pytest.raises(OperatorError):
        opened(whole, passphrase)


def sealed(content: bytes) -> bytes:
    file = io.BytesIO()
    writer = SealedWriter(file, PASSPHRASE)
    for start in range(0, len(content), 10_000):
        writer.write(content[start : start + 10_000])
    writer.finish()
    return file.getvalue()


def opened(whole: bytes, passphrase: str = PASSPHRASE) -> bytes:
    file = io.BytesIO(whole)
    assert file.read(len(MAGIC)) == MAGIC
    reader = SealedReader(file, passphrase)
    return b"".join(iter(lambda: reader.read(30_000), b""))
