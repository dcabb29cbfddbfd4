"""Scanned documents: pages drawn as pictures, aged, and stored in PDFs with one JPEG per page and no text."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from press import fonts

WIDTH, HEIGHT = 1240, 1754
"""Size of an A4 page in pixels at 150 dots per inch."""
INK, PEN = (38, 36, 40), (28, 52, 140)


def letter(source: Path, target: Path) -> None:
    """Write a typed letter with letterhead, signature and received stamp, one page per `page` of the data."""
    data = tomllib.loads(source.read_text(encoding="utf-8"))
    pages = []
    for n, page in enumerate(data["page"]):
        sheet, draw = _blank()
        if n == 0:
            _letterhead(draw, data["head"])
        _typed(draw, (160, 400 if n == 0 else 180), page["lines"])
        if "sign" in page:
            _signature(draw, (150, page["sign"]))
        if "stamp" in page:
            _stamp(sheet, page["stamp"])
        pages.append(_age(sheet, seed=11 + n, turn=0.7 - 1.1 * n))
    _bind(pages, target, data["title"])


def form(source: Path, target: Path) -> None:
    """Write a printed form, filled in by hand: fields, ticks, remarks and a signature."""
    data = tomllib.loads(source.read_text(encoding="utf-8"))
    sheet, draw = _blank()
    draw.rectangle((90, 90, WIDTH - 90, 190), fill=(52, 62, 72))
    draw.text((116, 112), data["title"], font=_font("Lato-Black", 44), fill="white")
    draw.text((WIDTH - 300, 124), data["code"], font=_font("Lato", 30), fill="white")
    for field in data["field"]:
        _field(draw, field)
    for tick in data["tick"]:
        _tick(draw, tick)
    _remarks(draw, data["remarks"])
    _signature(draw, (150, 1560))
    _bind([_age(sheet, seed=5, turn=-0.9)], target, data["title"])


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return a white page and the object to draw on it."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT), "white")
    return sheet, ImageDraw.Draw(sheet)


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a typeface at a size in pixels, with the basic layout engine, so that libraqm is not needed."""
    return ImageFont.truetype(str(fonts.path(name)), size, layout_engine=ImageFont.Layout.BASIC)


def _letterhead(draw: ImageDraw.ImageDraw, head: list[str]) -> None:
    """Draw the letterhead with a rule between name and address."""
    draw.text((150, 120), head[0], font=_font("Serif-Bold", 50), fill=INK)
    draw.line((150, 196, WIDTH - 150, 196), fill=INK, width=3)
    draw.text((150, 208), head[1], font=_font("Serif-Italic", 25), fill=INK)


def _typed(draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: list[str]) -> None:
    """Draw typed lines from `at` down."""
    face = _font("Serif", 27)
    for n, line in enumerate(lines):
        draw.text((at[0], at[1] + 42 * n), line, font=face, fill=INK)


def _signature(draw: ImageDraw.ImageDraw, at: tuple[int, int]) -> None:
    """Draw a quick pen stroke with loops and a long tail."""
    t = np.linspace(0, 1, 200)
    x = at[0] + 330 * t + 26 * np.sin(15 * t)
    y = at[1] - 42 * np.sin(22 * t) * (1 - t) ** 1.2 + 12 * t
    draw.line([(float(a), float(b)) for a, b in zip(x, y, strict=True)], fill=PEN, width=4, joint="curve")


def _stamp(sheet: Image.Image, words: list[str]) -> None:
    """Paste a tilted rubber stamp in red."""
    plate = Image.new("RGBA", (400, 170), (255, 255, 255, 0))
    draw = ImageDraw.Draw(plate)
    draw.rounded_rectangle((5, 5, 394, 164), 16, outline=(176, 36, 44, 225), width=6)
    for n, line in enumerate(words):
        draw.text(
            (200, 46 + 56 * n),
            line,
            font=_font("Lato-Black", 42 if n == 0 else 34),
            fill=(176, 36, 44, 225),
            anchor="mm",
        )
    turned = plate.rotate(9, expand=True, resample=Image.Resampling.BICUBIC)
    sheet.paste(turned, (WIDTH - 560, 300), turned)


def _field(draw: ImageDraw.ImageDraw, field: dict[str, Any]) -> None:
    """Draw a box with its printed label and handwritten value."""
    x, y, width = field["at"]
    draw.rectangle((x, y, x + width, y + 92), outline=(120, 130, 138), width=2)
    draw.text((x + 12, y + 6), field["label"], font=_font("Lato", 21), fill=(90, 98, 106))
    draw.text((x + 18, y + 36), field["value"], font=_font("Hand", 44), fill=PEN)


def _tick(draw: ImageDraw.ImageDraw, tick: dict[str, Any]) -> None:
    """Draw a tick box, ticked if its entry `on` is true."""
    x, y = tick["at"]
    draw.rectangle((x, y, x + 32, y + 32), outline=INK, width=3)
    draw.text((x + 48, y), tick["label"], font=_font("Lato", 27), fill=INK)
    if tick.get("on"):
        draw.line((x + 4, y + 14, x + 14, y + 30, x + 38, y - 12), fill=PEN, width=6, joint="curve")


def _remarks(draw: ImageDraw.ImageDraw, lines: list[str]) -> None:
    """Draw ruled lines with handwritten remarks and the label of the signature."""
    draw.text((102, 1090), "Remarks of the engineer", font=_font("Lato-Bold", 28), fill=INK)
    for n in range(7):
        y = 1192 + 58 * n
        draw.line((102, y, WIDTH - 102, y), fill=(170, 178, 184), width=2)
        if n < len(lines):
            draw.text((112, y - 50), lines[n], font=_font("Hand", 42), fill=PEN)
    draw.text((102, 1626), "Signature", font=_font("Lato", 21), fill=(90, 98, 106))


def _age(sheet: Image.Image, seed: int, turn: float) -> Image.Image:
    """Return the sheet as if scanned: rotated by `turn` degrees, warm in tone, grainy, unevenly lit, with specks."""
    rng = np.random.default_rng(seed)
    turned = sheet.rotate(turn, resample=Image.Resampling.BICUBIC, fillcolor="white").filter(
        ImageFilter.GaussianBlur(0.7)
    )
    paper = np.asarray(turned, dtype=np.float32) * np.array([0.975, 0.955, 0.905], dtype=np.float32)
    paper += rng.normal(0, 4.5, (HEIGHT, WIDTH, 1)).astype(np.float32)
    shade = 1 - 0.09 * np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :, None] ** 3
    paper *= shade * (1 - 0.05 * np.linspace(1, 0, HEIGHT, dtype=np.float32)[:, None, None] ** 6)
    for x, y in zip(rng.integers(0, WIDTH, 60), rng.integers(0, HEIGHT, 60), strict=True):
        paper[y : y + 2, x : x + 2] *= 0.55
    return Image.fromarray(paper.clip(0, 255).astype(np.uint8))


def _bind(pages: list[Image.Image], target: Path, title: str) -> None:
    """Write the pages as a PDF, one JPEG per page."""
    canvas = Canvas(str(target), pagesize=A4, invariant=1)
    canvas.setTitle(title)
    for page in pages:
        held = io.BytesIO()
        page.save(held, "JPEG", quality=62)
        held.seek(0)
        canvas.drawImage(ImageReader(held), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
