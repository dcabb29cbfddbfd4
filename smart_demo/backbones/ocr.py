"""Words in pictures, by OCR: in reading order, with boxes relative to the picture. Downloads nothing.

`text_lines` finds and reads the lines. The networks are loaded once per process, with the first picture that needs
them. All pages share one thread per core; pictures of queries have threads of their own and never wait for pages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smart_demo.backbones import ocr_workers, text_lines
from smart_demo.backbones.ocr_workers import Budget, Workers
from smart_demo.backbones.text_lines import TextLine
from smart_demo.errors import BackboneUnavailable, InputRefused
from smart_demo.page_text import Box, Word
from smart_demo.types import Floats, Pixels

SAMPLE_LINES = 5
"""Lines read both ways to tell which way up a page is."""
MIN_TURNED_LINES = 4
"""Fewer lines than this never turn a page: a spine title or a stamp is no evidence."""
SURE, CLEARLY, SIDEWAYS_CLEARLY = 0.85, 0.1, 0.05
"""Line score of text that is the right way up, and its least lead over the same lines turned by half.

A page whose lines all run downwards is certainly not upright, so a smaller lead tells which way. Turned lines score
0.62 to 0.87 (tests/backbones/test_ocr.py, both recognisers)."""
MIN_COLUMN_LINES, MIN_COLUMN_LETTERS = 4, 15
"""What makes a column of prose on each side of a gutter: its lines, and the median of their letters."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What OCR read on a picture."""

    words: tuple[Word, ...]
    """Words in reading order; their boxes are relative to the picture as it was turned."""
    turns: int = 0
    """Quarter turns, counter-clockwise as of `numpy.rot90`, that make the picture upright; words are of that one."""
    confidence: float = 0.0
    """Mean probability of the characters, 0 to 1: lines that are read surely have 0.9 and more. 0 without words."""
    cut: bool = False
    """Whether some lines were not read, because the picture has too many or takes too long."""


def read_words(pixels: Pixels) -> tuple[Word, ...]:
    """Return the words of a query's picture in reading order, with relative boxes; () if it has none.

    Of a picture with very many lines, the largest are read. pixels: (height, width, 3) RGB. Raises BackboneUnavailable
    if OCR is not installed, InputRefused if it fails.
    """
    (reading,) = _read([pixels], turn=False, workers=ocr_workers.query_workers)
    return reading.words


def read_pages(pictures: Sequence[Pixels], *, turn: bool = False) -> list[Reading]:
    """Read pages or parts of pages at once, on all cores. With `turn`, a sideways or upside-down one is read upright.

    All pictures are held until all are read: pass a few at a time. Raises as `read_words`.
    """
    return _read(pictures, turn=turn, workers=ocr_workers.page_workers)


def _read(pictures: Sequence[Pixels], *, turn: bool, workers: Callable[[], Workers]) -> list[Reading]:
    """Read pictures as `read_pages`, with the threads that `workers` returns."""
    try:
        threads = workers()
        budgets = threads.budgets(len(pictures))
        found = text_lines.detect(pictures, threads, budgets)
        turns = [
            _count_turns(pixels, lines, threads, budget) if turn else 0
            for pixels, lines, budget in zip(pictures, found, budgets, strict=True)
        ]
        pages = [np.rot90(pixels, count) for pixels, count in zip(pictures, turns, strict=True)]
        jobs = [
            (pixels, [text_lines.turn(corners, picture.shape[:2], count) for corners in lines])
            for pixels, picture, lines, count in zip(pages, pictures, found, turns, strict=True)
        ]
        read = text_lines.recognise(jobs, threads, budgets)
    except BackboneUnavailable:
        raise
    except Exception as error:  # onnxruntime and OpenCV share no base
        log.warning("OCR failed: %s", type(error).__name__)
        raise InputRefused("The picture's words could not be read.", "Try another picture.") from error
    return [
        _reading([line for line in lines if line], pixels.shape[:2], count, budget.cut)
        for lines, pixels, count, budget in zip(read, pages, turns, budgets, strict=True)
    ]


def _reading(lines: Sequence[TextLine], size: tuple[int, int], turns: int, cut: bool) -> Reading:
    """Return what the lines of a picture of this height and width say."""
    letters = [sum(map(len, line.words)) for line in lines]
    confidence = float(np.average([line.score for line in lines], weights=letters)) if lines else 0.0
    return Reading(_words(lines, size), turns, confidence, cut)


def _count_turns(pixels: Pixels, lines: Sequence[Floats], workers: Workers, budget: Budget) -> int:
    """Return the quarter turns, 0 to 3, that make a picture of text upright, as of `numpy.rot90`.

    Uses the direction of its lines, then reads a few both ways. 0 if they do not clearly say otherwise.
    """
    if len(lines) < MIN_TURNED_LINES:
        return 0
    lengths = np.array([text_lines.measure(corners) for corners in lines])
    across, down = (lengths[:, 0] >= 1.5 * lengths[:, 1]), (lengths[:, 1] >= 1.5 * lengths[:, 0])
    sideways = down.sum() >= MIN_TURNED_LINES and lengths[down, 1].sum() > 2 * lengths[across, 0].sum()
    chosen = np.flatnonzero(down if sideways else across)
    longest = chosen[np.argsort(-lengths[chosen].max(axis=1), kind="stable")][:SAMPLE_LINES]
    if len(longest) < MIN_TURNED_LINES:
        return 0
    first = 3 if sideways else 0
    sample = [lines[n] for n in longest]

    def mean_score(turns: int) -> float:
        """Return the mean score of the sample as it is turned; lines that are not read count as 0."""
        turned = [text_lines.turn(corners, pixels.shape[:2], turns) for corners in sample]
        (read,) = text_lines.recognise([(np.rot90(pixels, turns), turned)], workers, [budget])
        return float(np.mean([line.score if line else 0 for line in read]))

    one = mean_score(first)
    if not sideways and one >= SURE:
        return 0
    other, lead = mean_score((first + 2) % 4), SIDEWAYS_CLEARLY if sideways else CLEARLY
    if other >= SURE and other - one >= lead:
        return (first + 2) % 4
    return first if one >= SURE and one - other >= lead else 0


def _words(lines: Sequence[TextLine], size: tuple[int, int]) -> tuple[Word, ...]:
    """Return the words of lines in reading order, with boxes relative to a picture of this height and width."""
    words = []
    for line in sort_lines(lines):
        first, second, third, fourth = line.corners
        for text, ends in zip(line.words, line.edges, strict=True):
            points = [near + end * (far - near) for near, far in ((first, second), (fourth, third)) for end in ends]
            relative = np.clip(np.array(points, dtype=np.float64) / (size[1], size[0]), 0, 1)
            (left, top), (right, bottom) = relative.min(axis=0), relative.max(axis=0)
            words.append(Word(text, Box(float(left), float(top), float(right), float(bottom))))
    return tuple(words)


def sort_lines(lines: Sequence[TextLine]) -> list[TextLine]:
    """Return lines in reading order: from top to bottom, column by column if prose is set in columns.

    Cells of a table are no columns: their lines are short, and rows are read across.
    """
    if not lines:
        return []
    bounds = np.array([[*line.corners.min(axis=0), *line.corners.max(axis=0)] for line in lines])
    letters = np.array([sum(map(len, line.words)) for line in lines])
    return [lines[n] for n in _order(np.arange(len(lines)), bounds, letters)]


def _order(group: npt.NDArray[np.int64], bounds: Floats, letters: npt.NDArray[np.int64]) -> list[int]:
    """Return indices of a group of lines in reading order. bounds: (n, 4) left, top, right, bottom of all lines."""
    gutter = _gutter(bounds[group], letters[group])
    if gutter is None:
        return _rows(group, bounds)
    left, right = bounds[group, 2] <= gutter, bounds[group, 0] >= gutter
    across = group[~left & ~right]
    order: list[int] = []
    middles = (bounds[:, 1] + bounds[:, 3]) / 2
    begin = -np.inf
    # Lines across the gutter, as titles, are read before the columns under them.
    for line in [*sorted(across.tolist(), key=lambda n: middles[n]), None]:
        end = np.inf if line is None else middles[line]
        for side in (left, right):
            part = group[side & (middles[group] >= begin) & (middles[group] < end)]
            order += _order(part, bounds, letters) if len(part) < len(group) else _rows(part, bounds)
        if line is not None:
            order.append(line)
        begin = end
    return order


def _gutter(bounds: Floats, letters: npt.NDArray[np.int64]) -> float | None:
    """Return the x of a gutter between columns of prose; None if there is none."""
    if len(bounds) < 2 * MIN_COLUMN_LINES:
        return None
    start, end = bounds[:, 0].min(), bounds[:, 2].max()
    best: tuple[float, float] | None = None
    for x in np.unique(bounds[:, 2]):
        left, right = bounds[:, 2] <= x, bounds[:, 0] >= x
        if not start + 0.2 * (end - start) < x < end - 0.2 * (end - start):
            continue
        if min(left.sum(), right.sum()) < MIN_COLUMN_LINES:
            continue
        if min(np.median(letters[left]), np.median(letters[right])) < MIN_COLUMN_LETTERS:
            continue
        crossing = 1 - (left.sum() + right.sum()) / len(bounds)
        if crossing <= 0.25 and (best is None or (crossing, -x) < best):
            best = (float(crossing), float(-x))
    return None if best is None else -best[1]


def _rows(group: npt.NDArray[np.int64], bounds: Floats) -> list[int]:
    """Return indices from top to bottom, lines of about one height from left to right."""
    rows: list[list[int]] = []
    for n in sorted(group.tolist(), key=lambda n: bounds[n, 1] + bounds[n, 3]):
        if rows:
            top, bottom = bounds[rows[-1], 1].mean(), bounds[rows[-1], 3].mean()
            if (bounds[n, 1] + bounds[n, 3]) / 2 < top + 0.7 * (bottom - top):
                rows[-1].append(n)
                continue
        rows.append([n])
    return [n for row in rows for n in sorted(row, key=lambda n: bounds[n, 0])]
