"""Covers and title blocks, drawn in page coordinates over a page or the top of it."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sin

from reportlab.lib.colors import Color, HexColor, linearlyInterpolatedColor
from reportlab.pdfgen.canvas import Canvas

from press.furniture import mark
from press.markup import Block
from press.theme import WHITE, Theme


def words(block: Block) -> dict[str, str]:
    """Return the rows of a plate as a mapping from role to words."""
    return {row[0]: row[1] for row in block.rows}


def sky(canvas: Canvas, area: tuple[float, float, float, float], low: Color, high: Color) -> None:
    """Fill the area (left, bottom, width, height) with a vertical gradient from `low` to `high`."""
    left, bottom, width, height = area
    for n in range(80):
        canvas.setFillColor(linearlyInterpolatedColor(low, high, 0, 79, n))
        canvas.rect(left, bottom + height * n / 80, width, height / 80 + 0.8, stroke=0, fill=1)


def swell(canvas: Canvas, width: float, level: float, height: float, phase: float, colour: Color) -> None:
    """Draw one wave of the sea across the page, filled down to the bottom edge."""
    path = canvas.beginPath()
    path.moveTo(0, 0)
    for n in range(121):
        x = width * n / 120
        path.lineTo(x, level + height * sin(2 * pi * (n / 60 + phase)) + height * 0.35 * sin(2 * pi * (n / 23 + phase)))
    path.lineTo(width, 0)
    path.close()
    canvas.setFillColor(colour)
    canvas.drawPath(path, stroke=0, fill=1)


def turbine(canvas: Canvas, x: float, foot: float, height: float, turn: float, colour: Color) -> None:
    """Draw a wind turbine with its foot at (x, foot) and its blades rotated by `turn` degrees."""
    canvas.saveState()
    canvas.setFillColor(colour)
    path = canvas.beginPath()
    for n, (dx, y) in enumerate(
        ((-height * 0.02, 0), (height * 0.02, 0), (height * 0.009, height), (-height * 0.009, height))
    ):
        (path.lineTo if n else path.moveTo)(x + dx, foot + y)
    path.close()
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.translate(x, foot + height)
    for blade in range(3):
        canvas.saveState()
        canvas.rotate(turn + 120 * blade)
        path = canvas.beginPath()
        path.moveTo(0, -height * 0.012)
        path.curveTo(height * 0.15, -height * 0.04, height * 0.3, -height * 0.01, height * 0.58, 0)
        path.curveTo(height * 0.3, height * 0.006, height * 0.1, height * 0.02, 0, height * 0.012)
        canvas.drawPath(path, stroke=0, fill=1)
        canvas.restoreState()
    canvas.circle(0, 0, height * 0.022, stroke=0, fill=1)
    canvas.restoreState()


def buoy(canvas: Canvas, x: float, y: float, size: float, colours: tuple[Color, Color]) -> None:
    """Draw a floating wave buoy at (x, y): sphere, solar collar, mast with light."""
    hull, trim = colours
    canvas.setFillColor(hull)
    canvas.circle(x, y, size, stroke=0, fill=1)
    canvas.setFillColor(trim)
    canvas.rect(x - size * 1.08, y - size * 0.1, size * 2.16, size * 0.22, stroke=0, fill=1)
    canvas.rect(x - size * 0.07, y + size * 0.9, size * 0.14, size * 1.3, stroke=0, fill=1)
    canvas.rect(x - size * 0.42, y + size * 1.32, size * 0.84, size * 0.5, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#ffd25e"))
    canvas.circle(x, y + size * 2.3, size * 0.17, stroke=0, fill=1)


def sea(canvas: Canvas, theme: Theme, block: Block) -> None:
    """Draw the annual report's cover: dusk over a wind farm."""
    width, height = theme.page
    text = words(block)
    sky(canvas, (0, 0, width, height), HexColor("#f6b98a"), HexColor("#14344f"))
    canvas.setFillColor(HexColor("#ffe9c9"))
    canvas.circle(width * 0.68, height * 0.42, 46, stroke=0, fill=1)
    for n, x in enumerate((0.08, 0.2, 0.31, 0.44, 0.56, 0.8, 0.93)):
        far = HexColor("#3d5468") if n % 2 else HexColor("#2b4358")
        turbine(canvas, width * x, height * 0.31, 120 + 55 * (n % 3), 17 + 31 * n, far)
    for n, shade in enumerate(("#2f6f86", "#1d5a74", "#134862", "#0c3650", "#082840")):
        swell(canvas, width, height * (0.33 - 0.062 * n), 7 + 2.5 * n, 0.21 * n, HexColor(shade))
        if n == 2:
            buoy(canvas, width * 0.27, height * 0.225, 27, (HexColor("#f2c12e"), HexColor("#10293d")))
    mark(canvas, 76, height - 78, 19, (WHITE, HexColor("#14344f")))
    canvas.setFillColor(WHITE)
    canvas.setFont("Manrope-Bold", 15)
    canvas.drawString(106, height - 83, text["brand"])
    canvas.setFont("Manrope-Heavy", 47)
    canvas.drawString(56, height - 178, text["title"])
    canvas.setFont("Manrope-Heavy", 96)
    canvas.drawString(52, height - 268, text["year"])
    canvas.setFont("Manrope-Medium", 15)
    canvas.drawString(58, height - 300, text["line"])
    canvas.setFont("Manrope", 9)
    canvas.drawString(56, 40, text["foot"])


def product(canvas: Canvas, theme: Theme, block: Block) -> None:
    """Draw the head of a datasheet: name, claim and a picture of the product, 262 points high."""
    width, height = theme.page
    text = words(block)
    low = height - 262
    sky(canvas, (0, low, width, 262), theme.colour("accent"), HexColor("#0a1f33"))
    for n in range(4):
        path = canvas.beginPath()
        path.moveTo(0, low + 26 + 9 * n)
        for k in range(61):
            path.lineTo(width * k / 60, low + 26 + 9 * n + 5 * sin(2 * pi * (k / 20 + 0.2 * n)))
        canvas.setStrokeColor(Color(1, 1, 1, alpha=0.22))
        canvas.drawPath(path)
    PICTURES[text["picture"]](canvas, width - 130, low + 92)
    canvas.setFillColor(theme.colour("second"))
    canvas.rect(theme.left, height - 74, 34, 4, stroke=0, fill=1)
    canvas.setFillColor(WHITE)
    canvas.setFont(theme.body, 9.5)
    canvas.drawString(theme.left, height - 60, text["kind"])
    canvas.setFont(theme.head, 40)
    canvas.drawString(theme.left, height - 122, text["title"])
    canvas.setFont(theme.body, 13)
    for n, line in enumerate(text["line"].split(" / ")):
        canvas.drawString(theme.left, height - 150 - 18 * n, line)


def _petrel(canvas: Canvas, x: float, y: float) -> None:
    """Draw the Petrel wave buoy, centred on (x, y)."""
    buoy(canvas, x, y, 48, (HexColor("#f2c12e"), HexColor("#dfe7ea")))


def _heron(canvas: Canvas, x: float, y: float) -> None:
    """Draw the Heron current profiler, centred on x, with its lower edge near y."""
    canvas.setFillColor(HexColor("#e8662c"))
    canvas.roundRect(x - 62, y + 4, 124, 42, 18, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#dfe7ea"))
    canvas.rect(x - 30, y - 2, 60, 54, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#20384a"))
    for dx in (-16, 16):
        canvas.circle(x + dx, y + 66, 12, stroke=0, fill=1)
    canvas.circle(x, y + 26, 9, stroke=0, fill=1)


def title(canvas: Canvas, theme: Theme, block: Block) -> None:
    """Draw the first slide: large words over a night sea."""
    width, height = theme.page
    text = words(block)
    sky(canvas, (0, 0, width, height), HexColor("#1c6b80"), HexColor("#071826"))
    for n, x in enumerate((0.6, 0.7, 0.78, 0.88, 0.95)):
        turbine(canvas, width * x, height * 0.27, 110 + 46 * (n % 3), 11 + 37 * n, HexColor("#a9c3cf"))
    for n, shade in enumerate(("#15566b", "#0f4357", "#0a3144", "#062231")):
        swell(canvas, width, height * (0.3 - 0.075 * n), 6 + 3 * n, 0.27 * n, HexColor(shade))
    buoy(canvas, width * 0.5, height * 0.2, 24, (HexColor("#ffcf40"), HexColor("#071826")))
    canvas.setFillColor(theme.colour("second"))
    canvas.rect(theme.left, height - 118, 60, 6, stroke=0, fill=1)
    canvas.setFillColor(WHITE)
    canvas.setFont(theme.head, 58)
    for n, line in enumerate(text["title"].split(" / ")):
        canvas.drawString(theme.left, height - 188 - 64 * n, line)
    canvas.setFont(theme.body, 18)
    canvas.drawString(theme.left, 40, text["line"])


def manual(canvas: Canvas, theme: Theme, block: Block) -> None:
    """Draw the manual's title on a dark band with a hazard stripe."""
    width, height = theme.page
    text = words(block)
    canvas.setFillColor(theme.colour("accent"))
    canvas.rect(26, height - 190, width, 190, stroke=0, fill=1)
    for n in range(24):
        path = canvas.beginPath()
        for k, (dx, y) in enumerate(((0, 190), (12, 190), (20, 202), (8, 202))):
            (path.lineTo if k else path.moveTo)(26 + 25 * n + dx, height - y)
        path.close()
        canvas.setFillColor(theme.colour("second"))
        canvas.drawPath(path, stroke=0, fill=1)
    canvas.setFillColor(WHITE)
    canvas.setFont(theme.head, 50)
    canvas.drawString(theme.left, height - 100, text["title"])
    canvas.setFont("Lato-Light", 26)
    canvas.drawString(theme.left, height - 138, text["line"])
    canvas.setFont(theme.body, 10)
    canvas.drawString(theme.left, height - 164, text["foot"])
    mark(canvas, width - 82, height - 92, 30, (WHITE, theme.colour("accent")))


def gazette(canvas: Canvas, theme: Theme, block: Block) -> None:
    """Draw a newspaper's masthead."""
    width, height = theme.page
    text = words(block)
    canvas.setFillColor(theme.colour("ink"))
    canvas.setFont("Serif-Bold", 46)
    canvas.drawCentredString(width / 2, height - 92, text["title"])
    canvas.setLineWidth(1.6)
    canvas.line(theme.left, height - 106, width - theme.right, height - 106)
    canvas.setFont("Serif-Italic", 9.5)
    canvas.drawString(theme.left, height - 119, text["left"])
    canvas.drawCentredString(width / 2, height - 119, text["middle"])
    canvas.drawRightString(width - theme.right, height - 119, text["right"])
    canvas.setLineWidth(0.5)
    canvas.line(theme.left, height - 125, width - theme.right, height - 125)


def headed(canvas: Canvas, theme: Theme, block: Block) -> None:
    """Draw a plain title block, one centred line per row."""
    width, height = theme.page
    canvas.setFillColor(theme.colour("ink"))
    y = height - 82
    for role, line in block.rows:
        font, size = {"title": ("Serif-Bold", 19), "who": ("Serif", 11)}.get(role, ("Serif-Italic", 9))
        canvas.setFont(font, size)
        canvas.drawCentredString(width / 2, y, line)
        y -= 17 if role != "title" else 23


PICTURES: dict[str, Callable[[Canvas, float, float], None]] = {"petrel": _petrel, "heron": _heron}
KINDS: dict[str, Callable[[Canvas, Theme, Block], None]] = {
    "sea": sea, "product": product, "gazette": gazette, "title": title, "manual": manual, "headed": headed,
}  # fmt: skip
