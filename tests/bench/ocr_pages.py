"""Pages with known words for OCR, and how well and how fast a reader reads them.

The pages are drawn from the texts of the sample documents: 8 to 14 points at 150 dots per inch, one and two columns,
clean or as a scanner leaves them (turned a little, blurred, grainy, as JPEG). Two scanned sample documents join them.
Goals compare our reader with RapidOCR's defaults, which read the same pages in the same run. Our thresholds were
chosen on the pages of TUNING; the goals are measured on those of HELD_OUT, of other texts and sizes, and on the scans.
"""

from __future__ import annotations

import io
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from smart_demo import ingest
from smart_demo.backbones import ocr
from smart_demo.config import REPOSITORY, Settings
from smart_demo.page_text import Box, Word
from smart_demo.types import Page, Pixels
from tests.bench.harness import Figure, Goal, Kind, median_seconds

DPI = 150
SHEET = (1240, 1754)
"""Width and height of a drawn page in pixels: A4 at 150 dots per inch."""
MARGIN, GUTTER = 120, 50
TEXTS = ("paper-fouling-spectra.md", "annual-report-2024.md", "petrel-3-manual.md", "wellenboje-kurzanleitung-de.md")
SCANS = ("scanned-letter-harbour-master.pdf", "scanned-service-form.pdf")
FONTS = ("Serif", "Lato", "Manrope")
SPEED_BOUND = 3.0
"""Lowest allowed ratio of pages a second to RapidOCR's defaults."""
TOLERANCE = 0.005
"""Allowed loss of word recall and precision: on these pages one word in 200."""
ROUNDS = 3
Reader = Callable[[Pixels], Sequence[Word]]


@dataclass(frozen=True, slots=True)
class Print:
    """How a page is set and how it got into the machine."""

    points: float
    columns: int
    font: str
    text: str
    scanned: bool
    seed: int


@dataclass(frozen=True, eq=False)
class KnownPage:
    """A picture of a page with the words on it, in reading order. Scanned samples have no boxes: theirs are None."""

    name: str
    pixels: Pixels
    words: tuple[str, ...]
    boxes: tuple[Box, ...] | None


@dataclass(frozen=True, slots=True)
class Score:
    """How well words were read, over some pages."""

    recall: float
    """Part of the page's words that were read, letter by letter."""
    precision: float
    """Part of the words read that are on the page."""
    overlap: float
    """Mean intersection over union of the boxes of the words that were read right."""


TUNING = tuple(
    Print(points, columns, FONTS[n % len(FONTS)], TEXTS[n % len(TEXTS)], scanned, n)
    for n, (points, columns, scanned) in enumerate(
        (
            (8, 1, False), (8, 2, True), (9, 2, False), (9, 1, True), (10, 1, False),
            (10, 2, True), (11, 1, True), (12, 1, False), (12, 2, True), (14, 1, True),
        )
    )
)  # fmt: skip


HELD_OUT = (
    Print(8.5, 1, "Lato", "minutes-vesterrev-2024-10-17.md", False, 21),
    Print(9.5, 2, "Serif", "petrel-3-datasheet.md", True, 22),
    Print(10.5, 1, "Manrope", "investor-update-q3-2024.md", True, 23),
    Print(11.5, 2, "Lato", "petrel-3-datasheet.md", False, 24),
    Print(13, 1, "Serif", "minutes-vesterrev-2024-10-17.md", True, 25),
)
"""Pages of texts that no threshold was chosen on, and no range of the 8-bit recogniser measured."""


@cache
def tuning_pages() -> tuple[KnownPage, ...]:
    """Draw the pages that thresholds are chosen on, and render the scanned samples."""
    return (*map(draw_page, TUNING), *scanned_samples())


@cache
def measured_pages() -> tuple[KnownPage, ...]:
    """Draw the pages that goals are measured on, and render the scanned samples."""
    return (*map(draw_page, HELD_OUT), *scanned_samples())


def draw_page(how: Print) -> KnownPage:
    """Set a page full of a sample's text, word by word, and age it if it is to look scanned."""
    font = ImageFont.truetype(str(_font_path(how.font)), round(how.points * DPI / 72), layout_engine=0)
    sheet = Image.new("L", SHEET, 255)
    pen, words, boxes = ImageDraw.Draw(sheet), [], []
    width, height = SHEET
    column = (width - 2 * MARGIN - (how.columns - 1) * GUTTER) // how.columns
    leading, space = round(font.size * 1.35), font.getlength(" ")
    stream = islice(cycle(sample_words(how.text)), 29 * how.seed, None)
    word = next(stream)
    for number in range(how.columns):
        left = MARGIN + number * (column + GUTTER)
        for row, top in enumerate(range(MARGIN, height - MARGIN - leading, leading)):
            if row % 9 == 8:  # a paragraph ends
                continue
            x = float(left)
            while x + font.getlength(word) <= left + column:
                box = pen.textbbox((x, top), word, font=font)
                pen.text((x, top), word, font=font, fill=20)
                words.append(word)
                boxes.append(Box(x, box[1], x + font.getlength(word), box[3]))
                x += font.getlength(word) + space
                word = next(stream)
    pixels, placed = _scan(sheet, boxes, how.seed) if how.scanned else (np.asarray(sheet.convert("RGB")), boxes)
    relative = tuple(Box(b.left / width, b.top / height, b.right / width, b.bottom / height) for b in placed)
    look = "scanned" if how.scanned else "clean"
    return KnownPage(f"{how.points:g} pt, {how.columns} col., {look}", pixels, tuple(words), relative)


def _font_path(name: str) -> Path:
    """Return the path of one of the sample documents' typefaces, which come in packages of their own."""
    sys.path.insert(0, str(REPOSITORY / "sample_docs"))
    try:
        fonts = import_module("press.fonts")
    finally:
        sys.path.pop(0)
    return Path(fonts.path(name))


@cache
def sample_words(name: str) -> tuple[str, ...]:
    """Return the words of a sample's text without its markup."""
    text = (REPOSITORY / "sample_docs" / "text" / name).read_text(encoding="utf-8")
    plain = re.sub(r"```[^\n]*|^\w+:|[|*_#`]|^- |---+", " ", text, flags=re.MULTILINE)
    return tuple(word for word in plain.split() if re.search(r"\w", word) and "=" not in word and "\\" not in word)


def _scan(sheet: Image.Image, boxes: Sequence[Box], seed: int) -> tuple[Pixels, list[Box]]:
    """Return the sheet as a scanner leaves it, with the boxes where they are then."""
    rng = np.random.default_rng(seed)
    turn = float(rng.uniform(0.3, 0.9)) * (-1) ** seed
    turned = sheet.rotate(turn, resample=Image.Resampling.BICUBIC, fillcolor=255).filter(ImageFilter.GaussianBlur(0.6))
    paper = np.asarray(turned, np.float32)[..., None] * np.array([0.98, 0.96, 0.91], np.float32)
    paper += rng.normal(0, 5, (*paper.shape[:2], 1)).astype(np.float32)
    held = io.BytesIO()
    Image.fromarray(paper.clip(0, 255).astype(np.uint8)).save(held, "JPEG", quality=65)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    middle_x, middle_y = sheet.width / 2, sheet.height / 2
    placed = []
    for box in boxes:
        # Bounding box of the turned middle line and its height: the bounding box of a long turned box is too tall.
        x = np.array([box.left, box.right]) - middle_x
        y = (box.top + box.bottom) / 2 - middle_y
        (left, right), (a, b) = middle_x + x * cos + y * sin, middle_y - x * sin + y * cos
        half = (box.bottom - box.top) / 2
        placed.append(Box(left, min(a, b) - half, right, max(a, b) + half))
    return np.asarray(Image.open(held).convert("RGB")), placed


def scanned_samples() -> Iterator[KnownPage]:
    """Render the scanned sample documents, with the words that they were made from."""
    texts = REPOSITORY / "sample_docs" / "text"
    letter, form = (tomllib.loads((texts / name).read_text("utf-8")) for name in ("letter.toml", "form.toml"))
    lines = [[*page["lines"], *page.get("stamp", ())] for page in letter["page"]]
    lines[0] += letter["head"]
    fields = [entry[key] for entry in form["field"] for key in ("label", "value")]
    ticks = [tick["label"] for tick in form["tick"]]
    end = [*form["remarks"], "Remarks of the engineer", "Signature"]
    lines.append([form["title"], form["code"], *fields, *ticks, *end])
    limits, folder = Settings().limits, REPOSITORY / "sample_docs"
    pages = [page for name in SCANS for page in ingest.render(ingest.inspect(folder / name, name, limits), limits)]
    for page, text in zip(pages, lines, strict=True):
        assert isinstance(page, Page)
        yield KnownPage(f"{page.document} {page.number}", page.pixels, tuple(" ".join(text).split()), None)


def score_words(page: KnownPage, found: Sequence[Word]) -> tuple[int, list[float]]:
    """Return how many of the page's words were found, and the overlap of each that has a box.

    A word counts as often as it is on the page. Equal words are matched by their overlap.
    """
    left = Counter(page.words)
    right = sum((left & Counter(word.text for word in found)).values())
    if page.boxes is None:
        return right, []
    overlaps = []
    for text in left.keys() & {word.text for word in found}:
        own = [box for word, box in zip(page.words, page.boxes, strict=True) if word == text]
        pairs = [(overlap(box, word.box), n, m) for n, box in enumerate(own)
                 for m, word in enumerate(w for w in found if w.text == text)]  # fmt: skip
        used: tuple[set[int], set[int]] = (set(), set())
        for value, n, m in sorted(pairs, reverse=True):
            if n not in used[0] and m not in used[1]:
                used[0].add(n)
                used[1].add(m)
                overlaps.append(value)
    return right, overlaps


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes.

    >>> overlap(Box(0, 0, 2, 1), Box(1, 0, 3, 1))
    0.3333333333333333
    """
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in (one, other)]
    return shared / (sum(areas) - shared) if shared else 0.0


def score_reader(pages: Sequence[KnownPage], found: Sequence[Sequence[Word]]) -> Score:
    """Return the score of what a reader found on these pages."""
    results = [score_words(page, words) for page, words in zip(pages, found, strict=True)]
    right, overlaps = sum(count for count, _ in results), [one for _, own in results for one in own]
    return Score(
        right / sum(len(page.words) for page in pages),
        right / max(1, sum(map(len, found))),
        float(np.mean(overlaps)) if overlaps else 0.0,
    )


def measure_ocr() -> list[Goal | Figure]:
    """Measure `ocr.speed`, `ocr.recall`, `ocr.precision`, `ocr.overlap` and `ocr.pages`, against RapidOCR's defaults.

    Both read the same pages, scans two at a time as the indexer passes them, in turns.
    """
    pages = measured_pages()
    peer = load_rapidocr()
    readers: dict[str, Callable[[], list[Sequence[Word]]]] = {
        "ours": lambda: [
            reading.words
            for at in range(0, len(pages), 2)
            for reading in ocr.read_pages([page.pixels for page in pages[at : at + 2]])
        ],
        "peer": lambda: [peer(page.pixels) for page in pages],
    }
    scores = {name: score_reader(pages, read()) for name, read in readers.items()}
    ours, peers = median_seconds(list(readers.values()), ROUNDS)
    what = f"{len(pages)} pages with {sum(len(page.words) for page in pages):,} known words"

    def gain(part: str) -> float:
        return float(getattr(scores["ours"], part) - getattr(scores["peer"], part))

    def said(part: str) -> str:
        return f"over RapidOCR's defaults: {getattr(scores['ours'], part):.4f}, {getattr(scores['peer'], part):.4f}"

    return [
        Goal("ocr.speed", f"times faster than RapidOCR's defaults: {what}", peers / ours, SPEED_BOUND, Kind.MIN),
        Goal("ocr.recall", f"word recall {said('recall')}", gain("recall"), -TOLERANCE, Kind.MIN),
        Goal("ocr.precision", f"word precision {said('precision')}", gain("precision"), -TOLERANCE, Kind.MIN),
        Goal("ocr.overlap", f"boxes' overlap {said('overlap')}", gain("overlap"), 0, Kind.MIN),
        Figure("ocr.pages", f"pages a second, OCR alone: {what}", len(pages) / ours),
    ]


def load_rapidocr() -> Reader:
    """Return a reader that uses RapidOCR as it is."""
    from rapidocr import RapidOCR

    engine = RapidOCR(params={"Global.log_level": "critical"})

    def read(pixels: Pixels) -> list[Word]:
        height, width = pixels.shape[:2]
        found = engine(np.ascontiguousarray(pixels[:, :, ::-1]), return_word_box=True)
        words = []
        for text, _, corners in (word for line in found.word_results for word in line):
            points = np.array(corners) / (width, height)
            words.append(Word(text, Box(*map(float, (*points.min(axis=0), *points.max(axis=0))))))
        return words

    return read
