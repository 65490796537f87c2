"""Backups: refused with the store as it was, or put in place as a store that can be opened."""

from __future__ import annotations

import io
import json
import random
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.target import Target

from feltpost_gateway import backup
from feltpost_gateway.errors import StoreError
from feltpost_gateway.nodes import OperatorError

_NAMES = ("feltpost-backup.json", "gateway.toml", "enrol-key", "feltpost.db", "../x", "/etc/x")
_ABOUT = (
    {"format": 1, "made_ms": 0, "schema": 1},
    {"format": 2, "made_ms": 1e999, "schema": 10**30},
    {"format": 1, "made_ms": "1", "schema": None},
    [],
)
_KINDS = (tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)
_BEFORE = b"the store before"


def _store() -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("CREATE TABLE oscore (key_id BLOB) STRICT")
        return connection.serialize()


class Backups(Target):
    refusals = (OperatorError, StoreError)
    traced = ("feltpost_gateway.backup",)
    tokens = (b"Infinity", b"1e999", b"ustar\x0000", b"NaN", b'{"format": 1', b"[[[[[[")
    max_bytes = 16 << 10
    heap_bytes = 16 << 20
    executions = 80

    @contextmanager
    def opened(self) -> Iterator[None]:
        with TemporaryDirectory() as folder:
            self._folder = Path(folder)
            yield

    def generate(self, rng: random.Random) -> bytes:
        contents = [json.dumps(rng.choice(_ABOUT)).encode(), b"[store]", b"", _store()]
        names = list(_NAMES[:4])
        if rng.random() < 0.3:
            names[rng.randrange(4)] = rng.choice(_NAMES)
        file = io.BytesIO()
        with tarfile.open(
            mode="w|", fileobj=file, format=tarfile.PAX_FORMAT, bufsize=512
        ) as archive:
            for name, content in zip(names, contents, strict=True):
                member = tarfile.TarInfo(name)
                member.type = tarfile.REGTYPE if rng.random() < 0.9 else rng.choice(_KINDS)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return file.getvalue()

    def run(self, data: bytes) -> None:
        store = self._folder / "feltpost.db"
        store.write_bytes(_BEFORE)
        for left in self._folder.glob("feltpost.db.*"):
            left.unlink()
        try:
            self._restore(data, store)
        except self.refusals:
            assert store.read_bytes() == _BEFORE
            raise
        finally:
            assert not store.with_name("feltpost.db.restored").exists()
            assert {path.name.split(".")[0] for path in self._folder.iterdir()} == {"feltpost"}
        with closing(sqlite3.connect(store)) as connection:
            assert connection.execute("SELECT count(*) FROM oscore").fetchone() == (0,)

    def _restore(self, data: bytes, store: Path) -> None:
        source = io.BytesIO(data)
        if backup.is_sealed(source):
            # Its key costs a second each time, and its chunks are AES-GCM's affair.
            return
        restoring = backup.Restoring(source, None)
        assert isinstance(restoring.configuration, bytes)
        aside = restoring.put_in_place(store, replace=True)
        assert aside is not None
        assert aside.read_bytes() == _BEFORE
