"""The two reports of a pair as pages: pixels for a backbone that sees, words with boxes for one that reads.

The picture shows each marker as a sign with its code beside it. The words are those of the picture in reading order,
panel by panel, and for each sign its name, since a reader of words sees no signs: "red star K7Q2". This is where the
rebuilt test differs most from the paper's, which shows pictures alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from smart_demo.evidence.charts import INK, Frame, draw_chart, draw_marker
from smart_demo.evidence.markers import COLUMNS, ROWS, Marker, Pair, Panel
from smart_demo.types import Box, Page, PageId, Word

WIDTH, HEIGHT = 1240, 1754
"""A4 at 150 dpi."""
FINE = 2
"""Drawn this many times larger and reduced, which smooths the edges. All lengths below are of the large picture."""
MARGIN, HEAD, FOOT, GAP = 100, 260, 90, 14
RADIUS = 24.0
SOFT = (98, 104, 114)
MONTHS = ("Jan", "Jun", "Dec")


@dataclass(frozen=True, slots=True)
class _Set:
    """Words to be set in one line: where its left end stands, and how."""

    text: str
    left: float
    top: float
    size: int
    colour: tuple[int, int, int] = INK
    heavy: int = 0


def draw_pair(pair: Pair) -> tuple[Page, Page]:
    """Report A and report B. Equal pairs give equal pages."""
    sheet = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), "white")
    pen = ImageDraw.Draw(sheet)
    head = _draw_head(pen, pair)
    before, places = zip(*(_draw_panel(pen, panel, _frame(n)) for n, panel in enumerate(pair.panels)), strict=True)
    return (
        _page(pair, "a", pair.a, sheet, head, list(zip(before, places, strict=True))),
        _page(pair, "b", pair.b, sheet, head, list(zip(before, places, strict=True))),
    )


def draw_example(pair: Pair) -> Image.Image:
    """Both reports of a pair side by side, reduced, to show people what was asked about."""
    pages = [Image.fromarray(page.pixels) for page in draw_pair(pair)]
    paper = Image.new("RGB", (2 * WIDTH + 40, HEIGHT), (214, 212, 205))
    for n, page in enumerate(pages):
        paper.paste(page, (n * (WIDTH + 40), 0))
    return paper.resize((1600, 1600 * HEIGHT // paper.width), Image.Resampling.LANCZOS).quantize(
        256, Image.Quantize.MAXCOVERAGE
    )


@dataclass(frozen=True, slots=True)
class _Sign:
    """Where a marker stands, and where its code goes."""

    marker: Marker
    centre: tuple[float, float]
    code: tuple[float, float]


Drawn = tuple[tuple[list[Word], list[Word]], _Sign]
"""Words of a panel before and after its marker and code, and the place of these."""


def _page(
    pair: Pair, side: str, codes: Sequence[str], sheet: Image.Image, head: list[Word], drawn: list[Drawn]
) -> Page:
    """One report: the sheet that both share, with its own codes."""
    own = sheet.copy()
    pen, words = ImageDraw.Draw(own), list(head)
    for ((before, after), sign), code in zip(drawn, codes, strict=True):
        x, y = sign.code
        width, height = _font(38).getlength(code), 40
        pen.rounded_rectangle([x - 6, y - 2, x + width + 6, y + height + 4], 8, fill=(255, 255, 255))
        words += [*before, *_name(sign), *_write(pen, _Set(code, x, y, 38, heavy=1)), *after]
    pixels = np.asarray(own.reduce(FINE))
    name = f"report-{pair.number:02d}-{side}.png"
    facts = hashlib.sha256(repr((pair, side)).encode()).hexdigest()[:16]
    return Page(PageId(facts, 1), name, 1, pixels, tuple(words))


def _draw_head(pen: ImageDraw.ImageDraw, pair: Pair) -> list[Word]:
    words = _write(pen, _Set(pair.title, MARGIN, 84, 60, heavy=1))
    words += _write(pen, _Set("Monthly readings by panel", MARGIN, 168, 36, SOFT))
    pen.line([(MARGIN, HEAD - 34), (WIDTH * FINE - MARGIN, HEAD - 34)], fill=INK, width=4)
    return words


def _frame(number: int) -> Frame:
    """Where a panel stands, counted from 0 row by row."""
    row, column = divmod(number, COLUMNS)
    width = (WIDTH * FINE - 2 * MARGIN) / COLUMNS
    height = (HEIGHT * FINE - HEAD - FOOT) / ROWS
    left, top = MARGIN + column * width, HEAD + row * height
    return Frame(left + GAP / 2, top + GAP / 2, left + width - GAP / 2, top + height - GAP / 2)


def _draw_panel(pen: ImageDraw.ImageDraw, panel: Panel, frame: Frame) -> Drawn:
    """Caption, chart, ticks and sign; the code is left for the page."""
    random = np.random.default_rng(panel.seed)
    pen.rectangle([frame.left, frame.top, frame.right, frame.bottom], outline=(196, 200, 206), width=2)
    caption = _write(pen, _Set(panel.caption, frame.left + 16, frame.top + 14, 32, heavy=1))
    plot = Frame(frame.left + 78, frame.top + 74, frame.right - 22, frame.bottom - 60)
    draw_chart(pen, plot, panel.chart, random)
    top = int(random.choice([20, 40, 60, 80, 100, 200, 400, 600, 800]))
    ticks = []
    for share in (1.0, 0.5, 0.0):
        text, (x, y) = str(round(top * share)), plot.at(0, share)
        ticks += _write(pen, _Set(text, x - 12 - _font(26).getlength(text), y - 16, 26, SOFT))
    for month, share in zip(MONTHS, (0.0, 0.5, 1.0), strict=True):
        x, y = plot.at(share, 0)
        ticks += _write(pen, _Set(month, x - _font(26).getlength(month) * share, y + 14, 26, SOFT))
    x, y = plot.at(random.uniform(0.12, 0.5), random.uniform(0.2, 0.88))
    draw_marker(pen, (x, y), RADIUS, panel.marker.colour, panel.marker.shape)
    return (caption, ticks), _Sign(panel.marker, (x, y), (x + RADIUS + 14, y - 22))


def _name(sign: _Sign) -> list[Word]:
    """The sign in words, each over half of it."""
    x, y = sign.centre
    left, right = _box(x - RADIUS, y - RADIUS, x, y + RADIUS), _box(x, y - RADIUS, x + RADIUS, y + RADIUS)
    return [Word(sign.marker.colour, left), Word(sign.marker.shape, right)]


def _write(pen: ImageDraw.ImageDraw, line: _Set) -> list[Word]:
    """Set a line; its words, each with its place."""
    font, words = _font(line.size), []
    pen.text((line.left, line.top), line.text, font=font, fill=line.colour, stroke_width=line.heavy)
    for at, word in _words(line.text):
        start = line.left + font.getlength(line.text[:at])
        box = _box(start, line.top, start + font.getlength(word), line.top + 1.2 * line.size)
        words.append(Word(word, box))
    return words


def _words(text: str) -> list[tuple[int, str]]:
    """Each word and where it begins."""
    found, at = [], 0
    for word in text.split(" "):
        found.append((at, word))
        at += len(word) + 1
    return found


def _box(left: float, top: float, right: float, bottom: float) -> Box:
    wide, high = WIDTH * FINE, HEIGHT * FINE
    return Box(left / wide, top / high, right / wide, bottom / high)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own typeface, so that every machine sets the same page."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow without FreeType sets no size; wheels have it
    return font
