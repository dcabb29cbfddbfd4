"""The words of a page: those of its text layer, if they can be trusted, and OCR of what the layer does not cover.

People look for the words that they see. A text layer may lack them (a scan with a stamp, a slide that is a picture), or
hold other ones (fonts without a mapping to Unicode). So for each page

1. runs of the layer's words that are no language are read by OCR, and replaced if OCR reads language there;
2. areas that look like print and hold no words of the layer are read by OCR, and merged;
3. a page without words is read by OCR alone.

A scan that lies on its side is turned upright, and the page's words with it.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from smart_demo.backbones import ocr
from smart_demo.backbones.minilm import PUBLIC_PAGE_HINT
from smart_demo.backbones.ocr import Reading
from smart_demo.errors import BackboneUnavailable, InputRefused, PageRefused
from smart_demo.indexing import layer_quality
from smart_demo.indexing.uncovered_areas import area_around, find_uncovered
from smart_demo.page_text import Box, Word, WordSource
from smart_demo.types import Page, Pixels

TURNED = "The scan was turned upright."


class Ocr(Protocol):
    """Reads several pictures, as `backbones.ocr.read_pages`."""

    def __call__(self, pictures: Sequence[Pixels], *, turn: bool) -> Sequence[Reading]: ...


UNDRAWN = {"Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp"}
"""Unicode categories of characters that draw nothing."""
UNREAD = "Words in pictures could not be read."
DAMAGED = "The text layer is damaged; words were read from the picture."
READ = "Words in pictures were read by OCR."
CUT = "A picture has too many lines; some were not read. Add it in parts."
SURE = 0.9
"""Mean score of OCR's lines from which text in another script than Latin counts as language."""
MIN_TURNED_SHARE = 0.25
"""Share of the page that lies on its side from which the whole page is turned."""
MAX_TALLER = 3
"""A word covers others that are down to a third of its height."""
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
        hint = PUBLIC_PAGE_HINT if public and isinstance(error, BackboneUnavailable) else error.hint
        (page,) = pages
        return [PageRefused(f"Page {page.number} of {page.document} has no text layer. {error}", hint)]
    return [_with_reading(page, reading) for page, reading in zip(pages, readings, strict=True)]


def _with_reading(page: Page, reading: Reading) -> Page:
    source = WordSource.OCR if reading.words else WordSource.NONE
    if reading.turns:
        page = turn_page(page, reading.turns)
    notices = (*page.notices, CUT) if reading.cut else page.notices
    return replace(page, words=join_hyphens(reading.words), source=source, notices=notices)


def _says_something(word: Word) -> bool:
    """Return whether a word has a character that is drawn: broken layers hold control characters alone."""
    return any(unicodedata.category(char) not in UNDRAWN and char != "\ufffd" for char in word.text)


def _complete_layer(page: Page, engine: Ocr) -> Page:
    """Return a page that has a text layer with the words that can be trusted, and those that OCR reads elsewhere."""
    try:
        kept, found, given_up = _replace_nonsense(page, engine)
        turns, areas, cut = _read_uncovered(page.pixels, (*kept, *found), engine)
        if turns:
            page, kept, found = turn_page(page, turns), _turn_words(kept, turns), _turn_words(found, turns)
            _, areas, cut = _read_uncovered(page.pixels, (*kept, *found), engine)
    except (BackboneUnavailable, InputRefused) as error:
        log.warning("a page is searched by its text layer alone: %s", error)
        return replace(page, notices=(*page.notices, UNREAD))
    words = kept
    for group in (found, *areas):
        words = merge(words, group)
    if not (found or any(areas)):
        return page
    facts = {DAMAGED: given_up, CUT: cut, READ: any(areas)}
    notices = [*page.notices, *(sentence for sentence, holds in facts.items() if holds)]
    source = WordSource.BOTH if kept else WordSource.OCR
    return replace(page, words=words, source=source, notices=tuple(notices))


def _replace_nonsense(page: Page, engine: Ocr) -> tuple[tuple[Word, ...], tuple[Word, ...], bool]:
    """Return (the layer's words that can be trusted, OCR words in the place of the others, whether there are others).

    Suspicious runs of words are read by OCR, and each is given up if OCR reads language in its place. So rare
    languages, part numbers and scripts that OCR does not know stay.
    """
    texts = [word.text for word in page.words]
    runs = layer_quality.suspicious_runs(texts)
    if not runs:
        if _shows_latin(page, texts, engine):
            return (), (), True
        return page.words, (), False
    area = area_around([box for run, _ in runs for n in run for box in page.words[n].boxes])
    (reading,) = engine([_crop(page.pixels, area)], turn=False)
    seen = _place_all(reading.words, area, page.pixels)
    doubted: set[int] = set()
    found: dict[int, None] = {}
    for run, quality in runs:
        boxes = _box_array([page.words[n] for n in run])
        own = [n for n, word in enumerate(seen) if _overlap(word.box, boxes) > MAX_OVERLAP]
        read = layer_quality.measure(seen[n].text for n in own)
        if read.is_better_than(quality) and (read.latin_share > 0.5 or reading.confidence >= SURE):
            doubted.update(run)
            found |= dict.fromkeys(own)
    kept = tuple(word for n, word in enumerate(page.words) if n not in doubted)
    return kept, join_hyphens([seen[n] for n in sorted(found)]), bool(doubted)


def _shows_latin(page: Page, texts: Sequence[str], engine: Ocr) -> bool:
    """Return whether a page whose layer is in another script shows Latin text: its fonts only claim the script."""
    whole = layer_quality.measure(texts)
    if whole.latin_share >= 0.5 or whole.letters < layer_quality.MIN_LETTERS:
        return False
    letters, first = 0, list[Word]()
    for word in page.words:
        first.append(word)
        letters += sum(map(str.isalpha, word.text))
        if letters >= 2 * layer_quality.MIN_LETTERS:
            break
    (reading,) = engine([_crop(page.pixels, area_around([word.box for word in first]))], turn=False)
    return layer_quality.measure(word.text for word in reading.words).latin_language


def _read_uncovered(pixels: Pixels, words: Sequence[Word], engine: Ocr) -> tuple[int, list[tuple[Word, ...]], bool]:
    """Return (turns, words, cut) of areas which look like print and hold none of `words`, each area by itself.

    turns: quarter turns that make the page upright, if most of it is one area that lies on its side. cut: whether some
    lines were not read.
    """
    areas = find_uncovered(pixels, words)
    readings = engine([_crop(pixels, area) for area in areas], turn=True) if areas else []
    for area, reading in zip(areas, readings, strict=True):
        if reading.turns and (area.right - area.left) * (area.bottom - area.top) >= MIN_TURNED_SHARE:
            return reading.turns, [], False
    covered = _box_array(words)
    found = []
    for area, reading in zip(areas, readings, strict=True):
        upright = _turn_words(reading.words, -reading.turns)
        placed = _place_all(upright, area, pixels)
        found.append(join_hyphens([word for word in placed if not _is_covered(word, covered)]))
    return 0, found, any(reading.cut for reading in readings)


def _is_covered(word: Word, covered: npt.NDArray[np.float64]) -> bool:
    """Return whether boxes, (n, 4), of about its size cover a word. A frame around a whole figure does not."""
    near = covered[covered[:, 3] - covered[:, 1] <= MAX_TALLER * (word.box.bottom - word.box.top)]
    return len(near) > 0 and _overlap(word.box, near) > MAX_OVERLAP


def merge(layer: Sequence[Word], found: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words of both in reading order; those of one area that OCR found stay together.

    They follow the last word of the layer that is above them in their column.

    >>> a, b = Word("top", Box(0, 0.1, 1, 0.2)), Word("end", Box(0, 0.8, 1, 0.9))
    >>> [word.text for word in merge([a, b], [Word("scan", Box(0, 0.4, 1, 0.5))])]
    ['top', 'scan', 'end']
    """
    if not layer or not found:
        return (*layer, *found)
    area = area_around([word.box for word in found], margin=0)
    beside = [n for n, word in enumerate(layer) if word.box.left < area.right and area.left < word.box.right]
    above = [n for n in beside if layer[n].box.top < area.top]
    below = [n for n in beside if layer[n].box.top >= area.top]
    if above:
        position = above[-1] + 1
        line = layer[above[-1]].box
        while position < len(layer) and layer[position].box.top < line.bottom and line.top < layer[position].box.bottom:
            position += 1  # the rest of its line, beside the area
    elif below:
        position = below[0]
    else:
        position = next((n for n, word in enumerate(layer) if word.box.top >= area.top), len(layer))
    return (*layer[:position], *found, *layer[position:])


def join_hyphens(words: Sequence[Word]) -> tuple[Word, ...]:
    """Return words of OCR with those joined that a hyphen at a line's end divides, as in text layers.

    >>> first, second = Word("photo-", Box(0.8, 0.1, 0.9, 0.12)), Word("synthesis", Box(0.1, 0.13, 0.2, 0.15))
    >>> [word.text for word in join_hyphens([first, second])]
    ['photosynthesis']
    """
    joined = list[Word]()
    for word in words:
        before = joined[-1] if joined else None
        if before is not None and _is_divided(before, word):
            start = len(before.text) - 1
            parts = (*before.parts, (start, word.box), *((start + at, box) for at, box in word.parts))
            joined[-1] = Word(before.text[:-1] + word.text, before.box, parts)
        else:
            joined.append(word)
    return tuple(joined)


def _is_divided(first: Word, second: Word) -> bool:
    """Return whether a hyphen divides a word at a line's end: its other part begins the next line, in lower case."""
    end = first.boxes[-1]
    next_line = second.box.top >= (end.top + end.bottom) / 2 and second.box.left < end.left
    spelled = len(first.text) > 2 and first.text[-1] in "-\u2010\u00ad" and first.text[-2].isalpha()
    return next_line and spelled and second.text[0].islower()


def turn_page(page: Page, turns: int) -> Page:
    """Return a page turned by quarters, counter-clockwise as `numpy.rot90`, its words with it."""
    pixels = np.ascontiguousarray(np.rot90(page.pixels, turns))
    return replace(page, pixels=pixels, words=_turn_words(page.words, turns), notices=(*page.notices, TURNED))


def _turn_words(words: Sequence[Word], turns: int) -> tuple[Word, ...]:
    def turn(box: Box) -> Box:
        for _ in range(turns % 4):
            box = Box(box.top, 1 - box.right, box.bottom, 1 - box.left)
        return box

    return tuple(_with_boxes(word, turn) for word in words)


def _with_boxes(word: Word, move: Callable[[Box], Box]) -> Word:
    return Word(word.text, move(word.box), tuple((start, move(box)) for start, box in word.parts))


def _box_array(words: Sequence[Word]) -> npt.NDArray[np.float64]:
    """Return the boxes of words, (n, 4): left, top, right, bottom."""
    return np.array([astuple(box) for word in words for box in word.boxes], dtype=np.float64).reshape(-1, 4)


def _overlap(box: Box, others: npt.NDArray[np.float64]) -> float:
    """Return the share of a box that the boxes `others`, (n, 4), cover, each counted alone and added."""
    width = np.minimum(box.right, others[:, 2]) - np.maximum(box.left, others[:, 0])
    height = np.minimum(box.bottom, others[:, 3]) - np.maximum(box.top, others[:, 1])
    area = (box.right - box.left) * (box.bottom - box.top)
    return float((np.clip(width, 0, None) * np.clip(height, 0, None)).sum() / area) if area > 0 else 1.0


def _to_pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a box in whole pixels, at least one pixel wide and high."""
    left, top = min(int(box.left * width), width - 1), min(int(box.top * height), height - 1)
    return left, top, max(left + 1, round(box.right * width)), max(top + 1, round(box.bottom * height))


def _crop(pixels: Pixels, box: Box) -> Pixels:
    left, top, right, bottom = _to_pixels(box, pixels.shape[1], pixels.shape[0])
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def _place_all(words: Sequence[Word], area: Box, pixels: Pixels) -> tuple[Word, ...]:
    """Return words of the crop of an area with boxes relative to the whole page."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = _to_pixels(area, width, height)

    def move(box: Box) -> Box:
        return Box(
            (left + box.left * (right - left)) / width,
            (top + box.top * (bottom - top)) / height,
            (left + box.right * (right - left)) / width,
            (top + box.bottom * (bottom - top)) / height,
        )

    return tuple(_with_boxes(word, move) for word in words)
