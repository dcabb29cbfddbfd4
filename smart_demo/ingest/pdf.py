"""Pages of a PDF, drawn one at a time by poppler through pdf2image. Nothing of the file is run or followed.

Poppler answers a page that it cannot draw with a picture of one pixel and success; so the size is planned from the
page's box before, and compared after.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Generator, Mapping
from pathlib import Path

import numpy as np
from pdf2image import convert_from_path
from pdf2image.exceptions import PDFInfoNotInstalledError, PDFPageCountError, PDFPopplerTimeoutError
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused
from smart_demo.ingest.facts import read_facts
from smart_demo.ingest.poppler import bounded_poppler
from smart_demo.ingest.upload import Upload
from smart_demo.ingest.words import read_words
from smart_demo.types import Page, PageId, Pixels

DPI = 150
LONG_SIDE = 2_200
"""Pixels: 150 dpi up to A3 landscape, coarser beyond. More than any encoder's budget takes in."""
LONGEST_POINTS = 14_400
"""The format's own limit on the side of a page."""
SMALLEST_POINTS = 9
"""Of the long side: an eighth of an inch. Below, a page is a few pixels that nobody could read."""
NARROWEST = 20
"""Long side over short side from which a page is a strip that nobody could read."""
END_WINDOW = 4_096
"""Bytes before the end in which a whole file says %%EOF, with room for what mail gateways append."""
SIZE_LINE = re.compile(r"([0-9.e+-]+) x ([0-9.e+-]+) pts")


def count_pages(path: Path, name: str, limits: Limits) -> int:
    """Pages of a PDF, 1 to limits.pages. FileRefused where it is damaged, locked or longer."""
    if not _ends_whole(path):
        raise FileRefused(f"{name} is damaged: its end is missing.", "Download or export it again.")
    with bounded_poppler(limits.seconds) as folder:
        pages = int(read_facts(path, name, limits, folder).get("Pages", "0"))
    if pages < 1:
        raise FileRefused(f"{name} is damaged: it has no pages.", "Export it again.")
    if pages > limits.pages:
        raise FileRefused(f"{name} has {pages:,} pages; the limit is {limits.pages:,}.", "Split it into parts.")
    return pages


def render_pdf(upload: Upload, limits: Limits, skip: Container[int]) -> Generator[Page | PageRefused]:
    """The pages of `upload` that are not in `skip`, in order; a page that cannot be drawn is a PageRefused."""
    wanted = [number for number in range(1, upload.pages + 1) if number not in skip]
    if not wanted:
        return
    with bounded_poppler(limits.seconds) as folder:
        facts = read_facts(upload.path, upload.name, limits, folder, pages=(wanted[0], wanted[-1]))
        for number in wanted:
            try:
                yield _page(upload, number, limits, folder, _shown_size(upload, number, facts))
            except PageRefused as refusal:
                yield refusal


def plan_size(points: tuple[float, float], limits: Limits) -> tuple[int, int]:
    """(width, height) in pixels at which a page of that size in points is drawn: 150 dpi inside all bounds.

    >>> plan_size((595.276, 841.89), Limits())
    (1240, 1754)
    """
    width, height = points
    largest = math.sqrt(limits.rendered_pixels / (width * height))
    scale = min(DPI / 72, LONG_SIDE / max(points), largest)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _page(upload: Upload, number: int, limits: Limits, folder: str | None, points: tuple[float, float]) -> Page:
    pixels = _draw(upload, number, limits, folder, plan_size(points, limits))
    words = read_words(upload.path, number, points, limits.seconds, folder)
    return Page(PageId(upload.file, number), upload.name, upload.pages, pixels, words)


def _draw(upload: Upload, number: int, limits: Limits, folder: str | None, plan: tuple[int, int]) -> Pixels:
    """(height, width, 3) within 2 pixels of the plan. PageRefused for anything else that poppler does."""
    which = f"Page {number} of {upload.name}"
    try:
        # One number is the long side, whichever way the page is turned; two are taken before the rotation.
        images = convert_from_path(
            str(upload.path),
            first_page=number,
            last_page=number,
            size=max(plan),
            use_cropbox=True,
            poppler_path=folder,
            timeout=limits.seconds,
        )
        pixels = np.array(images[0].convert("RGB")) if images else np.zeros((1, 1, 3), np.uint8)
    except PDFPopplerTimeoutError:
        raise PageRefused(f"{which} took more than {limits.seconds} seconds to draw.", "Export it simpler.") from None
    except (PDFPageCountError, PDFInfoNotInstalledError, OSError, ValueError, IndexError, Image.DecompressionBombError):
        raise PageRefused(f"{which} cannot be drawn.", "Export it again.") from None
    height, width, _ = pixels.shape
    if abs(width - plan[0]) > 2 or abs(height - plan[1]) > 2:
        raise PageRefused(f"{which} cannot be drawn.", "Export it again.")
    return pixels


def _shown_size(upload: Upload, number: int, facts: Mapping[str, str]) -> tuple[float, float]:
    """(width, height) in points of a page as shown: its crop box, turned. PageRefused for boxes out of reason."""
    which = f"Page {number} of {upload.name}"
    match = SIZE_LINE.match(facts.get(f"Page {number:4d} size", ""))
    if not match:
        raise PageRefused(f"{which} is damaged.", "Export it again.")
    width, height = (float(side) for side in match.groups())
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise PageRefused(f"{which} has no size.", "Export it again.")
    if max(width, height) > LONGEST_POINTS:
        raise PageRefused(f"{which} is too large: {width:,.0f} × {height:,.0f} points.", "Export it smaller.")
    if max(width, height) < SMALLEST_POINTS:
        raise PageRefused(f"{which} is too small: {width:.3g} × {height:.3g} points.", "Export it larger.")
    if max(width, height) > NARROWEST * min(width, height):
        raise PageRefused(f"{which} is a strip of {width:,.0f} × {height:,.0f} points.", "Cut it into pages.")
    turned = facts.get(f"Page {number:4d} rot", "0") in {"90", "270"}
    return (height, width) if turned else (width, height)


def _ends_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - END_WINDOW))
            return b"%%EOF" in file.read(END_WINDOW)
    except OSError:  # it was there a moment ago
        return False
