"""Draws labels: a PDF with a page for each sheet or piece of a roll, and PNG images of them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pypdfium2
from reportlab.graphics.barcode.qr import QrCode
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from feltpost_tools.errors import LabelError
from feltpost_tools.labels import typeset
from feltpost_tools.labels.label import Label
from feltpost_tools.labels.stock import Stock
from feltpost_tools.labels.typeset import BOLD, REGULAR, Paragraph
from feltpost_tools.language import _

_MARGIN_MM = 2.0
# Of the label's width, so that the texts have the larger part.
_LARGEST_CODE = 0.42
_PNG_DPI = 300
_POINTS_PER_INCH = 72


def pdf(labels: Sequence[Label], stock: Stock, first: int = 1) -> bytes:
    """Return a PDF with the labels, beginning at the sheet's label number `first`, from 1 on.

    Its words are in the language in use. The same labels give the same bytes. `LabelError` when
    the sheet has no such label, or there is nothing to print.
    """
    if not labels:
        raise LabelError(_("There is no node to print a label for."))
    if not 1 <= first <= stock.per_page:
        raise LabelError(
            _(
                "{stock} has {count} labels a page, so printing can't begin at number {first}."
            ).format(stock=stock.name, count=stock.per_page, first=first)
        )
    corners = list(stock.corners())
    file = io.BytesIO()
    width_mm, height_mm = stock.page_mm
    canvas = Canvas(file, pagesize=(width_mm * mm, height_mm * mm), invariant=1)
    canvas.setTitle(_("Labels for nodes"))
    canvas.setCreator("Feltpost")
    for number, label in enumerate(labels, first - 1):
        if number > first - 1 and number % stock.per_page == 0:
            canvas.showPage()
        left, top = corners[number % stock.per_page]
        _draw(canvas, label, stock, left, height_mm - top - stock.label_mm[1])
    canvas.save()
    return file.getvalue()


def png(document: bytes) -> Iterator[bytes]:
    """Give each page of a PDF as a PNG image, with 300 dots an inch."""
    pages = pypdfium2.PdfDocument(document)
    try:
        for page in pages:
            file = io.BytesIO()
            image = page.render(scale=_PNG_DPI / _POINTS_PER_INCH, grayscale=True).to_pil()
            image.save(file, format="PNG", dpi=(_PNG_DPI, _PNG_DPI))
            yield file.getvalue()
    finally:
        pages.close()


def _draw(canvas: Canvas, label: Label, stock: Stock, left_mm: float, bottom_mm: float) -> None:
    width_mm, height_mm = stock.label_mm
    side_mm = min(height_mm - 2 * _MARGIN_MM, width_mm * _LARGEST_CODE)
    # Level Q mends a quarter of the code, for labels that get scratched or dirty.
    code = QrCode(label.urn, width=side_mm * mm, height=side_mm * mm, qrLevel="Q")
    # The code's own light border is the margin to its left and to the texts.
    code.drawOn(canvas, left_mm * mm, (bottom_mm + (height_mm - side_mm) / 2) * mm)
    text_width_mm = width_mm - side_mm - _MARGIN_MM
    lines = typeset.fit(_paragraphs(label), text_width_mm * mm, (height_mm - 2 * _MARGIN_MM) * mm)
    height_pt = sum(line.height_pt for line in lines)
    y = (bottom_mm + height_mm / 2) * mm + height_pt / 2
    for line in lines:
        y -= line.height_pt
        canvas.setFont(line.font, line.size_pt)
        # Letters below the line reach a quarter of their size down.
        canvas.drawString((left_mm + side_mm) * mm, y + line.size_pt / 4, line.text)


def _paragraphs(label: Label) -> list[Paragraph]:
    place = ", ".join(filter(None, (label.site, label.room)))
    contact = label.contact and _("Contact: {contact}").format(contact=label.contact)
    lesser = [
        Paragraph(text, REGULAR, size_pt=8, smallest_pt=5, most_lines=2)
        for text in (place, label.owner, contact)
        if text
    ]
    return [
        Paragraph(label.name, BOLD, size_pt=12, smallest_pt=5),
        Paragraph(label.short_id, BOLD, size_pt=11, smallest_pt=7, whole=True),
        *lesser,
    ]
