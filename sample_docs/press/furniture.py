"""Headers, footers and page backgrounds."""

from __future__ import annotations

from collections.abc import Callable

from reportlab.lib.colors import HexColor
from reportlab.pdfgen.canvas import Canvas

from press.theme import WHITE, Theme

GREY = HexColor("#5c6873")
Matter = dict[str, str]


def mark(canvas: Canvas, x: float, y: float, size: float, colours: tuple) -> None:
    """Draw the company's mark, three waves in a disc, centred on (x, y) with radius `size`."""
    disc, wave = colours
    canvas.saveState()
    canvas.setFillColor(disc)
    canvas.circle(x, y, size, stroke=0, fill=1)
    canvas.setStrokeColor(wave)
    canvas.setLineWidth(size * 0.16)
    canvas.setLineCap(1)
    for level, half in ((0.32, 0.5), (0.0, 0.62), (-0.32, 0.5)):
        path = canvas.beginPath()
        left, base = x - size * half, y + size * level
        path.moveTo(left, base)
        for n in range(2):
            start = left + n * size * half
            path.curveTo(start + size * half * 0.33, base + size * 0.3, start + size * half * 0.66,
                         base - size * 0.3, start + size * half, base)  # fmt: skip
        canvas.drawPath(path)
    canvas.restoreState()


def line(canvas: Canvas, theme: Theme, matter: Matter) -> None:
    """Draw the brand on the left, the title on the right and a thin rule; the page number is in the footer."""
    width, height = theme.page
    mark(canvas, theme.left + 7, height - 38, 7, (theme.colour("accent"), WHITE))
    canvas.setFillColor(theme.colour("ink"))
    canvas.setFont(theme.bold, 8.2)
    canvas.drawString(theme.left + 20, height - 41, matter.get("brand", "Tidewerk Instruments"))
    canvas.setFillColor(GREY)
    canvas.setFont(theme.body, 8)
    canvas.drawRightString(width - theme.right, height - 41, matter.get("head", matter["title"]))
    canvas.setStrokeColor(HexColor("#cdd6db"))
    canvas.setLineWidth(0.6)
    canvas.line(theme.left, height - 52, width - theme.right, height - 52)
    canvas.drawString(theme.left, 34, matter.get("foot", ""))
    canvas.drawRightString(width - theme.right, 34, str(canvas.getPageNumber()))


def band(canvas: Canvas, theme: Theme, matter: Matter) -> None:
    """Draw a band in the accent colour with the title, and a footer."""
    width, height = theme.page
    canvas.setFillColor(theme.colour("accent"))
    canvas.rect(0, height - 50, width, 50, stroke=0, fill=1)
    canvas.setFillColor(theme.colour("second"))
    canvas.rect(0, height - 53, width, 3, stroke=0, fill=1)
    canvas.setFillColor(WHITE)
    canvas.setFont(theme.head, 15)
    canvas.drawString(theme.left, height - 32, matter.get("head", matter["title"]))
    mark(canvas, width - theme.right - 9, height - 26, 11, (WHITE, theme.colour("accent")))
    canvas.setFont(theme.body, 8)
    canvas.drawRightString(width - theme.right - 28, height - 29, matter.get("brand", "Tidewerk Instruments"))
    canvas.setFillColor(GREY)
    canvas.setFont(theme.body, 7.4)
    canvas.drawString(theme.left, 30, matter.get("foot", ""))
    canvas.drawRightString(width - theme.right, 30, f"{canvas.getPageNumber()}")


def side(canvas: Canvas, theme: Theme, matter: Matter) -> None:
    """Draw a narrow coloured left edge with the title written upwards, and a footer."""
    width, height = theme.page
    canvas.setFillColor(theme.colour("second"))
    canvas.rect(0, 0, 26, height, stroke=0, fill=1)
    canvas.saveState()
    canvas.translate(17, 60)
    canvas.rotate(90)
    canvas.setFillColor(WHITE)
    canvas.setFont(theme.bold, 9)
    canvas.drawString(0, 0, matter.get("head", matter["title"]))
    canvas.restoreState()
    canvas.setFillColor(theme.colour("ink"))
    canvas.setFont(theme.head, 11)
    canvas.drawRightString(width - theme.right, 34, str(canvas.getPageNumber()))
    canvas.setFont(theme.body, 7.6)
    canvas.setFillColor(GREY)
    canvas.drawString(theme.left, 34, matter.get("foot", ""))


def journal(canvas: Canvas, theme: Theme, matter: Matter) -> None:
    """Draw a journal's running head above a hairline, and a footer."""
    width, height = theme.page
    number = canvas.getPageNumber()
    canvas.setStrokeColor(GREY)
    canvas.setLineWidth(0.5)
    canvas.line(theme.left, height - 46, width - theme.right, height - 46)
    canvas.setFillColor(GREY)
    canvas.setFont("Serif-Italic", 8.4)
    canvas.drawString(theme.left, height - 41, matter["head"])
    canvas.setFont("Serif", 8.4)
    canvas.drawRightString(width - theme.right, height - 41, str(int(matter.get("first", "1")) + number - 1))
    canvas.drawString(theme.left, 32, matter.get("foot", ""))


def slide(canvas: Canvas, theme: Theme, matter: Matter) -> None:
    """Draw a dark slide with a bright edge, the mark, the footer and the page number."""
    width, height = theme.page
    canvas.setFillColor(HexColor("#0b2233"))
    canvas.rect(0, 0, width + 2, height + 2, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#103148"))
    canvas.circle(width * 0.97, height * 0.05, 190, stroke=0, fill=1)
    canvas.setFillColor(theme.colour("second"))
    canvas.rect(0, height - 92, 14, 50, stroke=0, fill=1)
    mark(canvas, theme.left + 9, 30, 9, (theme.colour("accent"), HexColor("#0b2233")))
    canvas.setFillColor(HexColor("#9fb4c2"))
    canvas.setFont(theme.body, 11)
    canvas.drawString(theme.left + 26, 26, matter["foot"])
    canvas.drawRightString(width - theme.right, 26, str(canvas.getPageNumber()))


def menu(canvas: Canvas, theme: Theme, matter: Matter) -> None:
    """Draw warm paper with a double frame and two fish."""
    width, height = theme.page
    canvas.setFillColor(HexColor("#fbf3e2"))
    canvas.rect(0, 0, width, height, stroke=0, fill=1)
    canvas.setStrokeColor(theme.colour("accent"))
    for inset, weight in ((22, 2.2), (28, 0.7)):
        canvas.setLineWidth(weight)
        canvas.rect(inset, inset, width - 2 * inset, height - 2 * inset, stroke=1, fill=0)
    canvas.setFillColor(theme.colour("accent"))
    for x, way in ((width / 2 - 60, 1), (width / 2 + 60, -1)):
        canvas.ellipse(x - 30, 56, x + 30, 78, stroke=0, fill=1)
        path = canvas.beginPath()
        path.moveTo(x - 26 * way, 67)
        path.lineTo(x - 48 * way, 80)
        path.lineTo(x - 48 * way, 54)
        path.close()
        canvas.drawPath(path, stroke=0, fill=1)
        canvas.setFillColor(HexColor("#fbf3e2"))
        canvas.circle(x + 19 * way, 69, 2.4, stroke=0, fill=1)
        canvas.setFillColor(theme.colour("accent"))


def none(canvas: Canvas, theme: Theme, matter: Matter) -> None:
    """Draw no header and no footer."""


KINDS: dict[str, Callable[[Canvas, Theme, Matter], None]] = {
    "line": line, "band": band, "side": side, "journal": journal, "slide": slide, "menu": menu, "none": none,
}  # fmt: skip
