"""Nodes in CSV files: what is exported is imported again, whatever program had it in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.operators import add_node, listed, operate

from feltpost_gateway import node_csv
from feltpost_gateway.formats.base import Position, Setting
from feltpost_gateway.nodes import (
    Node,
    OperatorError,
    format_mac,
    node_from_columns,
    node_to_columns,
    normalise,
    parse_mac,
)
from feltpost_gateway.publication import Publication

HEAD = "mac,name,owner,site,room\n"
ROW = "02:00:00:00:00:01,gym,favrskov,Rønbækskolen,fløj Æ\n"

LABELS = (
    st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/+#"), min_size=1)
    .map(normalise)
    .filter(lambda label: 0 < len(label) <= 64 and label.isprintable())
)
TEXTS = st.none() | LABELS
METRICS = st.sampled_from(("co2", "temperature", "waterLevel", "x-1"))
POSITIONS = st.builds(
    Position,
    st.decimals(-90, 90, places=6).map(float),
    st.decimals(-180, 180, places=6).map(float),
    st.none() | st.decimals(-100, 200, places=2).map(float),
)
NODES = st.builds(
    Node,
    eui64=st.binary(min_size=8, max_size=8),
    name=LABELS,
    owner=LABELS,
    site=LABELS,
    setting=st.sampled_from(Setting),
    room=TEXTS,
    position=st.none() | POSITIONS,
    kit=TEXTS,
    metrics=st.lists(METRICS, unique=True).map(tuple),
    classes=st.dictionaries(METRICS | st.just("*"), st.sampled_from(Publication)).map(
        lambda classes: tuple(sorted(classes.items()))
    ),
)


@given(st.lists(NODES, max_size=4), st.booleans())
def test_what_is_written_is_read(nodes: list[Node], excel: bool) -> None:
    content = node_csv.write(map(node_to_columns, nodes), excel=excel)
    assert [node_from_columns(row) for row in node_csv.read(content).rows] == nodes


@given(st.binary(min_size=8, max_size=8))
def test_addresses(eui64: bytes) -> None:
    assert parse_mac(format_mac(eui64)) == eui64
    assert parse_mac(eui64.hex("-").upper()) == eui64


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n"])
def test_what_spreadsheets_write(delimiter: str, encoding: str, first: str) -> None:
    text = (HEAD + ROW).replace("\n", "\r\n").replace(",", delimiter)
    table = node_csv.read(
        (first.format(delimiter) + text + delimiter * 4 + "\r\n").encode(encoding)
    )
    (row,) = table.rows
    assert (row["site"], row["room"]) == ("Rønbækskolen", "fløj Æ")
    assert table.lines == [3 if first else 2]


def test_letters_made_of_two_are_taken_as_one() -> None:
    decomposed = "Ra\N{COMBINING RING ABOVE}dhus"
    columns = {"mac": "02:00:00:00:00:01", "name": decomposed, "owner": "o", "site": "s"}
    assert node_from_columns(columns).name == "Rådhus"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"name,site\ngym,skole\n", 'has no column "mac"'),
        (b"mac,nmae\n", 'a column "nmae". There are mac, name'),
        (b"mac,name,name\n", 'the column "name" twice'),
        (b'mac,name\n02:00:00:00:00:01,"gym\n', "line 2 is not CSV"),
        (b"mac,name\n02:00:00:00:00:01,gym,1\n", "row 2 has 3 cells, the first row 2"),
    ],
)
def test_files_that_are_no_tables(content: bytes, message: str) -> None:
    with pytest.raises(OperatorError) as caught:
        node_csv.read(content)
    assert message in str(caught.value)


def test_export_import_and_dry_run(tmp_path: Path) -> None:
    add_node(
        tmp_path,
        1,
        site="Rønbækskolen",
        room='3.B; "fløj Æ"',
        latitude="56,3245",
        longitude="9.9381",
        classes="co2=open *=private",
    )
    add_node(tmp_path, 2)
    before = listed(tmp_path)
    assert before[0]["columns"]["latitude"] == "56.3245"
    file = tmp_path / "nodes.csv"
    for options in ((), ("--excel",)):
        operate(tmp_path, "nodes", "export", str(file), *options)
        said = operate(tmp_path, "nodes", "import", str(file)).output
        assert said == "2 rows: 0 new, 0 changed, 2 the same\n"
    content = file.read_text(encoding="utf-8-sig")
    assert "56,3245;9,9381" in content
    file.write_text(content.replace("node-02", "aula") + "02:00:00:00:00:03;ny;favrskov;skole\n")
    said = operate(tmp_path, "nodes", "import", str(file), "--dry-run").output
    assert said.splitlines() == [
        "~ 02:00:00:00:00:02 aula",
        "    name: node-02 → aula",
        "+ 02:00:00:00:00:03 ny",
        "    name: ny",
        "    owner: favrskov",
        "    site: skole",
        "    setting: indoor",
        "3 rows: 1 would be new, 1 changed, 1 the same. Nothing was changed",
    ]
    assert listed(tmp_path) == before
    said = operate(tmp_path, "nodes", "import", str(file)).output
    assert said.endswith("3 rows: 1 new, 1 changed, 1 the same\n")
    assert [node["columns"]["name"] for node in listed(tmp_path)] == ["node-01", "aula", "ny"]


def test_each_row_says_what_is_wrong_with_it_and_none_is_taken(tmp_path: Path) -> None:
    add_node(tmp_path, 9)
    file = tmp_path / "nodes.csv"
    file.write_text(
        "mac;name;owner;site;latitude;longitude;classes;key_id;key\n"
        "02:00:00:00:00:01;god;favrskov;skole;;;;;\n"
        "\n"
        "02:00:00:00:00;a/b;favrskov;;;;;;\n"
        "02:00:00:00:00:02;b;favrskov;skole;563245;9;co2=secret;;\n"
        "02:00:00:00:00:03;c;favrskov;skole;;9;;0x01;\n"
        "02:00:00:00:00:01;d;favrskov;skole;;;;1;00112233445566778899aabbccddee\n"
    )
    said = operate(tmp_path, "nodes", "import", str(file), status=1).output
    assert said.splitlines() == [
        'row 4, column mac: is not a MAC address, such as "02:00:00:00:00:01"',
        "row 5, column latitude: 563245 is not between -90 and 90",
        "row 5, column classes: secret is not a class; there are open, internal and private",
        "row 6, column latitude: is empty; a position has latitude and longitude",
        'row 7, column key_id: is not 1 to 7 bytes in hexadecimal, such as "0x01"',
        "row 7, column key: is not 16 bytes in hexadecimal",
        "row 7, column mac: is in an earlier row already",
    ]
    assert [node["columns"]["name"] for node in listed(tmp_path)] == ["node-09"]


def test_names_can_be_exchanged_but_not_shared(tmp_path: Path) -> None:
    add_node(tmp_path, 1, name="a")
    add_node(tmp_path, 2, name="b")
    file = tmp_path / "nodes.csv"
    file.write_text("mac,name\n02:00:00:00:00:01,b\n02:00:00:00:00:02,a\n")
    operate(tmp_path, "nodes", "import", str(file))
    assert [node["columns"]["mac"][-1] for node in listed(tmp_path)] == ["2", "1"]
    file.write_text("mac,name\n02:00:00:00:00:01,a\n")
    said = operate(tmp_path, "nodes", "import", str(file), status=1).output
    assert "favrskov/skole would have two nodes a" in said


def test_keys_come_in_but_are_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    row = "mac,name,owner,site,key_id,key\n02:00:00:00:00:01,a,favrskov,skole,0x07,{}\n"
    file.write_text(row.format("00" * 16))
    assert "a key" in operate(tmp_path, "nodes", "import", str(file)).output
    assert "1 the same" in operate(tmp_path, "nodes", "import", str(file)).output
    file.write_text(row.format("11" * 16))
    said = operate(tmp_path, "nodes", "import", str(file), status=1).output
    assert said == (
        "row 2, column key: would replace the node's key. Change it with: nodes rotate\n"
    )
    assert listed(tmp_path)[0]["key_ids"] == ["07"]
