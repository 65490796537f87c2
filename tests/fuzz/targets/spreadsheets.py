"""Lists of nodes in a spreadsheet: refused, or written back with no cell changed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.target import Target
from tests.fuzz.targets.nodes_csv import NodesCsv

from feltpost_tools import spreadsheet
from feltpost_tools.batch import DONE, Batch, Outcome
from feltpost_tools.errors import BatchError, LabelError, SpreadsheetError
from feltpost_tools.labels import label

_MAC = "02:00:00:00:00:99"


class Spreadsheets(Target):
    refusals = (SpreadsheetError, BatchError)
    traced = ("feltpost_tools.spreadsheet", "feltpost_tools.batch", "feltpost_tools.labels.label")
    tokens = NodesCsv.tokens
    suffix = ".csv"
    executions = 300

    def __init__(self) -> None:
        super().__init__()
        self._grammar = NodesCsv()

    @contextmanager
    def opened(self) -> Iterator[None]:
        with TemporaryDirectory() as folder:
            self._path = Path(folder, "nodes.csv")
            yield

    def generate(self, rng: random.Random) -> bytes:
        return self._grammar.generate(rng)

    def run(self, data: bytes) -> None:
        sheet = spreadsheet.read(data)
        assert spreadsheet.read(spreadsheet.write(sheet)) == sheet
        self._path.write_bytes(data)
        # Labels need an address in each row, and a batch does not.
        with suppress(LabelError):
            label.read(self._path)
        row = Batch.load(self._path).row_for(_MAC)
        if row is not None:
            # What was taken and done is so for the next run.
            batch = Batch.load(self._path)
            batch.record(batch.row_for(_MAC) or row, Outcome(DONE, "1.2"))
            assert Batch.load(self._path).done(_MAC)
            assert not Batch.load(self._path).row_for(_MAC)
