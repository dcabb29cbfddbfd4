"""Areas of a page that look like print and hold no words: scans under a stamp, slides that are pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from smart_demo.page_text import Box, Word
from smart_demo.types import Pixels

FINE_SIDE, COARSE_SIDE = 1_000, 330
"""Long side in pixels at which print is looked for: the usual sizes, and large print of posters and slides."""
MIN_FINE_SHARE, MIN_COARSE_SHARE = 0.004, 0.02
"""Share of the page that looks like print without words from which OCR reads it: a third of a line of body text.

Measured on the 71 sample pages: charts, tables and plans whose labels are in the layer have at most 0.0024 (one chart
0.0097), pictured text from 0.02."""
MIN_STANDING_SHARE = 0.015
"""The same for print on its side: half a page of it has 0.03, a chart of the samples up to 0.0091."""
CELL = 8
"""Pixels of a cell's side. A cell holds print if it has some edges between its columns, as upright strokes make."""
MIN_EDGE, MIN_CELL_EDGES = 30, 8
MIN_RUN_CELLS = 4
"""Neighbouring cells in a row that hold print: a rule, a curve or a frame crosses fewer."""
GAP_ROWS, GAP_COLS = 4, 6
"""Cells between two parts of one area: the lines of a paragraph, and the words of a line, are nearer."""
MAX_AREAS = 8
"""Areas of a page that are read one by one; more are read as one."""
MAX_PRINT_HEIGHT = 0.2
"""Height of a word, in parts of the page, above which it is a frame and covers no print: 170 points on A4."""
MARGIN = 0.02
"""Margin around an area that OCR reads, in parts of the page."""


def find_uncovered(pixels: Pixels, words: Sequence[Word]) -> list[Box]:
    """Return boxes around areas that look like print and hold no words; none if they are too small in all."""
    grey = Image.fromarray(pixels).convert("L")
    found = list[Box]()
    for side, least in ((FINE_SIDE, MIN_FINE_SHARE), (COARSE_SIDE, MIN_COARSE_SHARE)):
        size = _cell_size(grey, side)
        free, values = ~_covered_cells(words, size), _shrink(grey, size)
        cells = _long_runs(_print_cells(values) & free)
        if cells.mean() >= least:
            found += _areas(cells)
        if side == FINE_SIDE:
            standing = _long_runs(_print_cells(values.T) & free.T).T
            if standing.mean() >= MIN_STANDING_SHARE:
                found += _areas(standing)
    return _join(found)


def _areas(cells: npt.NDArray[np.bool_]) -> list[Box]:
    """Return the boxes around groups of cells, (rows, columns), that lie within some cells of each other."""
    height, width = cells.shape
    left = set(zip(*(index.tolist() for index in np.nonzero(cells)), strict=True))
    boxes = []
    while left:
        group, waiting = [], [left.pop()]
        while waiting:
            row, col = waiting.pop()
            group.append((row, col))
            near = [(row + y, col + x) for y in range(-GAP_ROWS, GAP_ROWS + 1) for x in range(-GAP_COLS, GAP_COLS + 1)]
            for cell in near:
                if cell in left:
                    left.remove(cell)
                    waiting.append(cell)
        rows, cols = zip(*group, strict=True)
        boxes.append(Box(min(cols) / width, min(rows) / height, (max(cols) + 1) / width, (max(rows) + 1) / height))
    return boxes


def _join(boxes: Sequence[Box]) -> list[Box]:
    """Return boxes with margins, those that overlap made one, from top to bottom; one around all if they are many."""
    joined = list[Box]()
    for box in (area_around([box]) for box in boxes):
        while meeting := [other for other in joined if _meet(box, other)]:
            joined = [other for other in joined if other not in meeting]
            box = area_around([box, *meeting], margin=0)
        joined.append(box)
    if len(joined) > MAX_AREAS:
        return [area_around(joined, margin=0)]
    return sorted(joined, key=lambda box: (box.top, box.left))


def _meet(one: Box, other: Box) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


def _cell_size(grey: Image.Image, side: int) -> tuple[int, int]:
    """Return the (columns, rows) of cells that the page is divided into at `side` pixels.

    A page longer than four times its width is drawn by its width, so that its print keeps its size.
    """
    long, short = max(grey.size), min(grey.size)
    scale = min(1.0, max(side / long, side / 2 / short))
    return max(1, round(grey.width * scale / CELL)), max(1, round(grey.height * scale / CELL))


def _shrink(grey: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Return the brightness of the page, drawn so that it has that many cells."""
    cols, rows = size
    return np.asarray(grey.resize((cols * CELL, rows * CELL), Image.Resampling.BOX)).astype(np.int16)


def _print_cells(values: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """Return the cells, (rows, columns), whose edges look like print; print on its side if `values` is transposed."""
    height, width = (side // CELL for side in values.shape)
    edges = np.zeros(values.shape, dtype=bool)
    edges[:, 1:] = np.abs(values[:, 1:] - values[:, :-1]) > MIN_EDGE
    return np.asarray(edges.reshape(height, CELL, width, CELL).sum(axis=(1, 3)) >= MIN_CELL_EDGES)


def _covered_cells(words: Sequence[Word], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the cells that words cover. Boxes hold no accents and no flourishes, hence a margin of their height."""
    width, height = size
    covered = np.zeros((height, width), dtype=bool)
    for word in words:
        for box in word.boxes:
            if box.bottom - box.top > MAX_PRINT_HEIGHT:  # a figure's frame, or a title, which OCR may read again
                continue
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


def area_around(boxes: Sequence[Box], margin: float = MARGIN) -> Box:
    """Return the box around boxes, with a margin, inside the page."""
    left, top = min(box.left for box in boxes) - margin, min(box.top for box in boxes) - margin
    right, bottom = max(box.right for box in boxes) + margin, max(box.bottom for box in boxes) + margin
    return Box(max(0.0, left), max(0.0, top), min(1.0, right), min(1.0, bottom))
