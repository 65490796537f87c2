"""CSV files of nodes, as spreadsheets write them: refused, or nodes that are written back alike."""

from __future__ import annotations

import random

from tests.fuzz.target import Target

from feltpost_gateway import node_csv
from feltpost_gateway.nodes import OperatorError, node_from_columns, node_to_columns, normalise

_HEADS = (
    "mac;name;owner;site;latitude;longitude",
    "mac,name,owner,site,room,kit,metrics,classes,setting",
    "sep=;\nmac;name;owner;site",
    "mac",
    "\tmac\tname",
)
_ROWS = (
    "02:00:00:00:00:01;gym;favrskov;skole;56,3;9,9",
    '020000000002,"a, b",favrskov,skole,3.B,indoor-climate,co2 temperature,co2=open,indoor',
    "02-00-00-00-00-03;æ;favrskov;skole",
    ';;;"',
    "",
)
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1")


class NodesCsv(Target):
    refusals = (OperatorError,)
    traced = ("feltpost_gateway.node_csv", "feltpost_gateway.nodes")
    tokens = (
        b"sep=;\n",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b'"',
        b'""',
        b";",
        b"\r",
        b"\0",
        b"=1+1",
        b"-91",
    )
    suffix = ".csv"
    executions = 600

    def generate(self, rng: random.Random) -> bytes:
        lines = [rng.choice(_HEADS), *(rng.choice(_ROWS) for _ in range(rng.randrange(4)))]
        end = rng.choice(("\n", "\r\n", "\r"))
        return (end.join(lines) + end).encode(rng.choice(_ENCODINGS), "replace")

    def run(self, data: bytes) -> None:
        table = node_csv.read(data)
        assert len(table.rows) == len(table.lines)
        nodes = []
        for row in table.rows:
            columns = {name: normalise(cell) for name, cell in row.items()}
            columns.pop("key", None)
            columns.pop("key_id", None)
            nodes.append(node_to_columns(node_from_columns(columns)))
        for excel in (False, True):
            again = node_csv.read(node_csv.write(nodes, excel=excel)).rows
            assert [node_to_columns(node_from_columns(row)) for row in again] == nodes
