"""Plans: a chart of the sea test site and the ground floor of Quay 14."""

from __future__ import annotations

import tomllib
from math import cos, pi, sin
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.pathobject import PDFPathObject

INK = HexColor("#22313c")
GREY = HexColor("#6b7780")
PAGE = landscape(A4)


def write(source: Path, target: Path) -> None:
    """Write both plans of the data file `source` as one PDF of two pages."""
    data = tomllib.loads(source.read_text(encoding="utf-8"))
    canvas = Canvas(str(target), pagesize=PAGE, invariant=1, initialFontName="Lato")
    canvas.setTitle(data["title"])
    _sea(canvas, data["sea"])
    canvas.showPage()
    _floor(canvas, data["floor"])
    canvas.showPage()
    canvas.save()


def _title(canvas: Canvas, words: list[str]) -> None:
    """Draw the title and the line below it."""
    canvas.setFillColor(INK)
    canvas.setFont("Fjalla", 23)
    canvas.drawString(36, PAGE[1] - 46, words[0])
    canvas.setFillColor(GREY)
    canvas.setFont("Lato", 9.5)
    canvas.drawString(36, PAGE[1] - 62, words[1])


def _shape(canvas: Canvas, points: list[list[float]]) -> PDFPathObject:
    """Return a closed, smooth outline through the points."""
    path = canvas.beginPath()
    count = len(points)
    path.moveTo(*points[0])
    for n in range(count):
        before, here, there, after = (points[(n + k - 1) % count] for k in range(4))
        path.curveTo(
            here[0] + (there[0] - before[0]) / 6, here[1] + (there[1] - before[1]) / 6,
            there[0] - (after[0] - here[0]) / 6, there[1] - (after[1] - here[1]) / 6, *there,
        )  # fmt: skip
    path.close()
    return path


def _sea(canvas: Canvas, sea: dict[str, Any]) -> None:
    """Draw the chart of the test site."""
    _title(canvas, sea["title"])
    canvas.saveState()
    frame = canvas.beginPath()
    frame.rect(36, 36, 770, 480)
    canvas.clipPath(frame, stroke=1, fill=0)
    canvas.setFillColor(HexColor("#d3e8ee"))
    canvas.rect(36, 36, 770, 480, stroke=0, fill=1)
    for depth in sea["depth"]:
        canvas.setFillColor(HexColor(depth["colour"]))
        canvas.setStrokeColor(HexColor("#6fa3b5"))
        canvas.setLineWidth(0.7)
        canvas.drawPath(_shape(canvas, depth["points"]), stroke=1, fill=1)
    for land in sea["land"]:
        canvas.setFillColor(HexColor("#ecdfb8"))
        canvas.setStrokeColor(HexColor("#8a7a48"))
        canvas.setLineWidth(1.2)
        canvas.drawPath(_shape(canvas, land["points"]), stroke=1, fill=1)
    for n in range(7):
        canvas.setStrokeColor(HexColor("#9db8c2"))
        canvas.setLineWidth(0.3)
        canvas.line(36 + 128 * n, 36, 36 + 128 * n, 516)
        canvas.line(36, 36 + 96 * n, 806, 36 + 96 * n)
    canvas.restoreState()
    for x, y, words, size in sea["names"]:
        canvas.setFillColor(HexColor("#1c3f52"))
        canvas.setFont("Lato-Italic", size)
        canvas.drawString(x, y, words)
    for x, y, words in sea["stations"]:
        _station(canvas, x, y, words)
    _zone(canvas, sea["zone"])
    _compass(canvas, 752, 452)
    _legend(canvas, sea["legend"])


def _station(canvas: Canvas, x: float, y: float, words: str) -> None:
    """Draw a station as a buoy with its name."""
    canvas.setFillColor(HexColor("#f2b81e"))
    canvas.setStrokeColor(INK)
    canvas.setLineWidth(1)
    canvas.circle(x, y, 6, stroke=1, fill=1)
    canvas.line(x, y + 6, x, y + 13)
    canvas.setFillColor(INK)
    canvas.setFont("Lato-Bold", 9.5)
    canvas.drawString(x + 10, y - 3, words)


def _zone(canvas: Canvas, zone: dict[str, Any]) -> None:
    """Draw the dashed outline of a zone with its text."""
    canvas.setStrokeColor(HexColor("#a3246b"))
    canvas.setDash(5, 3)
    canvas.setLineWidth(1.3)
    canvas.rect(*zone["at"], stroke=1, fill=0)
    canvas.setDash()
    canvas.setFillColor(HexColor("#a3246b"))
    canvas.setFont("Lato-Bold", 9.5)
    for n, line in enumerate(zone["words"]):
        canvas.drawString(zone["at"][0] + 8, zone["at"][1] + zone["at"][3] - 15 - 12 * n, line)


def _compass(canvas: Canvas, x: float, y: float) -> None:
    """Draw a compass rose centred on (x, y), north up."""
    canvas.setStrokeColor(INK)
    canvas.setLineWidth(0.8)
    canvas.circle(x, y, 30, stroke=1, fill=0)
    for n in range(16):
        turn, reach = n * pi / 8, 40 if n % 4 == 0 else 22
        path = canvas.beginPath()
        path.moveTo(x + 5 * cos(turn + pi / 2), y + 5 * sin(turn + pi / 2))
        path.lineTo(x + reach * cos(turn), y + reach * sin(turn))
        path.lineTo(x, y)
        path.close()
        canvas.setFillColor(INK)
        canvas.drawPath(path, stroke=0, fill=1)
    canvas.setFont("Fjalla", 13)
    canvas.drawCentredString(x, y + 44, "N")


def _legend(canvas: Canvas, lines: list[str]) -> None:
    """Draw the box of the legend; its first line is the heading."""
    canvas.setFillColor(HexColor("#ffffff"))
    canvas.setStrokeColor(INK)
    canvas.rect(560, 48, 234, 22 + 13 * len(lines), stroke=1, fill=1)
    for n, line in enumerate(lines):
        canvas.setFillColor(INK)
        canvas.setFont("Lato-Bold" if n == 0 else "Lato", 9)
        canvas.drawString(570, 52 + 13 * (len(lines) - n), line)


def _floor(canvas: Canvas, floor: dict[str, Any]) -> None:
    """Draw the floor plan with rooms, doors, escape routes and extinguishers."""
    _title(canvas, floor["title"])
    for room in floor["room"]:
        _room(canvas, room)
    canvas.setStrokeColor(INK)
    canvas.setLineWidth(4.5)
    canvas.rect(*floor["outline"], stroke=1, fill=0)
    for x, y, turn in floor["doors"]:
        _door(canvas, x, y, turn)
    canvas.setStrokeColor(HexColor("#1f8a4c"))
    canvas.setFillColor(HexColor("#1f8a4c"))
    canvas.setLineWidth(1.8)
    canvas.setDash(6, 3)
    for x1, y1, x2, y2 in floor["escape"]:
        canvas.line(x1, y1, x2, y2)
    canvas.setDash()
    for x, y in floor["extinguishers"]:
        canvas.setFillColor(HexColor("#c9211e"))
        canvas.rect(x - 6, y - 6, 12, 12, stroke=0, fill=1)
        canvas.setFillColor(HexColor("#ffffff"))
        canvas.setFont("Lato-Black", 9)
        canvas.drawCentredString(x, y - 3, "F")
    for x, y, words in floor["labels"]:
        canvas.setFillColor(HexColor("#1f8a4c"))
        canvas.setFont("Lato-Bold", 10)
        canvas.drawString(x, y, words)
    canvas.setFillColor(GREY)
    canvas.setFont("Lato", 9.5)
    canvas.drawString(36, 30, floor["foot"])


def _room(canvas: Canvas, room: dict[str, Any]) -> None:
    """Draw a room with its name and text."""
    x, y, width, height = room["at"]
    canvas.setFillColor(HexColor(room.get("colour", "#f4f6f7")))
    canvas.setStrokeColor(INK)
    canvas.setLineWidth(2)
    canvas.rect(x, y, width, height, stroke=1, fill=1)
    canvas.setFillColor(INK)
    canvas.setFont("Lato-Black", 12.5)
    canvas.drawCentredString(x + width / 2, y + height / 2 + 6, room["name"])
    canvas.setFillColor(GREY)
    canvas.setFont("Lato", 8.8)
    for n, line in enumerate(room["words"]):
        canvas.drawCentredString(x + width / 2, y + height / 2 - 8 - 11 * n, line)


def _door(canvas: Canvas, x: float, y: float, turn: float) -> None:
    """Draw a doorway 26 points wide with the swing of its leaf."""
    canvas.saveState()
    canvas.translate(x, y)
    canvas.rotate(turn)
    canvas.setStrokeColor(HexColor("#ffffff"))
    canvas.setLineWidth(6)
    canvas.line(0, 0, 26, 0)
    canvas.setStrokeColor(INK)
    canvas.setLineWidth(0.9)
    canvas.line(0, 0, 0, 26)
    canvas.arc(-26, -26, 26, 26, 0, 90)
    canvas.restoreState()
