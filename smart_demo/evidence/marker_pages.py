"""The two reports of a pair as pages: pixels for a backbone that sees, words with boxes for one that reads.

The image shows each marker as a sign with its code beside it, inside a chart of muted series, grids and ticks. The
words are those of the image in reading order, panel by panel, and for each sign its name, since a reader of words sees
no signs: "red star K7Q2". This is the largest difference to the paper's test, which shows images alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, pi, sin
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from smart_demo.evidence.binding import COLUMNS, ROWS, Marker, Panel, ReportPair
from smart_demo.page_text import Box, Word, WordSource
from smart_demo.types import Page, PageId

WIDTH, HEIGHT = 1240, 1754
"""Size of a page in pixels: A4 at 150 dpi."""
OVERSAMPLING = 2
"""Pages are drawn this many times larger and reduced, which smooths edges. Lengths below are of the large image."""
MARGIN, HEADER, FOOTER, GAP = 100, 260, 90, 14
RADIUS = 24.0
INK, GRID, PALE, STEEL, STONE = (38, 42, 50), (226, 228, 232), (205, 212, 222), (110, 128, 150), (160, 152, 140)
SOFT_INK = (98, 104, 114)
PAINT: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (208, 32, 36),
        "orange": (240, 130, 16),
        "yellow": (240, 205, 20),
        "green": (34, 145, 62),
        "blue": (36, 84, 214),
        "purple": (122, 52, 168),
        "pink": (238, 112, 176),
        "black": (20, 20, 22),
    }
)
MONTHS = ("Jan", "Jun", "Dec")
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of the large image, in its pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def at(self, x: float, y: float) -> Point:
        """Return the point at x of the width from the left and y of the height from the bottom."""
        return self.left + x * (self.right - self.left), self.bottom - y * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class _TextLine:
    """One line of text: its left end, top, size and style."""

    text: str
    left: float
    top: float
    size: int
    colour: tuple[int, int, int] = INK
    heavy: int = 0


@dataclass(frozen=True, slots=True)
class _PlacedMarker:
    """A marker, its centre and the position of its code."""

    marker: Marker
    centre: tuple[float, float]
    code: tuple[float, float]


DrawnPanel = tuple[tuple[list[Word], list[Word]], _PlacedMarker]
"""Words of a panel before and after its marker and code, and the position of these."""


def draw_pair(pair: ReportPair) -> tuple[Page, Page]:
    """Return report A and report B as pages. Equal pairs give equal pages."""
    sheet = Image.new("RGB", (WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING), "white")
    pen = ImageDraw.Draw(sheet)
    head = _draw_head(pen, pair)
    drawn = [_draw_panel(pen, panel, _locate_panel(n)) for n, panel in enumerate(pair.panels)]
    a, b = (_make_page(pair, side, codes, sheet, head, drawn) for side, codes in (("a", pair.a), ("b", pair.b)))
    return a, b


def draw_example(pair: ReportPair) -> Image.Image:
    """Return both reports of a pair side by side, reduced, as an illustration."""
    pages = [Image.fromarray(page.pixels) for page in draw_pair(pair)]
    paper = Image.new("RGB", (2 * WIDTH + 40, HEIGHT), (214, 212, 205))
    for n, page in enumerate(pages):
        paper.paste(page, (n * (WIDTH + 40), 0))
    return paper.resize((1600, 1600 * HEIGHT // paper.width), Image.Resampling.LANCZOS).quantize(
        256, Image.Quantize.MAXCOVERAGE
    )


def _make_page(
    pair: ReportPair, side: str, codes: Sequence[str], sheet: Image.Image, head: list[Word], drawn: list[DrawnPanel]
) -> Page:
    """Return one report: the shared sheet with its own codes."""
    own = sheet.copy()
    pen, words = ImageDraw.Draw(own), list(head)
    for ((before, after), sign), code in zip(drawn, codes, strict=True):
        x, y = sign.code
        width, height = _load_font(38).getlength(code), 40
        pen.rounded_rectangle([x - 6, y - 2, x + width + 6, y + height + 4], 8, fill=(255, 255, 255))
        words += [*before, *_name_marker(sign), *_write_line(pen, _TextLine(code, x, y, 38, heavy=1)), *after]
    pixels = np.asarray(own.reduce(OVERSAMPLING))
    name = f"report-{pair.number:02d}-{side}.png"
    file_hash = hashlib.sha256(repr((pair, side)).encode()).hexdigest()[:16]
    return Page(PageId(file_hash, 1), name, 1, pixels, tuple(words), WordSource.LAYER)


def _draw_head(pen: ImageDraw.ImageDraw, pair: ReportPair) -> list[Word]:
    words = _write_line(pen, _TextLine(pair.title, MARGIN, 84, 60, heavy=1))
    words += _write_line(pen, _TextLine("Monthly readings by panel", MARGIN, 168, 36, SOFT_INK))
    pen.line([(MARGIN, HEADER - 34), (WIDTH * OVERSAMPLING - MARGIN, HEADER - 34)], fill=INK, width=4)
    return words


def _locate_panel(number: int) -> Frame:
    """Return the frame of a panel, counted from 0 row by row."""
    row, column = divmod(number, COLUMNS)
    width = (WIDTH * OVERSAMPLING - 2 * MARGIN) / COLUMNS
    height = (HEIGHT * OVERSAMPLING - HEADER - FOOTER) / ROWS
    left, top = MARGIN + column * width, HEADER + row * height
    return Frame(left + GAP / 2, top + GAP / 2, left + width - GAP / 2, top + height - GAP / 2)


def _draw_panel(pen: ImageDraw.ImageDraw, panel: Panel, frame: Frame) -> DrawnPanel:
    """Draw caption, chart, ticks and sign; `_make_page` adds the code."""
    random = np.random.default_rng(panel.seed)
    pen.rectangle([frame.left, frame.top, frame.right, frame.bottom], outline=(196, 200, 206), width=2)
    caption = _write_line(pen, _TextLine(panel.caption, frame.left + 16, frame.top + 14, 32, heavy=1))
    plot = Frame(frame.left + 78, frame.top + 74, frame.right - 22, frame.bottom - 60)
    draw_chart(pen, plot, panel.chart, random)
    top = int(random.choice([20, 40, 60, 80, 100, 200, 400, 600, 800]))
    ticks = []
    for share in (1.0, 0.5, 0.0):
        text, (x, y) = str(round(top * share)), plot.at(0, share)
        ticks += _write_line(pen, _TextLine(text, x - 12 - _load_font(26).getlength(text), y - 16, 26, SOFT_INK))
    for month, share in zip(MONTHS, (0.0, 0.5, 1.0), strict=True):
        x, y = plot.at(share, 0)
        ticks += _write_line(pen, _TextLine(month, x - _load_font(26).getlength(month) * share, y + 14, 26, SOFT_INK))
    x, y = plot.at(random.uniform(0.12, 0.5), random.uniform(0.2, 0.88))
    draw_marker(pen, (x, y), RADIUS, panel.marker.colour, panel.marker.shape)
    return (caption, ticks), _PlacedMarker(panel.marker, (x, y), (x + RADIUS + 14, y - 22))


def _name_marker(sign: _PlacedMarker) -> list[Word]:
    """Return the sign's colour and shape as words, each over half of it."""
    x, y = sign.centre
    left, right = _make_box(x - RADIUS, y - RADIUS, x, y + RADIUS), _make_box(x, y - RADIUS, x + RADIUS, y + RADIUS)
    return [Word(sign.marker.colour, left), Word(sign.marker.shape, right)]


def _write_line(pen: ImageDraw.ImageDraw, line: _TextLine) -> list[Word]:
    """Draw a line of text and return its words with their boxes."""
    font, words = _load_font(line.size), []
    pen.text((line.left, line.top), line.text, font=font, fill=line.colour, stroke_width=line.heavy)
    for word in re.finditer(r"\S+", line.text):
        start = line.left + font.getlength(line.text[: word.start()])
        box = _make_box(start, line.top, start + font.getlength(word[0]), line.top + 1.2 * line.size)
        words.append(Word(word[0], box))
    return words


def _make_box(left: float, top: float, right: float, bottom: float) -> Box:
    wide, high = WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING
    return Box(left / wide, top / high, right / wide, bottom / high)


@cache
def _load_font(size: int) -> ImageFont.FreeTypeFont:
    """Load Pillow's own typeface, so that every machine draws the same page."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow without FreeType cannot size text; the wheels have it
    return font


def draw_chart(pen: ImageDraw.ImageDraw, frame: Frame, chart: str, random: np.random.Generator) -> None:
    """Draw grid, two series of the kind `chart` and axes. Equal random states draw equal charts."""
    for share in (0.25, 0.5, 0.75, 1.0):
        pen.line([frame.at(0, share), frame.at(1, share)], fill=GRID, width=2)
    first, second = _make_series(random), _make_series(random)
    _CHART_DRAWERS[chart](pen, frame, first, second)
    pen.line([frame.at(0, 1), frame.at(0, 0), frame.at(1, 0)], fill=INK, width=3)
    for share in (0.0, 0.5, 1.0):
        x, y = frame.at(share, 0)
        pen.line([(x, y), (x, y + 8)], fill=INK, width=3)


def draw_marker(pen: ImageDraw.ImageDraw, centre: Point, radius: float, colour: str, shape: str) -> None:
    """Draw one sign, outlined so that yellow shows on white and black on dark."""
    x, y = centre
    fill, line = PAINT[colour], (255, 255, 255)
    if shape == "circle":
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill, outline=line, width=4)
        return
    corners = [(x + radius * a, y + radius * b) for a, b in _OUTLINES[shape]]
    pen.polygon(corners, fill=fill, outline=line, width=4)


def _make_series(random: np.random.Generator) -> list[float]:
    """Return twelve values of a random walk, scaled to 0.06 to 0.94."""
    walk = np.cumsum(random.normal(size=12))
    low, high = sorted(random.uniform(0.08, 0.92, size=2))
    spread = max(float(np.ptp(walk)), 1e-9)
    return [float(low + (high - low + 0.06) * (value - walk.min()) / spread) for value in walk]


def _series_points(frame: Frame, values: list[float]) -> list[Point]:
    return [frame.at((n + 0.5) / len(values), value) for n, value in enumerate(values)]


def _draw_lines(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for values, colour in ((first, STONE), (second, STEEL)):
        points = _series_points(frame, values)
        pen.line(points, fill=colour, width=5, joint="curve")
        for x, y in points[::2]:
            pen.ellipse([x - 5, y - 5, x + 5, y + 5], fill="white", outline=colour, width=3)


def _draw_bars(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for n, (one, other) in enumerate(zip(first, second, strict=True)):
        for shift, value, colour in ((0.12, one, STEEL), (0.5, other, PALE)):
            pen.rectangle([frame.at((n + shift) / 12, value), frame.at((n + shift + 0.36) / 12, 0)], fill=colour)


def _draw_points(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for a, b, c in zip(first, second, (*second[5:], *first[:5]), strict=True):
        for at, colour in (((a, b), STEEL), ((b, c), STONE), ((c, a), PALE)):
            x, y = frame.at(*at)
            pen.ellipse([x - 7, y - 7, x + 7, y + 7], fill=colour, outline="white", width=2)


def _draw_area(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for values, colour, edge in ((first, PALE, STEEL), ([v / 2 for v in second], (222, 217, 208), STONE)):
        points = _series_points(frame, values)
        pen.polygon([frame.at(0.5 / 12, 0), *points, frame.at(11.5 / 12, 0)], fill=colour)
        pen.line(points, fill=edge, width=4, joint="curve")


def _draw_steps(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for values, colour in ((first, STEEL), (second, STONE)):
        points = [frame.at((n + end) / 12, value) for n, value in enumerate(values) for end in (0, 1)]
        pen.line(points, fill=colour, width=5)


def _draw_columns(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for n, (one, other) in enumerate(zip(first, second, strict=True)):
        low, high = one * 0.6, min(one * 0.6 + other * 0.35, 1.0)
        pen.rectangle([frame.at((n + 0.2) / 12, low), frame.at((n + 0.8) / 12, 0)], fill=STEEL)
        pen.rectangle([frame.at((n + 0.2) / 12, high), frame.at((n + 0.8) / 12, low)], fill=(214, 206, 194))


_DrawChart = Callable[[ImageDraw.ImageDraw, Frame, list[float], list[float]], None]
_CHART_DRAWERS: Mapping[str, _DrawChart] = MappingProxyType(
    {
        "lines": _draw_lines,
        "bars": _draw_bars,
        "points": _draw_points,
        "area": _draw_area,
        "steps": _draw_steps,
        "columns": _draw_columns,
    }
)


def _star_corners(corners: int, inner: float = 1.0) -> tuple[Point, ...]:
    """Return a star of `corners` corners around the origin; with inner 1 a regular polygon of twice as many."""
    angles = [pi * n / corners - pi / 2 for n in range(2 * corners)]
    return tuple((cos(a) * r, sin(a) * r) for n, a in enumerate(angles) for r in ((1.0, inner)[n % 2],))


_CROSS_ARM = 0.36
_OUTLINES: Mapping[str, tuple[Point, ...]] = MappingProxyType(
    {
        "square": ((-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)),
        "triangle": ((0.0, -1.0), (1.0, 0.85), (-1.0, 0.85)),
        "diamond": ((0.0, -1.15), (0.85, 0.0), (0.0, 1.15), (-0.85, 0.0)),
        "star": tuple((1.2 * x, 1.2 * y) for x, y in _star_corners(5, 0.42)),
        "cross": (
            *(
                (-_CROSS_ARM, -1.0),
                (_CROSS_ARM, -1.0),
                (_CROSS_ARM, -_CROSS_ARM),
                (1.0, -_CROSS_ARM),
                (1.0, _CROSS_ARM),
                (_CROSS_ARM, _CROSS_ARM),
            ),
            *(
                (_CROSS_ARM, 1.0),
                (-_CROSS_ARM, 1.0),
                (-_CROSS_ARM, _CROSS_ARM),
                (-1.0, _CROSS_ARM),
                (-1.0, -_CROSS_ARM),
                (-_CROSS_ARM, -_CROSS_ARM),
            ),
        ),
        "hexagon": _star_corners(3),
        "arrow": ((0.0, -1.1), (0.95, 0.0), (0.38, 0.0), (0.38, 1.0), (-0.38, 1.0), (-0.38, 0.0), (-0.95, 0.0)),
    }
)
