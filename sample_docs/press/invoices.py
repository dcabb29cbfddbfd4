"""Invoices: one page each, in the seller's colour, with sums computed from the lines."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

GREY = HexColor("#5c6873")
INK = HexColor("#1d2733")
LEFT, RIGHT = 58, 537
TAX = 0.25


def write(source: Path, target: Path) -> None:
    """Write all invoices of the data file `source` as one PDF."""
    canvas = Canvas(str(target), pagesize=A4, invariant=1, initialFontName="Lato")
    canvas.setTitle("Invoices, March 2024")
    for invoice in tomllib.loads(source.read_text(encoding="utf-8"))["invoice"]:
        _head(canvas, invoice)
        low = _lines(canvas, invoice["lines"])
        _sums(canvas, invoice, low)
        canvas.showPage()
    canvas.save()


def _head(canvas: Canvas, invoice: dict[str, Any]) -> None:
    """Draw the seller's band, the buyer's address and the invoice's dates and numbers."""
    canvas.setFillColor(HexColor(invoice["colour"]))
    canvas.rect(0, 752, 595, 90, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#ffffff"))
    canvas.setFont("Lato-Black", 21)
    canvas.drawString(LEFT, 790, invoice["seller"][0])
    canvas.setFont("Lato", 10)
    canvas.drawString(LEFT, 773, " · ".join(invoice["seller"][1:]))
    canvas.setFont("Lato-Light", 30)
    canvas.drawRightString(RIGHT, 786, "INVOICE")
    _words(canvas, LEFT, 706, ["Bill to", *invoice["buyer"]])
    facts = {"Invoice number": "number", "Invoice date": "date", "Due date": "due", "Your order": "order"}
    for n, (label, key) in enumerate(facts.items()):
        canvas.setFillColor(GREY)
        canvas.setFont("Lato", 10)
        canvas.drawString(330, 706 - 18 * n, label)
        canvas.setFillColor(INK)
        canvas.setFont("Lato-Bold", 10.5)
        canvas.drawRightString(RIGHT, 706 - 18 * n, invoice[key])


def _words(canvas: Canvas, x: float, y: float, lines: list[str]) -> None:
    """Draw lines of an address: a grey label, a bold name, then the rest."""
    for n, line in enumerate(lines):
        canvas.setFillColor(GREY if n == 0 else INK)
        canvas.setFont("Lato-Bold" if n == 1 else "Lato", 10 if n == 0 else 11.5)
        canvas.drawString(x, y - 16 * n, line)


def _lines(canvas: Canvas, lines: list[list[Any]]) -> float:
    """Draw the table of items; return the vertical position for the sums."""
    y = 590.0
    canvas.setFillColor(GREY)
    canvas.setFont("Lato-Bold", 9.5)
    for x, title in ((LEFT, "Item"), (LEFT + 92, "Description")):
        canvas.drawString(x, y, title)
    for x, title in ((390, "Quantity"), (460, "Price"), (RIGHT, "Amount")):
        canvas.drawRightString(x, y, title)
    canvas.setStrokeColor(INK)
    canvas.line(LEFT, y - 7, RIGHT, y - 7)
    canvas.setStrokeColor(HexColor("#cdd6db"))
    for item, words, quantity, price in lines:
        y -= 30
        canvas.setFillColor(INK)
        canvas.setFont("Lato-Bold", 10)
        canvas.drawString(LEFT, y, item)
        canvas.setFont("Lato", 10)
        first, second = _fold(words)
        canvas.drawString(LEFT + 92, y, first)
        canvas.drawString(LEFT + 92, y - 12, second)
        for x, number in ((390, quantity), (460, price), (RIGHT, quantity * price)):
            canvas.drawRightString(x, y, f"{number:,}")
        canvas.line(LEFT, y - 18, RIGHT, y - 18)
        y -= 6
    return y - 48


def _fold(words: str) -> tuple[str, str]:
    """Split words into two lines, the first of at most 36 characters."""
    if len(words) <= 36:
        return words, ""
    cut = words.rindex(" ", 0, 37)
    return words[:cut], words[cut + 1 :]


def _sums(canvas: Canvas, invoice: dict[str, Any], y: float) -> None:
    """Draw net sum, tax and total, the note and the payment line."""
    net = sum(quantity * price for _, _, quantity, price in invoice["lines"])
    for n, (label, amount) in enumerate((("Net", net), (f"Value added tax {TAX:.0%}", net * TAX))):
        canvas.setFillColor(GREY)
        canvas.setFont("Lato", 10.5)
        canvas.drawString(340, y - 19 * n, label)
        canvas.drawRightString(RIGHT, y - 19 * n, f"{amount:,.2f}")
    canvas.setFillColor(HexColor(invoice["colour"]))
    canvas.roundRect(328, y - 68, RIGHT - 316, 34, 4, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#ffffff"))
    canvas.setFont("Lato-Black", 14)
    canvas.drawString(340, y - 56, "Total NOK")
    canvas.drawRightString(RIGHT, y - 56, f"{net * (1 + TAX):,.2f}")
    canvas.setFillColor(INK)
    canvas.setFont("Lato-Bold", 10)
    canvas.drawString(LEFT, y - 110, "Note")
    canvas.setFont("Lato", 10)
    canvas.drawString(LEFT, y - 126, invoice["note"])
    canvas.setFillColor(GREY)
    canvas.setFont("Lato", 9)
    canvas.drawString(
        LEFT, 60, f"Please pay to account 5550 14 01440 with reference {invoice['number']} until {invoice['due']}."
    )
    canvas.drawString(LEFT, 46, f"{invoice['seller'][0]}, {invoice['seller'][1]}. Thank you.")
