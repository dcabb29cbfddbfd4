"""The words of a page: those of its text layer, if they can be trusted, and OCR of what the layer does not cover.

People look for the words that they see. A text layer may lack them (a scan with a stamp, a slide that is a picture), or
hold other ones (fonts without a mapping to Unicode). So for each page

1. runs of the layer's words that are no language are read again by OCR, and given up if OCR reads language there;
2. areas that look like print and hold no words of the layer are read by OCR, and merged;
3. a page without words is read by OCR alone, after a scan that lies on its side was turned upright.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from smart_demo.backbones import ocr
from smart_demo.backbones.ocr import Reading
from smart_demo.errors import BackboneUnavailable, InputRefused, PageRefused
from smart_demo.indexing import layer_quality
from smart_demo.page_text import Box, Word, WordSource
from smart_demo.types import Page, Pixels

TURNED = "The scan was turned upright."
ReadWords = Callable[[Pixels], tuple[Word, ...]]


class Ocr(Protocol):
    """Reads several pictures, as `backbones.ocr.read_pages`."""

    def __call__(self, pictures: Sequence[Pixels], *, turn: bool) -> Sequence[Reading]: ...


PUBLIC_HINT = "This page finds documents by their words: add one with text, or a sharper scan."
"""Hint for visitors of a public page, who cannot install anything."""
UNDRAWN = {"Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp"}
"""Unicode categories of characters that draw nothing."""
FINE_SIDE, COARSE_SIDE = 1_000, 330
"""Long side in pixels at which print is looked for: the usual sizes, and large print of posters and slides."""
MIN_FINE_SHARE, MIN_COARSE_SHARE = 0.004, 0.02
"""Share of the page that looks like print without words from which OCR reads it: a third of a line of body text.

Measured on the 71 sample pages: charts, tables and plans whose labels are in the layer have at most 0.0024 (one chart
0.0097), pictured text from 0.02."""
CELL = 8
"""Pixels of a cell's side. A cell holds print if it has some edges between its columns, as upright strokes make."""
MIN_EDGE, MIN_CELL_EDGES = 30, 8
MIN_RUN_CELLS = 4
"""Neighbouring cells in a row that hold print: a rule, a curve or a frame crosses fewer."""
MARGIN = 0.02
"""Margin around an area that OCR reads, in parts of the page."""
MAX_OVERLAP = 0.5
"""Share of an OCR word's box that words of the layer may cover before it counts as one of them."""

log = logging.getLogger(__name__)


def read_pages(
    pages: Sequence[Page], *, use_ocr: bool, public: bool = False, engine: Ocr | None = None
) -> list[Page | PageRefused]:
    """Return rendered pages with the words that they show, their source, and notices about how they were read.

    use_ocr: read by OCR what the text layer lacks or gets wrong. public: whether a visitor reads the refusals, who can
    install nothing. engine: reads pictures; `backbones.ocr.read_pages` by default. If OCR fails, a layer's words are
    returned as they are, and a page without a layer is refused; a page without words is not.
    """
    kept = [_keep_layer(page) for page in pages]
    if not use_ocr:
        return list(kept)
    engine = engine or ocr.read_pages
    scans = iter(_read_scans([page for page in kept if not page.words], engine, public))
    return [_complete_layer(page, engine) if page.words else next(scans) for page in kept]


def read_page(page: Page, *, use_ocr: bool, public: bool = False, engine: Ocr | None = None) -> Page | PageRefused:
    """Return one page as `read_pages`."""
    (read,) = read_pages([page], use_ocr=use_ocr, public=public, engine=engine)
    return read


def _keep_layer(page: Page) -> Page:
    layer = tuple(word for word in page.words if _says_something(word))
    return replace(page, words=layer, source=WordSource.LAYER if layer else WordSource.NONE)


def _read_scans(pages: Sequence[Page], engine: Ocr, public: bool) -> Sequence[Page | PageRefused]:
    """Return pages without a layer with the words of OCR, turned upright; one that breaks OCR is refused alone."""
    if not pages:
        return ()
    try:
        readings = engine([page.pixels for page in pages], turn=True)
    except (BackboneUnavailable, InputRefused) as error:
        if len(pages) > 1:
            return [result for page in pages for result in _read_scans([page], engine, public)]
        hint = PUBLIC_HINT if public and isinstance(error, BackboneUnavailable) else error.hint
        (page,) = pages
        return [PageRefused(f"Page {page.number} of {page.document} has no text layer. {error}", hint)]
    return [_with_reading(page, reading) for page, reading in zip(pages, readings, strict=True)]


def _with_reading(page: Page, reading: Reading) -> Page:
    source = WordSource.OCR if reading.words else WordSource.NONE
    page = replace(page, words=reading.words, source=source)
    if not reading.turns:
        return page
    pixels = np.ascontiguousarray(np.rot90(page.pixels, reading.turns))
    return replace(page, pixels=pixels, notices=(*page.notices, TURNED))


def _says_something(word: Word) -> bool:
    """Return whether a word has a character that is drawn: broken layers hold control characters alone."""
    return any(unicodedata.category(char) not in UNDRAWN and char != "\ufffd" for char in word.text)


def _complete_layer(page: Page, engine: Ocr) -> Page:
    """Return a page that has a text layer with the words that can be trusted, and those that OCR reads elsewhere."""

    def read_words(pixels: Pixels) -> tuple[Word, ...]:
        return engine([pixels], turn=False)[0].words

    try:
        kept, given_up = _trusted_words(page, read_words)
        found = _read_uncovered(page.pixels, kept, read_words)
    except (BackboneUnavailable, InputRefused) as error:
        log.warning("a page is searched by its text layer alone: %s", error)
        return page
    if not found:
        return page
    number = f"{len(found):,} {'word was' if len(found) == 1 else 'words were'}"
    notice = f"{number} read from pictures."
    if given_up:
        notice = "The text layer is damaged; the words were read from the picture."
    source = WordSource.BOTH if kept else WordSource.OCR
    return replace(page, words=merge(kept, found), source=source, notices=(*page.notices, notice))


def _trusted_words(page: Page, read_words: ReadWords) -> tuple[tuple[Word, ...], bool]:
    """Return (the layer's words that can be trusted, whether some were given up).

    The worst suspicious run is read by OCR; only if that reads language are the suspicious runs given up. So rare
    languages, part numbers and scripts that OCR does not know stay.
    """
    texts = [word.text for word in page.words]
    runs = layer_quality.suspicious_runs(texts)
    whole = layer_quality.measure(texts)
    if runs:
        positions, quality = runs[0]
        doubted = {n for run, _ in runs for n in run}
    elif whole.latin_share < 0.5 and whole.letters >= layer_quality.MIN_LETTERS:
        # Another script: does the page show it, or do its fonts only claim so?
        positions, quality = _first_run(texts), whole
        doubted = set(range(len(texts)))
    else:
        return page.words, False
    seen = read_words(_crop(page.pixels, _around([page.words[n].box for n in positions])))
    read = layer_quality.measure(word.text for word in seen)
    if not (read.is_better_than(quality) if runs else read.latin_language):
        return page.words, False
    return tuple(word for n, word in enumerate(page.words) if n not in doubted), True


def _first_run(texts: Sequence[str]) -> range:
    letters = 0
    for n, text in enumerate(texts):
        letters += sum(map(str.isalpha, text))
        if letters >= 2 * layer_quality.MIN_LETTERS:
            return range(n + 1)
    return range(len(texts))


def _read_uncovered(pixels: Pixels, words: Sequence[Word], read_words: ReadWords) -> tuple[Word, ...]:
    """Return the words that OCR reads in areas which look like print and hold none of `words`."""
    area = find_uncovered(pixels, words)
    if area is None:
        return ()
    height, width = pixels.shape[:2]
    left, top, right, bottom = _to_pixels(area, width, height)
    inside = Box(left / width, top / height, right / width, bottom / height)
    read = read_words(np.ascontiguousarray(pixels[top:bottom, left:right]))
    placed = (_place(word, inside) for word in read)
    covered = np.array([box_numbers(box) for word in words for box in boxes_of(word)]).reshape(-1, 4)
    return tuple(word for word in placed if _overlap(word.box, covered) <= MAX_OVERLAP)


def find_uncovered(pixels: Pixels, words: Sequence[Word]) -> Box | None:
    """Return the box around everything that looks like print and holds no words; None if that is too little."""
    found = []
    for side, least in ((FINE_SIDE, MIN_FINE_SHARE), (COARSE_SIDE, MIN_COARSE_SHARE)):
        cells = _print_cells(pixels, side) & ~_covered_cells(pixels, words, side)
        cells = _long_runs(cells)
        if cells.mean() >= least:
            rows, cols = np.nonzero(cells)
            height, width = cells.shape
            found.append(
                Box(cols.min() / width, rows.min() / height, (cols.max() + 1) / width, (rows.max() + 1) / height)
            )
    return _around(found) if found else None


def _print_cells(pixels: Pixels, side: int) -> npt.NDArray[np.bool_]:
    """Return the cells, (rows, columns), whose edges look like print, of the page at `side` pixels.

    A page longer than four times its width is drawn by its width, so that its print keeps its size.
    """
    width, height = _cell_size(pixels, side)
    grey = Image.fromarray(pixels).convert("L").resize((width * CELL, height * CELL), Image.Resampling.BOX)
    values = np.asarray(grey).astype(np.int16)
    edges = np.zeros(values.shape, dtype=bool)
    edges[:, 1:] = np.abs(values[:, 1:] - values[:, :-1]) > MIN_EDGE
    return np.asarray(edges.reshape(height, CELL, width, CELL).sum(axis=(1, 3)) >= MIN_CELL_EDGES)


def _cell_size(pixels: Pixels, side: int) -> tuple[int, int]:
    """Return the (columns, rows) of cells that the page is divided into."""
    height, width = pixels.shape[:2]
    scale = min(1.0, max(side / max(height, width), side / 2 / min(height, width)))
    return max(1, round(width * scale / CELL)), max(1, round(height * scale / CELL))


def _covered_cells(pixels: Pixels, words: Sequence[Word], side: int) -> npt.NDArray[np.bool_]:
    """Return the cells that words cover. Boxes hold no accents and no flourishes, hence a margin of their height."""
    width, height = _cell_size(pixels, side)
    covered = np.zeros((height, width), dtype=bool)
    for word in words:
        for box in boxes_of(word):
            margin = 0.3 * (box.bottom - box.top)
            top, bottom = max(0.0, box.top - margin), min(1.0, box.bottom + margin)
            rows = slice(int(top * height), int(bottom * height) + 1)
            covered[rows, int(box.left * width) : int(box.right * width) + 1] = True
    return covered


def _long_runs(cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the cells that are part of a run of at least `MIN_RUN_CELLS` in their row."""
    if cells.shape[1] < MIN_RUN_CELLS:
        return np.zeros_like(cells)
    starts = np.lib.stride_tricks.sliding_window_view(cells, MIN_RUN_CELLS, axis=1).all(axis=2)
    runs = np.zeros_like(cells)
    for shift in range(MIN_RUN_CELLS):
        runs[:, shift : shift + starts.shape[1]] |= starts
    return runs


def merge(layer: Sequence[Word], found: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words of both in reading order: those found by OCR stand before the first layer word below them.

    >>> a, b = Word("top", Box(0, 0.1, 1, 0.2)), Word("end", Box(0, 0.8, 1, 0.9))
    >>> [word.text for word in merge([a, b], [Word("scan", Box(0, 0.4, 1, 0.5))])]
    ['top', 'scan', 'end']
    """
    if not layer or not found:
        return (*layer, *found)
    start = min(word.box.top for word in found)
    position = next((n for n, word in enumerate(layer) if word.box.top >= start), len(layer))
    return (*layer[:position], *found, *layer[position:])


def boxes_of(word: Word) -> list[Box]:
    """Return the boxes of a word, one for each of its parts."""
    return [word.box, *(box for _, box in word.parts)]


def box_numbers(box: Box) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom."""
    return box.left, box.top, box.right, box.bottom


def _overlap(box: Box, others: npt.NDArray[np.float64]) -> float:
    """Return the share of a box that the boxes `others`, (n, 4), cover, each counted alone and added."""
    width = np.minimum(box.right, others[:, 2]) - np.maximum(box.left, others[:, 0])
    height = np.minimum(box.bottom, others[:, 3]) - np.maximum(box.top, others[:, 1])
    area = (box.right - box.left) * (box.bottom - box.top)
    return float((np.clip(width, 0, None) * np.clip(height, 0, None)).sum() / area) if area > 0 else 1.0


def _around(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes, with a margin, inside the page."""
    left, top = min(box.left for box in boxes) - MARGIN, min(box.top for box in boxes) - MARGIN
    right, bottom = max(box.right for box in boxes) + MARGIN, max(box.bottom for box in boxes) + MARGIN
    return Box(max(0.0, left), max(0.0, top), min(1.0, right), min(1.0, bottom))


def _to_pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a box in whole pixels, at least one pixel wide and high."""
    left, top = min(int(box.left * width), width - 1), min(int(box.top * height), height - 1)
    return left, top, max(left + 1, round(box.right * width)), max(top + 1, round(box.bottom * height))


def _crop(pixels: Pixels, box: Box) -> Pixels:
    left, top, right, bottom = _to_pixels(box, pixels.shape[1], pixels.shape[0])
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def _place(word: Word, inside: Box) -> Word:
    """Return a word whose boxes are relative to `inside` with boxes relative to the page."""
    width, height = inside.right - inside.left, inside.bottom - inside.top

    def move(box: Box) -> Box:
        return Box(
            inside.left + box.left * width,
            inside.top + box.top * height,
            inside.left + box.right * width,
            inside.top + box.bottom * height,
        )

    return Word(word.text, move(word.box), tuple((start, move(box)) for start, box in word.parts))
