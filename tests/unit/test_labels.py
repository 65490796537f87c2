"""Labels as a scanner and a reader see them, on every stock; and what never is on one."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import typer
import zxingcpp
from PIL import Image
from typer.testing import CliRunner

from feltpost_tools import language
from feltpost_tools.errors import LabelError
from feltpost_tools.labels import cli, drawing, label, typeset
from feltpost_tools.labels.label import Label
from feltpost_tools.labels.stock import STOCKS, Stock

EUI64 = bytes.fromhex("020000fffe123456")
PLAIN = Label(
    name="lokale-12",
    eui64=EUI64,
    site="Ærøskøbing Skole",
    room="Blåbærstuen",
    owner="aarhus",
    contact="Teknik og Miljø, 87 13 00 00",
)
WIDE = Label(
    name="W" * 64,
    eui64=EUI64,
    site="W" * 64,
    room="W" * 200,
    owner="W" * 64,
    contact="W" * 200,
)
POINTS_PER_MM = 72 / 25.4
SCAN_DPI = 150
EVERY_STOCK = pytest.mark.parametrize("stock", STOCKS.values(), ids=list(STOCKS))


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    language.use("en")


def texts(document: bytes) -> list[str]:
    """The text of each page."""
    pages = pypdfium2.PdfDocument(document)
    # pdfium gives a hyphen at the end of a line another letter, as if the word went on.
    return [page.get_textpage().get_text_range().replace("\ufffe", "-") for page in pages]


def letters(document: bytes) -> list[tuple[float, float]]:
    """The middle of each letter of the first page, in millimetres from its upper left."""
    page = pypdfium2.PdfDocument(document)[0]
    height = page.get_height()
    found = page.get_textpage()
    boxes = [found.get_charbox(i) for i in range(found.count_chars())]
    return [
        ((left + right) / 2 / POINTS_PER_MM, (height - (bottom + top) / 2) / POINTS_PER_MM)
        for left, bottom, right, top in boxes
        if right > left
    ]


def codes(document: bytes) -> list[zxingcpp.Barcode]:
    """What a scanner finds on the first page, at half of the images' resolution."""
    page = pypdfium2.PdfDocument(document)[0]
    image = page.render(scale=SCAN_DPI / 72, grayscale=True).to_pil()
    return list(zxingcpp.read_barcodes(image))


def label_at(stock: Stock, x_mm: float, y_mm: float) -> int | None:
    """The number of the label that a point of the page is on, None beside all of them."""
    width, height = stock.label_mm
    for number, (left, top) in enumerate(stock.corners(), 1):
        if left <= x_mm <= left + width and top <= y_mm <= top + height:
            return number
    return None


@EVERY_STOCK
def test_labels_lie_on_the_page_and_beside_each_other(stock: Stock) -> None:
    corners = list(stock.corners())
    width, height = stock.label_mm
    assert len(corners) == stock.per_page
    for left, top in corners:
        assert left >= 0 and left + width <= stock.page_mm[0] + 1e-9
        assert top >= 0 and top + height <= stock.page_mm[1] + 1e-9
    for one, (left, top) in enumerate(corners):
        for other_left, other_top in corners[one + 1 :]:
            assert abs(other_left - left) >= width - 1e-9 or abs(other_top - top) >= height - 1e-9


@pytest.mark.parametrize(
    ("name", "count", "left_mm", "top_mm", "pitch_mm"),
    # What people measured on these sheets and their templates, to a tenth of a millimetre.
    [
        ("L7160", 21, 7.2, 15.1, 66.0),
        ("L7163", 14, 4.7, 15.1, 101.6),
        ("L7159", 24, 7.2, 12.9, 66.0),
        ("3475", 24, 0.0, 4.5, 70.0),
    ],
)
def test_sheets_are_as_their_templates_have_them(
    name: str, count: int, left_mm: float, top_mm: float, pitch_mm: float
) -> None:
    first, second = list(STOCKS[name].corners())[:2]
    assert STOCKS[name].per_page == count
    assert first == pytest.approx((left_mm, top_mm), abs=0.06)
    assert second[0] - first[0] == pytest.approx(pitch_mm, abs=0.06)


@EVERY_STOCK
@pytest.mark.parametrize("what", [PLAIN, WIDE], ids=["plain", "wide"])
def test_a_scanner_reads_the_urn_and_nothing_is_beside_the_label(stock: Stock, what: Label) -> None:
    document = drawing.pdf([what], stock)
    (code,) = codes(document)
    assert code.text == "urn:dev:mac:020000fffe123456"
    assert {label_at(stock, x, y) for x, y in letters(document)} == {1}
    (text,) = texts(document)
    assert "12-34-56" in text


@EVERY_STOCK
def test_a_code_has_the_light_border_that_scanners_need(stock: Stock) -> None:
    document = drawing.pdf([WIDE], stock)
    (code,) = codes(document)
    left = code.position.top_left.x / SCAN_DPI * 25.4
    right = code.position.top_right.x / SCAN_DPI * 25.4
    # Four modules on all sides (ISO/IEC 18004); a code of version 3 has 29 of them a side.
    border = 3.5 * (right - left) / 29
    assert left - next(stock.corners())[0] >= border
    assert min(x for x, _y in letters(document)) - right >= border


@EVERY_STOCK
def test_a_long_name_is_all_there(stock: Stock) -> None:
    name = "vandløbsmåler-gudenåen-opstrøms-broen-ved-tørring-st-nr-21-05-ab"
    (text,) = texts(drawing.pdf([Label(name, EUI64, site="x" * 64)], stock))
    assert name in re.sub(r"\s", "", text)


def test_what_a_plain_label_says() -> None:
    (english,) = texts(drawing.pdf([PLAIN], STOCKS["L7163"]))
    language.use("da")
    (danish,) = texts(drawing.pdf([PLAIN], STOCKS["L7163"]))
    assert english.split("\r\n") == [
        "lokale-12",
        "12-34-56",
        "Ærøskøbing Skole, Blåbærstuen",
        "aarhus",
        "Contact: Teknik og Miljø, 87 13 00 00",
    ]
    assert danish == english.replace("Contact", "Kontakt")


def test_letters_that_the_font_lacks_lose_their_accent() -> None:
    (text,) = texts(drawing.pdf([Label("Łódź-ęń-漢", EUI64)], STOCKS["L7163"]))
    assert text.split("\r\n")[0] == "Łódz-en-?"


def test_an_address_is_split_only_where_it_may_be() -> None:
    wide = typeset.Paragraph("aaa bbb-ccc dddddddd", typeset.REGULAR, 10, 10)
    lines = [line.text for line in typeset.fit([wide], 55, 1000)]
    assert lines == ["aaa bbb-", "ccc", "dddddddd"]


def test_what_stays_on_one_line_gets_smaller() -> None:
    whole = typeset.Paragraph("1A-2B-3C", typeset.BOLD, 11, 7, whole=True)
    (line,) = typeset.fit([whole], 50, 1000)
    assert line.text == "1A-2B-3C"
    assert 7 <= line.size_pt < 11


@EVERY_STOCK
def test_a_partly_used_sheet_is_filled_up(stock: Stock) -> None:
    first = max(1, stock.per_page - 1)
    labels = [Label(f"n{i}", EUI64[:-1] + bytes([i])) for i in range(4)]
    document = drawing.pdf(labels, stock, first)
    assert {label_at(stock, x, y) for x, y in letters(document)} == {
        *range(first, stock.per_page + 1)
    }
    names = [re.findall(r"^n\d", page, re.MULTILINE) for page in texts(document)]
    expected = [["n0", "n1"], ["n2", "n3"]] if stock.per_page > 1 else [[f"n{i}"] for i in range(4)]
    assert names == expected


@pytest.mark.parametrize("first", [0, 22])
def test_a_label_that_the_sheet_does_not_have_is_refused(first: int) -> None:
    with pytest.raises(LabelError, match="L7160 has 21 labels a page"):
        drawing.pdf([PLAIN], STOCKS["L7160"], first)


def test_an_image_has_the_size_of_the_paper() -> None:
    (image,) = drawing.png(drawing.pdf([PLAIN], STOCKS["roll62"]))
    size = Image.open(io.BytesIO(image)).size
    assert size == pytest.approx([62 / 25.4 * 300, 36 / 25.4 * 300], abs=1)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_list_gives_a_label_for_each_board(tmp_path: Path) -> None:
    nodes = write(
        tmp_path / "nodes.csv",
        "Name;mac;site;contact;anything",
        "a;02:00:00:12:34:56;Skole;;x",
        ";;;;",
        "b;;Skole;;x",
        "c;02-00-00-12-34-57;;driften;x",
        "d",
    )
    listed = label.read(nodes, contact="vagten")
    assert listed.without_mac == (4, 6)
    assert listed.labels == (
        Label("a", EUI64, site="Skole", contact="vagten"),
        Label("c", bytes.fromhex("020000fffe123457"), contact="driften"),
    )


def test_every_line_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    nodes = write(tmp_path / "nodes.csv", "mac,name", "02:00,a", "02:00:00:12:34:56,")
    with pytest.raises(LabelError) as raised:
        label.read(nodes)
    assert str(raised.value).splitlines() == [
        f'{nodes}, line 2: mac: is not a MAC address, such as "02:00:00:00:00:01"',
        f"{nodes}, line 3: the node has no name",
    ]


SECRET = "00112233445566778899aabbccddeeff"
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    cli.register(app)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("column", ["key", "Key ", "password", "psk"])
def test_a_list_with_keys_is_refused(run: Run, tmp_path: Path, column: str) -> None:
    write(tmp_path / "l.csv", f"mac,name,{column}", f"02:00:00:12:34:56,a,{SECRET}")
    result = run("l.csv", "--png")
    assert result.exit_code == 2
    assert "is for a secret" in result.output
    assert SECRET not in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.csv"]


def test_the_command_writes_what_it_says(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "l.csv", "mac,name,key_id", "02:00:00:12:34:56,måler,0x0badcafe", ",b,")
    result = run("l.csv", "--sheet", "ROLL62", "--out", "x.pdf", "--png", "--lang", "da")
    assert result.exit_code == 0, result.output
    assert "1 etiket: x.pdf, x-1.png" in result.output
    assert "endnu ikke har noget kort (linje 3)" in result.output
    document = (tmp_path / "x.pdf").read_bytes()
    assert texts(document) == ["måler\r\n12-34-56"]
    (code,) = zxingcpp.read_barcodes(Image.open(tmp_path / "x-1.png"))
    assert code.text == PLAIN.urn


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "mac: is not a MAC address"),
        (["--mac", "02:00:00:12:34:56"], "the node has no name"),
        (["l.csv", "--name", "x"], "Give either a list or one node"),
        (["l.csv"], "l.csv can't be read: No such file or directory"),
        (["--mac", "02:00:00:12:34:56", "--name", "x", "--first", "22"], "has 21 labels a page"),
        (["--mac", "02:00:00:12:34:56", "--name", "x", "--out", "a/b.pdf"], "can't be written"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_an_unknown_sheet_is_answered_with_those_there_are(run: Run) -> None:
    result = run("--sheet", "L9999")
    assert result.exit_code == 2
    assert "roll62" in result.output


def test_what_the_gateway_exports_is_a_list(run: Run, tmp_path: Path) -> None:
    from feltpost_gateway import node_csv
    from feltpost_gateway.nodes import Node, node_to_columns

    node = Node(eui64=EUI64, name="lokale-12", owner="aarhus", site="Ærø", room="Blå")
    (tmp_path / "e.csv").write_bytes(node_csv.write([node_to_columns(node)], excel=True))
    assert run("e.csv", "--contact", "driften").exit_code == 0
    (text,) = texts((tmp_path / "labels.pdf").read_bytes())
    assert text.split("\r\n") == ["lokale-12", "12-34-56", "Ærø, Blå", "aarhus", "Contact: driften"]
