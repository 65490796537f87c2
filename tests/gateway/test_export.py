"""Exports: what may go out, exactly as it was measured, with what describes it; and purging."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, make_config, make_node, running
from tests.gateway.operators import operate, operate_beside

from feltpost_gateway.export_files import COLUMNS
from feltpost_gateway.nodes import LICENCE_CC0

Run = Callable[[Any], None]

TIME_S = 1_790_000_000
# 2026-09-21T14:13:20Z.
DAY = "2026-09-21"

READINGS = [
    {-3: TIME_S, 0: "t", 2: 23.703125},
    {0: "c", 2: 812, 6: 60},
    {0: "co2.hall", 2: 400, 6: 60, "q": 4},
    {0: "motion", 2: 3, 6: 120},
    {0: "doorOpen", 4: True, 6: 86_400},
]


def fill(run: Run, directory: Path) -> None:
    """Two nodes with the same readings; co2 is open, motion private."""

    async def scenario() -> None:
        async with running(make_config(directory)) as gateway:
            for key_id in KEYS:
                node = make_node(gateway, key_id)
                answer = await node.put(7, 0, cbor2.dumps(READINGS))
                assert answer.code == codes.CHANGED
                node.close()
            for line in (
                ("publication", "set", "co2", "open"),
                ("publication", "set", "motion", "private"),
                ("nodes", "edit", "node-01", "--set", "latitude=56.3", "--set", "longitude=9.9"),
                ("nodes", "edit", "node-02", "--set", "classes=co2=internal doorOpen=open"),
            ):
                await operate_beside(directory, *line)

    run(scenario())


def export(directory: Path, *options: str) -> list[dict[str, str]]:
    file = directory / "ud.csv"
    said = operate(directory, "export", str(file), *options).output
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert said == f"{file}: {len(rows)} readings\n"
    return rows


def pairs(rows: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(row["name"], row["metric"]) for row in rows]


def test_only_what_is_open_unless_told_otherwise(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)
    rows = export(tmp_path)
    assert pairs(rows) == [("node-01", "co2"), ("node-01", "co2"), ("node-02", "doorOpen")]
    assert rows[1] == {
        "time": "2026-09-21T14:14:20Z",
        "node": "urn:dev:mac:020000fffe000001",
        "name": "node-01",
        "owner": "favrskov",
        "site": "skole",
        "room": "",
        "latitude": "56.3",
        "longitude": "9.9",
        "metric": "co2",
        "place": "hall",
        "value": "400",
        "unit": "ppm",
        "marks": "4",
        "journal": "7",
        "seq": "2",
    }
    assert rows[2]["value"] == "true"
    assert stat.S_IMODE((tmp_path / "ud.csv").stat().st_mode) & 0o600 == 0o600
    internal = export(tmp_path, "--include", "internal")
    assert len(internal) == 8
    assert "motion" not in {row["metric"] for row in internal}
    # binary16's 23.703125 stands for 23.7 in a journal.
    assert internal[0]["value"] == "23.7"
    assert stat.S_IMODE((tmp_path / "ud.csv").stat().st_mode) == 0o600
    assert len(export(tmp_path, "--include", "private")) == 10


def test_period_node_site_and_owner(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)
    everything = ("--include", "private")
    assert len(export(tmp_path, *everything, "--until", "2026-09-22")) == 8
    assert len(export(tmp_path, *everything, "--from", "2026-09-22")) == 2
    assert (
        len(export(tmp_path, *everything, "--from", f"{DAY}T14:14", "--until", f"{DAY}T14:15")) == 4
    )
    assert len(export(tmp_path, *everything, "--node", "02:00:00:00:00:02")) == 5
    assert len(export(tmp_path, *everything, "--site", "skole", "--owner", "favrskov")) == 10
    file = str(tmp_path / "x.csv")
    said = operate(tmp_path, "export", file, "--site", "hal", status=1).output
    assert said == "no node is of that name, site and owner\n"
    operate(tmp_path, "nodes", "edit", "node-02", "--set", "owner=aarhus")
    said = operate(tmp_path, "export", file, status=1).output
    assert said == (
        "these are readings of several owners, aarhus, favrskov. Give one of them with --owner\n"
    )
    assert "does not end in .csv" in operate(tmp_path, "export", "x.xlsx", status=1).output
    assert list(tmp_path.glob("x.csv*")) == []


def test_json_has_the_same_readings(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)
    file = tmp_path / "ud.json"
    operate(tmp_path, "export", str(file), "--include", "private")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [str(row["seq"]) for row in found] == [
        row["seq"] for row in export(tmp_path, "--include", "private")
    ]
    assert (found[0]["value"], found[4]["value"]) == (23.7, True)
    assert "place" not in found[0]
    operate(tmp_path, "export", str(file), "--until", "2001-01-01")
    assert json.loads(file.read_text(encoding="utf-8")) == []


def test_parquet(run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    fill(run, tmp_path)
    file = tmp_path / "ud.parquet"
    operate(tmp_path, "export", str(file), "--include", "private")
    table = parquet.read_table(file)
    assert tuple(table.column_names) == COLUMNS
    assert table["value"].to_pylist()[:5] == [23.7, 812, 400, 3, 1]
    assert table["time"][0].as_py().isoformat() == "2026-09-21T14:13:20+00:00"


def test_without_pyarrow_it_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(run, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    said = operate(tmp_path, "export", str(tmp_path / "ud.parquet"), status=1).output
    assert "Parquet takes the Python library pyarrow" in said
    assert list(tmp_path.glob("ud.*")) == []


def load_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_dictionary_and_catalogue_entry(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)
    operate(
        tmp_path,
        *("owners", "set", "favrskov", "--title", "Favrskov Kommune"),
        *("--contact", "Åbne data", "--email", "data@example.dk"),
    )
    export(tmp_path, "--url", "https://data.example.dk/feltpost")
    dictionary = load_json(tmp_path / "ud.csv-metadata.json")
    columns = dictionary["tableSchema"]["columns"]
    assert tuple(column["name"] for column in columns) == COLUMNS
    assert all(column["dc:description"].keys() == {"en", "da"} for column in columns)
    assert dictionary["notes"] == [
        {"metric": "co2", "units": ["ppm"], "minimum": 0, "maximum": 40_000},
        {"metric": "doorOpen", "units": [""]},
    ]
    catalogue = load_json(tmp_path / "ud.csv.dcat.jsonld")
    (dataset,) = catalogue["dcat:dataset"]
    (distribution,) = dataset["dcat:distribution"]
    # What DCAT-AP-DK 2.1 makes mandatory (its view "obligatoriske egenskaber").
    for thing, properties in (
        (catalogue, ("dct:title", "dct:description", "dct:publisher", "dcat:dataset")),
        (dataset, ("dct:identifier", "dct:title", "dct:description")),
        (distribution, ("dcat:accessURL",)),
    ):
        assert all(thing[name] for name in properties)
    assert catalogue["dct:publisher"] == {"@type": "foaf:Agent", "foaf:name": "Favrskov Kommune"}
    assert dataset["dcat:contactPoint"]["vcard:hasEmail"] == {"@id": "mailto:data@example.dk"}
    assert [title["@language"] for title in dataset["dct:title"]] == ["en", "da"]
    assert distribution["dct:license"]["@id"] == LICENCE_CC0
    assert distribution["dcat:accessURL"] == {"@id": "https://data.example.dk/feltpost/ud.csv"}
    size = (tmp_path / "ud.csv").stat().st_size
    assert distribution["dcat:byteSize"]["@value"] == str(size)
    assert dataset["dct:temporal"]["dcat:startDate"]["@value"] == "2026-09-21T14:14:20Z"
    identifier = dataset["dct:identifier"]
    export(tmp_path, "--include", "internal")
    catalogue = load_json(tmp_path / "ud.csv.dcat.jsonld")
    (dataset,) = catalogue["dcat:dataset"]
    assert dataset["dct:accessRights"]["@id"].endswith("/RESTRICTED")
    assert "dct:license" not in dataset["dcat:distribution"][0]
    assert dataset["dct:identifier"] != identifier


def test_an_export_while_the_gateway_runs(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway, sequence_number=100)
            work = asyncio.to_thread(export, tmp_path, "--include", "private")
            sent = [await node.put(7, 5 + n, cbor2.dumps(READINGS[:1])) for n in range(20)]
            assert {answer.code for answer in sent} == {codes.CHANGED}
            assert len(await work) >= 10
            node.close()

    run(scenario())


def test_damaged_packs_are_counted(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)
    with closing(sqlite3.connect(tmp_path / "feltpost.db")) as store:
        store.execute("UPDATE packs SET body = x'00' WHERE id = 1")
        store.commit()
    said = operate(tmp_path, "export", str(tmp_path / "ud.csv"), "--include", "private").output
    assert said.endswith("ud.csv: 5 readings\n5 readings are damaged in the store and left out\n")


def everything_of(directory: Path, node_id: int) -> dict[str, int]:
    with closing(sqlite3.connect(directory / "feltpost.db")) as store:
        tables = [
            name
            for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if "node_id" in [column[1] for column in store.execute(f"PRAGMA table_info({name})")]
        ]
        return {
            name: store.execute(
                f"SELECT count(*) FROM {name} WHERE node_id = ?", (node_id,)
            ).fetchone()[0]
            for name in tables
        }


def test_a_purged_node_leaves_nothing(run: Run, tmp_path: Path) -> None:
    secret = "hemmelig note"

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            for key_id in KEYS:
                node = make_node(gateway, key_id)
                await node.put(7, 0, cbor2.dumps(READINGS))
                await node.put(7, 9, cbor2.dumps([{-3: TIME_S, 0: "purgeMe", 1: "m", 2: 1}]))
                await node.put_gap(7, 10, 3, 1)
                await node.request(codes.PUT, "/h/1", cbor2.dumps({0: "0.1.0"}), 60)
                await operate_beside(
                    tmp_path, "nodes", "note", f"node-{key_id.hex()}", "serviced", "--note", secret
                )
                node.close()
            said = await operate_beside(tmp_path, "purge", "--node", "node-01", "--yes")
            assert "6 readings, 2 gaps, 1 reports, 1 notes, 1 keys" in said.output
            assert "in the configuration file" in said.output
            node = make_node(gateway, sequence_number=100)
            assert (await node.put(7, 20, cbor2.dumps(READINGS))).code == codes.UNAUTHORIZED
            node.close()

    run(scenario())
    left = everything_of(tmp_path, 1)
    assert len(left) >= 6
    assert not any(left.values()), left
    kept = everything_of(tmp_path, 2)
    assert (kept["packs"], kept["gaps"], kept["node_keys"], kept["reports"]) == (2, 2, 1, 1)
    with closing(sqlite3.connect(tmp_path / "feltpost.db")) as store:
        assert store.execute("SELECT name FROM nodes").fetchall() == [("node-02",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    # Overwritten, not only unlinked: one copy is left of what both had.
    content = b"".join(path.read_bytes() for path in tmp_path.glob("feltpost.db*"))
    assert KEYS[b"\x01"] not in content
    assert content.count(b"purgeMe") == 1
    assert content.count(secret.encode()) == 1


def test_purging_asks_first(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)
    said = operate(tmp_path, "purge", "--node", "node-01", status=1).output
    assert "Remove favrskov/skole/node-01 (02:00:00:00:00:01) and all of its readings" in said
    assert len(export(tmp_path, "--include", "private", "--node", "node-01")) == 5


def test_a_removed_node_can_be_purged(run: Run, tmp_path: Path) -> None:
    fill(run, tmp_path)
    operate(tmp_path, "nodes", "remove", "node-01")
    assert "nothing, it is removed" in operate(tmp_path, "nodes", "show", "node-01").output
    assert len(export(tmp_path, "--include", "private")) == 10
    said = operate(tmp_path, "purge", "--node", "node-01", "--yes").output
    assert "5 readings" in said
    assert len(export(tmp_path, "--include", "private")) == 5
