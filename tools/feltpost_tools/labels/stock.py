"""The label sheets and rolls that labels can be printed on.

Size and number of the labels are what the packets say. From column to column it is 66.04 mm and
101.6 mm, in inches 2.6 and 4, as in Avery's templates. What is left of the A4 sheet is divided
evenly, since all of these sheets are symmetrical. The roll is Brother's continuous DK-22205 and
the like.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_A4_MM = (210.0, 297.0)


@dataclass(frozen=True)
class Stock:
    """A sheet or a piece of a roll; all in millimetres. gap_mm: between columns; rows touch."""

    name: str
    page_mm: tuple[float, float]
    label_mm: tuple[float, float]
    columns: int
    rows: int
    gap_mm: float = 0.0

    @property
    def per_page(self) -> int:
        """How many labels are on a page."""
        return self.columns * self.rows

    def corners(self) -> Iterator[tuple[float, float]]:
        """Give each label's upper left corner, from the page's upper left, in reading order."""
        (page_width, page_height), (width, height) = self.page_mm, self.label_mm
        pitch = width + self.gap_mm
        left = (page_width - (self.columns - 1) * pitch - width) / 2
        top = (page_height - self.rows * height) / 2
        for row in range(self.rows):
            for column in range(self.columns):
                yield left + column * pitch, top + row * height


STOCKS = {
    stock.name: stock
    for stock in (
        Stock("L7160", _A4_MM, (63.5, 38.1), 3, 7, gap_mm=2.54),
        Stock("L7163", _A4_MM, (99.1, 38.1), 2, 7, gap_mm=2.5),
        Stock("L7159", _A4_MM, (63.5, 33.9), 3, 8, gap_mm=2.54),
        Stock("3475", _A4_MM, (70.0, 36.0), 3, 8),
        Stock("roll62", (62.0, 36.0), (62.0, 36.0), 1, 1),
    )
}
