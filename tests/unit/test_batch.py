"""Lists of nodes: read as spreadsheets write them, each board its row, written back unharmed."""

from __future__ import annotations

import csv
import io
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feltpost_tools import language, spreadsheet
from feltpost_tools.audit import login_name
from feltpost_tools.batch import DONE, Batch, Outcome
from feltpost_tools.errors import BatchChanged, BatchError, FeltpostError, SpreadsheetError
from feltpost_tools.spreadsheet import Dialect, Sheet

HEAD = "name,owner,site,mac"
OK = Outcome(DONE, firmware="0.1.0")

FIRST = "02:00:00:00:00:01"
SECOND = "02:00:00:00:00:02"
THIRD = "02:00:00:00:00:03"


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """Three nodes, the second of which has its board."""
    return write(tmp_path / "nodes.csv", f"{HEAD}\na,aarhus,x,\nb,aarhus,x,{SECOND}\nc,aarhus,x,\n")


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def names(batch: Batch, *macs: str) -> list[str | None]:
    rows = [batch.row_for(mac) for mac in macs]
    return [row and row.columns["name"] for row in rows]


def test_a_board_gets_its_own_row_or_the_next_free_one(nodes: Path) -> None:
    batch = Batch.load(nodes)
    assert names(batch, FIRST, SECOND, THIRD, FIRST) == ["a", "b", "c", "a"]
    assert batch.row_for("02:00:00:00:00:04") is None


def test_a_row_of_another_board_is_never_taken(tmp_path: Path) -> None:
    nodes = write(tmp_path / "n.csv", f"{HEAD}\nb,o,s,{SECOND}\n")
    assert Batch.load(nodes).row_for(FIRST) is None


@pytest.mark.parametrize("written", ["02-00-00-00-00-02", "02:00:00:FF:FE:00:00:02"])
def test_however_its_address_is_written(nodes: Path, written: str) -> None:
    assert names(Batch.load(nodes), written) == ["b"]


def test_a_row_is_claimed_in_the_list_before_it_is_used(nodes: Path) -> None:
    Batch.load(nodes).row_for(THIRD)
    # As after a power cut: the board that had begun is the one that goes on.
    assert names(Batch.load(nodes), FIRST, THIRD) == ["c", "a"]


def test_a_row_can_be_given_back(nodes: Path) -> None:
    batch = Batch.load(nodes)
    row = batch.row_for(THIRD)
    assert row is not None
    batch.release(row)
    assert names(Batch.load(nodes), FIRST) == ["a"]


def test_what_came_of_it_is_written_back(nodes: Path) -> None:
    batch = Batch.load(nodes)
    row = batch.row_for(FIRST)
    assert row is not None
    batch.record(row, OK)
    done, *others = table(nodes)
    assert done["name"] == "a"
    assert (done["mac"], done["firmware"], done["result"]) == (FIRST, "0.1.0", "ok")
    assert done["who"] == login_name()
    assert done["time"].startswith("20") and "T" in done["time"]
    assert [other["result"] for other in others] == ["", ""]


def test_a_row_that_is_done_is_passed_over_unless_asked_for(nodes: Path) -> None:
    batch = Batch.load(nodes)
    row = batch.row_for(FIRST)
    assert row is not None
    batch.record(row, OK)
    for either in (batch, Batch.load(nodes)):
        assert either.row_for(FIRST) is None
        assert either.done(FIRST)
        assert not either.done(SECOND)
        again = either.row_for(FIRST, again=True)
        assert again is not None and again.done


def test_a_row_that_failed_is_tried_again_by_its_board(nodes: Path) -> None:
    batch = Batch.load(nodes)
    row = batch.row_for(FIRST)
    assert row is not None
    batch.record(row, OK)
    batch.record(row, Outcome("the board went away"))
    assert names(Batch.load(nodes), FIRST, THIRD) == ["a", "c"]
    assert table(nodes)[0]["firmware"] == "0.1.0"


def test_defaults_stand_for_what_is_empty(tmp_path: Path) -> None:
    nodes = write(tmp_path / "n.csv", "name,site,kit\na,,\nb,y,\n")
    batch = Batch.load(nodes, {"owner": "o", "site": "x", "kit": "indoor-climate"})
    assert [dict(row.columns) for row in batch.rows] == [
        {"name": "a", "owner": "o", "site": "x", "kit": "indoor-climate"},
        {"name": "b", "owner": "o", "site": "y", "kit": "indoor-climate"},
    ]
    batch.row_for(FIRST)
    assert table(nodes)[0]["site"] == ""


def test_ten_boards_at_once_get_a_row_each(tmp_path: Path) -> None:
    rows = "".join(f"n{i},o,s,\n" for i in range(10))
    nodes = write(tmp_path / "n.csv", f"{HEAD}\n{rows}")
    batch = Batch.load(nodes)
    together = threading.Barrier(10)

    def flash(mac: str) -> None:
        together.wait()
        row = batch.row_for(mac)
        assert row is not None
        batch.record(row, OK)

    threads = [threading.Thread(target=flash, args=(f"02:00:00:00:01:0{i}",)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = table(nodes)
    assert [row["name"] for row in written] == [f"n{i}" for i in range(10)]
    assert len({row["mac"] for row in written}) == 10
    assert {row["result"] for row in written} == {"ok"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.csv"]


def test_no_row_is_found_free_while_another_board_takes_it(
    nodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch.load(nodes)
    claim = Batch._claim
    both = threading.Barrier(2)

    def slowly(self: Batch, index: int, mac: str) -> None:
        # Two boards that get here together have found the same row; one alone waits in vain.
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.2)
        claim(self, index, mac)

    monkeypatch.setattr(Batch, "_claim", slowly)
    with ThreadPoolExecutor(2) as boards:
        rows = list(boards.map(batch.row_for, [FIRST, THIRD]))
    assert {row.columns["name"] for row in rows if row} == {"a", "c"}


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    nodes = write(
        tmp_path / "n.csv",
        "name,owner,site,mac,latitude,longitude,kit,board\n"
        ",o,s,,,,,\n"
        "a/b,o,s,12,95,,,\n"
        "\n"
        f"c,o,s,{FIRST},,,no-kit,no-board\n"
        f"c,o,s,{FIRST.replace(':', '-')},,,,\n",
    )
    with pytest.raises(BatchError) as raised:
        Batch.load(nodes)
    found = [line.removeprefix(f"{nodes}, ") for line in str(raised.value).splitlines()]
    assert [line.split(": ")[0] for line in found] == [
        'line 2, column "name"',
        'line 3, column "latitude"',
        'line 3, column "mac"',
        'line 3, column "name"',
        'line 5, column "kit"',
        'line 5, column "board"',
        'line 6, column "mac"',
        'line 6, column "name"',
    ]
    assert found[6].endswith(f"is {FIRST} as in line 5; each node must have its own")
    assert "indoor-climate" in found[4]


def test_faults_are_said_in_danish(tmp_path: Path) -> None:
    nodes = write(tmp_path / "n.csv", f"{HEAD}\n,o,s,\n")
    language.use("da")
    try:
        with pytest.raises(BatchError, match='linje 2, kolonne "name": er tom'):
            Batch.load(nodes)
    finally:
        language.use("en")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (HEAD.encode() + b"\n", "there is no node in the list"),
        (b'name,mac\n"a', "line 2 is not CSV"),
        (b"name,mac\na,b,c\n", "line 2 has 3 cells and the first one 2"),
        (b"name,Name \na,b\n", 'the column "name" is there twice'),
        (b"name,key\na,00112233445566778899aabbccddeeff\n", 'the column "key" is for a secret'),
        (b"\xef\xbb\xbfname\n\xe6\n", "begins as UTF-8 and goes on otherwise"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    nodes = tmp_path / "n.csv"
    nodes.write_bytes(content)
    with pytest.raises(FeltpostError) as raised:
        Batch.load(nodes)
    assert str(raised.value).startswith(f"{nodes}: ")
    assert said in str(raised.value)
    assert "0011" not in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpreadsheetError, match="n.csv can't be read: No such file"):
        Batch.load(tmp_path / "n.csv")


CHANGES: list[Callable[[Path], object]] = [
    lambda path: write(path, path.read_text() + "d,aarhus,x,\n"),
    lambda path: path.unlink(),
]


@pytest.mark.parametrize("change", CHANGES, ids=["changed", "removed"])
def test_what_somebody_else_changed_is_left_alone(
    nodes: Path, change: Callable[[Path], object]
) -> None:
    batch = Batch.load(nodes)
    first, second = batch.row_for(FIRST), batch.row_for(SECOND)
    assert first is not None and second is not None
    change(nodes)
    theirs = nodes.read_bytes() if nodes.exists() else None
    with pytest.raises(BatchChanged, match="was changed by somebody else") as raised:
        batch.record(first, OK)
    beside = raised.value.beside
    assert beside.parent == nodes.parent
    assert [row["result"] for row in table(beside)] == ["ok", "", ""]
    # Boards that are under way end well, and no other is begun.
    with pytest.raises(BatchChanged):
        batch.record(second, OK)
    with pytest.raises(BatchChanged):
        batch.row_for(THIRD)
    assert [row["result"] for row in table(beside)] == ["ok", "ok", ""]
    assert [row["mac"] for row in table(beside)] == [FIRST, SECOND, ""]
    assert (nodes.read_bytes() if nodes.exists() else None) == theirs


def test_a_file_beside_it_is_not_overwritten(nodes: Path) -> None:
    taken = write(nodes.with_name("nodes-feltpost-1.csv"), "mine")
    batch = Batch.load(nodes)
    write(nodes, nodes.read_text() + "\n")
    with pytest.raises(BatchChanged) as raised:
        batch.row_for(FIRST)
    assert raised.value.beside.name == "nodes-feltpost-2.csv"
    assert taken.read_text() == "mine"


def test_a_full_disk_leaves_the_list_whole_and_forgets_nothing(nodes: Path) -> None:
    batch = Batch.load(nodes)
    row = batch.row_for(FIRST)
    assert row is not None
    before = nodes.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        with pytest.raises(BatchError, match="can't be written: File too large"):
            batch.record(row, OK)
        with pytest.raises(BatchError):
            batch.row_for(THIRD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert nodes.read_bytes() == before
    assert list(nodes.parent.iterdir()) == [nodes]
    second = batch.row_for(SECOND)
    assert second is not None
    batch.record(second, OK)
    assert [(r["mac"], r["result"]) for r in table(nodes)] == [
        (FIRST, "ok"),
        (SECOND, "ok"),
        ("", ""),
    ]


def test_a_link_to_the_list_stays_one_and_rights_are_kept(nodes: Path) -> None:
    nodes.chmod(0o640)
    link = nodes.with_name("link.csv")
    link.symlink_to(nodes)
    Batch.load(link).row_for(FIRST)
    assert link.is_symlink()
    assert table(nodes)[0]["mac"] == FIRST
    assert nodes.stat().st_mode & 0o777 == 0o640


def test_a_quote_is_no_delimiter(nodes: Path) -> None:
    nodes.write_text('sep="\nmac"name\n')
    with pytest.raises(SpreadsheetError, match=r"parted by quotes.*sep=;"):
        Batch.load(nodes)


@pytest.mark.parametrize(
    ("encoding", "signature"),
    [("utf-8", b"\xef\xbb\xbf"), ("cp1252", b""), ("utf-16-le", b"\xff\xfe")],
)
def test_what_a_danish_excel_wrote_stays_as_it_is(
    tmp_path: Path, encoding: str, signature: bytes
) -> None:
    text = (
        "sep=;\r\n"
        "Navn på skilt;Name;owner;site;latitude;longitude;mac\r\n"
        "Rød dør;målér-1;ærø;skole;56,15;10,2;\r\n"
        ";;;;;;\r\n"
        '"a;b ""c""";n2;ærø;skole;;;\r\n'
    )
    nodes = tmp_path / "n.csv"
    nodes.write_bytes(signature + text.encode(encoding))
    batch = Batch.load(nodes)
    row = batch.row_for(FIRST)
    assert row is not None
    assert (row.line, row.columns["name"], row.columns["latitude"]) == (3, "målér-1", "56,15")
    batch.record(row, Outcome("kortet svarer ikke – prøv igen"))
    content = nodes.read_bytes()
    assert content.startswith(signature)
    lines = content[len(signature) :].decode(encoding).split("\r\n")
    before = text.split("\r\n")
    assert lines[0] == "sep=;"
    assert lines[1] == before[1] + ";firmware;time;who;result"
    assert lines[2].startswith("Rød dør;målér-1;ærø;skole;56,15;10,2;02:00:00:00:00:01;;20")
    assert lines[2].endswith(";kortet svarer ikke – prøv igen")
    assert lines[3:5] == [line + ";;;;" for line in before[3:5]]


def test_a_list_in_plain_letters_gets_them_as_excel_reads_them(tmp_path: Path) -> None:
    nodes = tmp_path / "n.csv"
    nodes.write_bytes(b"name;owner;site\r\na;o;s\r\n")
    batch = Batch.load(nodes)
    row = batch.row_for(FIRST)
    assert row is not None
    batch.record(row, Outcome("prøv igen"))
    assert "prøv igen".encode("cp1252") in nodes.read_bytes()


# Any text that a file can hold: no lone surrogates, nor a mark that says which encoding it is.
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=8)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cells, max_size=width).map(tuple), max_size=5).map(
        lambda rows: ([f"column {i}" for i in range(width)], rows)
    )
)


@given(
    tables,
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(spreadsheet._SIGNATURES + ((b"", "utf-8"), (b"", "cp1252"))),
    st.booleans(),
)
def test_what_is_written_is_read_again(
    table: tuple[list[str], list[tuple[str, ...]]],
    delimiter: str,
    line_end: str,
    signed: tuple[bytes, str],
    named: bool,
) -> None:
    head, rows = table
    signature, encoding = signed
    # With one column there is no delimiter to be found, unless the file names it.
    assume(named or len(head) > 1)
    separator_line = f"sep={delimiter}" if named else ""
    dialect = Dialect(delimiter, encoding, signature, line_end, separator_line)
    sheet = Sheet(dialect, tuple(head), tuple(rows))
    content = spreadsheet.write(sheet)
    if encoding == "cp1252":
        # Letters of the code page only, that don't look like UTF-8 by chance.
        assume(b"?" not in content and spreadsheet.read(content).dialect.encoding != "utf-8")
    read = spreadsheet.read(content)
    assert (read.head, read.rows) == (sheet.head, sheet.rows)
    assert spreadsheet.write(read) == content


@given(st.binary(max_size=200))
def test_no_file_is_changed_by_reading_and_writing_it_twice(content: bytes) -> None:
    try:
        sheet = spreadsheet.read(content)
    except SpreadsheetError:
        return
    once = spreadsheet.write(sheet)
    assert spreadsheet.read(once) == spreadsheet.read(spreadsheet.write(spreadsheet.read(once)))
    assert spreadsheet.read(once).rows == sheet.rows
