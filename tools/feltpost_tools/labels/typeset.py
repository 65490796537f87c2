"""Fits a label's texts into the room that there is: smaller first, then on more lines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

REGULAR = "Vera"
BOLD = "VeraBd"

_STEPS = 20
_LINE_HEIGHT = 1.2
# A line may end behind each of these.
_TOKEN = re.compile(r"[^\s\-_/.,@]*[\s\-_/.,@]?")


@dataclass(frozen=True)
class Paragraph:
    """A text and how it may be set.

    size_pt: what it has where there is room. most_lines: beyond them it is cut off, with an
    ellipsis, where even the smallest size is too large; None for a text that is never cut off.
    whole: stays on one line.
    """

    text: str
    font: str
    size_pt: float
    smallest_pt: float
    most_lines: int | None = None
    whole: bool = False


@dataclass(frozen=True)
class Line:
    """A line as it is to be printed."""

    text: str
    font: str
    size_pt: float

    @property
    def height_pt(self) -> float:
        """What it takes from the top of its letters to that of the next line's."""
        return self.size_pt * _LINE_HEIGHT


def fit(paragraphs: Sequence[Paragraph], width_pt: float, height_pt: float) -> list[Line]:
    """Return the lines for a room of that size, all paragraphs shrunk by the same share."""
    lines: list[Line] = []
    for step in range(_STEPS + 1):
        lines = [
            line
            for paragraph in paragraphs
            for line in _set(paragraph, step / _STEPS, width_pt, cut=step == _STEPS)
        ]
        widest = max(_width(line.text, line.font, line.size_pt) for line in lines)
        if widest <= width_pt and sum(line.height_pt for line in lines) <= height_pt:
            break
    return lines


@cache
def _font(name: str) -> TTFont:
    # Comes with reportlab and goes into the PDF, whatever prints it.
    font = TTFont(name, f"{name}.ttf")
    pdfmetrics.registerFont(font)
    return font


def _set(paragraph: Paragraph, shrunk: float, width_pt: float, *, cut: bool) -> Iterator[Line]:
    size_pt = paragraph.size_pt - (paragraph.size_pt - paragraph.smallest_pt) * shrunk
    text = _printable(paragraph.text, paragraph.font)
    lines = [text] if paragraph.whole else _broken(text, paragraph.font, size_pt, width_pt)
    if cut and paragraph.most_lines is not None and len(lines) > paragraph.most_lines:
        lines = lines[: paragraph.most_lines]
        lines[-1] = _ellipsed(lines[-1], paragraph.font, size_pt, width_pt)
    return (Line(line, paragraph.font, size_pt) for line in lines)


def _broken(text: str, font: str, size_pt: float, width_pt: float) -> list[str]:
    lines = [""]
    for piece in _pieces(_TOKEN.findall(text), font, size_pt, width_pt):
        if lines[-1] and _width((lines[-1] + piece).rstrip(), font, size_pt) > width_pt:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def _pieces(tokens: Iterable[str], font: str, size_pt: float, width_pt: float) -> Iterator[str]:
    # A token that is wider than a line goes letter by letter.
    for token in tokens:
        if _width(token.rstrip(), font, size_pt) <= width_pt:
            yield token
        else:
            yield from token


def _ellipsed(text: str, font: str, size_pt: float, width_pt: float) -> str:
    while text and _width(f"{text}…", font, size_pt) > width_pt:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _width(text: str, font: str, size_pt: float) -> float:
    return float(_font(font).stringWidth(text, size_pt))


def _printable(text: str, font: str) -> str:
    # The font has the letters of Western Europe. Of others it shows the letter below the accent.
    glyphs = _font(font).face.charToGlyph

    def shown(letter: str) -> str:
        if ord(letter) in glyphs:
            return letter
        base = unicodedata.normalize("NFKD", letter)[0]
        return base if ord(base) in glyphs else "?"

    return "".join(map(shown, unicodedata.normalize("NFC", text)))
